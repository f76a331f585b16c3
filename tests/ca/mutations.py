"""Messages spoiled as an adversary would: as bytes, and as a tree of values whose lengths are right again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import strategies as st

_CONSTRUCTED = 0x20
_LONG_TAG = 0x1F
_LONG_LENGTH = 0x80
_SEQUENCE = 0x30
_WHOLE_BYTES = b"\x00"
"""Bits of a BIT STRING's last byte that do not count: none."""
_CONTENTS = (b"", b"\x00", b"\xff", b"\x7f" * 9, b"\x80" + b"\x00" * 30, b"A" * 300, "\ufeff\u202eあ".encode(), b"19")
_ONE_BYTE_TAGS = [tag for tag in range(0x100) if tag & _LONG_TAG != _LONG_TAG]


@dataclass
class Node:
    """One value of DER: either content, or other values."""

    tag: int
    content: bytes = b""
    children: list[Node] = field(default_factory=list)

    def encode(self) -> bytes:
        content = self.content or b"".join(child.encode() for child in self.children)
        return bytes([self.tag]) + _length(len(content)) + content

    def walk(self) -> Iterator[Node]:
        """Itself, and everything within it."""
        yield self
        for child in self.children:
            yield from child.walk()


def parse(data: bytes) -> Node:
    """The tree of one value."""
    node, rest = _parse_one(data)
    assert not rest
    return node


def _parse_one(data: bytes) -> tuple[Node, bytes]:
    tag, length, start = data[0], data[1], 2
    assert tag & _LONG_TAG != _LONG_TAG, "nobody here writes a tag of more than one byte"
    if length & _LONG_LENGTH:
        start = 2 + (length & ~_LONG_LENGTH)
        length = int.from_bytes(data[2:start], "big")
    content, rest = data[start : start + length], data[start + length :]
    if not tag & _CONSTRUCTED:
        return Node(tag, content), rest
    node = Node(tag)
    while content:
        child, content = _parse_one(content)
        node.children.append(child)
    return node, rest


def _length(number: int) -> bytes:
    if number < _LONG_LENGTH:
        return bytes([number])
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([_LONG_LENGTH | len(octets)]) + octets


# --- one change each, at a place that is drawn ------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A value within another."""

    siblings: list[Node]
    index: int

    @property
    def node(self) -> Node:
        return self.siblings[self.index]


Change = Callable[[st.DataObject, Node, Place], None]


def drop(_: st.DataObject, __: Node, place: Place) -> None:
    del place.siblings[place.index]


def double(data: st.DataObject, _: Node, place: Place) -> None:
    times = data.draw(st.sampled_from([1, 2, 40]), label="times")
    place.siblings[place.index : place.index] = [place.node] * times


def swap(data: st.DataObject, _: Node, place: Place) -> None:
    other = data.draw(st.integers(0, len(place.siblings) - 1), label="other")
    place.siblings[place.index], place.siblings[other] = place.siblings[other], place.siblings[place.index]


def transplant(data: st.DataObject, tree: Node, place: Place) -> None:
    """Put a copy of another value there."""
    everything = list(tree.walk())
    source = data.draw(st.integers(0, len(everything) - 1), label="source")
    place.siblings[place.index] = deepcopy(everything[source])


def retag(data: st.DataObject, _: Node, place: Place) -> None:
    place.node.tag = data.draw(st.sampled_from(_ONE_BYTE_TAGS), label="tag")


def wrap(data: st.DataObject, tree: Node, place: Place) -> None:  # noqa: ARG001 - one signature for every change
    for _ in range(data.draw(st.sampled_from([1, 2, 60]), label="depth")):
        place.siblings[place.index] = Node(_SEQUENCE, children=[place.node])


def overwrite(data: st.DataObject, _: Node, place: Place) -> None:
    content = data.draw(st.sampled_from(_CONTENTS) | st.binary(max_size=20), label="content")
    place.siblings[place.index] = Node(place.node.tag, content)


def nudge(data: st.DataObject, _: Node, place: Place) -> None:
    """Change one bit of what the value holds."""
    content = bytearray(place.node.content)
    if content:
        # The same range whatever the length, which is another in every signature.
        bit = data.draw(st.integers(0, 2**16), label="bit") % (len(content) * 8)
        content[bit // 8] ^= 1 << bit % 8
        place.node.content = bytes(content)


CHANGES: tuple[Change, ...] = (drop, double, swap, transplant, retag, wrap, overwrite, nudge)


# --- whole messages ---------------------------------------------------------------------------------------------------


def changed_values(data: st.DataObject, message: bytes) -> bytes:
    """One or two values changed, and every length around them right."""
    tree = parse(message)
    _change_values(data, tree)
    return tree.encode()


def _change_values(data: st.DataObject, tree: Node) -> None:
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=2), label="changes"):
        places = [Place(node.children, index) for node in tree.walk() for index in range(len(node.children))]
        if places:
            change(data, tree, places[data.draw(st.integers(0, len(places) - 1), label="place")])


def changed_bytes(data: st.DataObject, message: bytes) -> bytes:
    """Bytes flipped, cut off or added, whatever that makes of the lengths."""
    spoiled = bytearray(message)
    for _ in range(data.draw(st.integers(0, 4), label="flips")):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1), label="where")] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans(), label="cut"):
        del spoiled[data.draw(st.integers(0, len(spoiled)), label="end") :]
    return bytes(spoiled) + data.draw(st.sampled_from([b"", b"\x00", b"\x05\x00"]), label="tail")


def mutated(data: st.DataObject, message: bytes) -> bytes:
    """The message changed in one way or the other; now and then it stays as it is."""
    way = data.draw(st.sampled_from([changed_values, changed_values, changed_bytes]), label="way")
    return way(data, message)


def reprotected(data: st.DataObject, message: bytes, protect: Callable[[bytes], bytes]) -> bytes:
    """Header or body changed by whoever can protect them: the protection is right, what it protects is not."""
    tree = parse(message)
    header, body, protection = tree.children[:3]
    inside = Node(_SEQUENCE, children=[header, body])
    _change_values(data, inside)
    protection.children[0].content = _WHOLE_BYTES + protect(inside.encode())
    tree.children[:2] = inside.children
    return tree.encode()
