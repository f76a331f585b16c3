"""Input spoiled as an adversary would: as bytes, as a tree of DER whose lengths are right again, as lines of text.

One generator for every parser of outside bytes. What is drawn is drawn by a `Draw`: by hypothesis, which shrinks what
it finds, or by chance, which is a thousand times as fast. Every input that is tried is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, TypeVar

import msgspec
from hypothesis import strategies as st

T = TypeVar("T")

TRIED: Counter[str] = Counter()
"""How many inputs each parser was given in this process; `tests/conftest.py` tells it at the end."""

_CONSTRUCTED = 0x20
_LONG_TAG = 0x1F
_LONG_LENGTH = 0x80
_SEQUENCE = 0x30
_WHOLE_BYTES = b"\x00"
"""Bits of a BIT STRING's last byte that do not count: none."""
_CONTENTS = (b"", b"\x00", b"\xff", b"\x7f" * 9, b"\x80" + b"\x00" * 30, b"A" * 300, "\ufeff\u202eあ".encode(), b"19")
_ONE_BYTE_TAGS = [tag for tag in range(0x100) if tag & _LONG_TAG != _LONG_TAG]


class Draw(Protocol):
    """Decides what is changed."""

    def pick(self, choices: Sequence[T], label: str) -> T: ...

    def number(self, low: int, high: int, label: str) -> int: ...

    def data(self, longest: int) -> bytes: ...


@dataclass(frozen=True)
class ByHypothesis:
    """A failure is made as small as can be, and can be played again."""

    source: st.DataObject

    def pick(self, choices: Sequence[T], label: str) -> T:
        return self.source.draw(st.sampled_from(choices), label=label)

    def number(self, low: int, high: int, label: str) -> int:
        return self.source.draw(st.integers(low, high), label=label)

    def data(self, longest: int) -> bytes:
        return self.source.draw(st.binary(max_size=longest))


@dataclass(frozen=True)
class ByChance:
    """From a seed."""

    source: Random

    def pick(self, choices: Sequence[T], label: str) -> T:  # noqa: ARG002
        return choices[int(self.source.random() * len(choices))]

    def number(self, low: int, high: int, label: str) -> int:  # noqa: ARG002
        return low + int(self.source.random() * (high - low + 1))

    def data(self, longest: int) -> bytes:
        return self.source.randbytes(int(self.source.random() * (longest + 1)))


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


Change = Callable[[Draw, Node, Place], None]


def drop(_: Draw, __: Node, place: Place) -> None:
    del place.siblings[place.index]


def double(draw: Draw, _: Node, place: Place) -> None:
    times = draw.pick([1, 2, 40], "times")
    place.siblings[place.index : place.index] = [place.node] * times


def swap(draw: Draw, _: Node, place: Place) -> None:
    other = draw.number(0, len(place.siblings) - 1, "other")
    place.siblings[place.index], place.siblings[other] = place.siblings[other], place.siblings[place.index]


def transplant(draw: Draw, tree: Node, place: Place) -> None:
    """Put a copy of another value there."""
    everything = list(tree.walk())
    place.siblings[place.index] = deepcopy(everything[draw.number(0, len(everything) - 1, "source")])


def retag(draw: Draw, _: Node, place: Place) -> None:
    place.node.tag = draw.pick(_ONE_BYTE_TAGS, "tag")


def wrap(draw: Draw, _: Node, place: Place) -> None:
    for __ in range(draw.pick([1, 2, 60], "depth")):
        place.siblings[place.index] = Node(_SEQUENCE, children=[place.node])


def overwrite(draw: Draw, _: Node, place: Place) -> None:
    drawn = draw.pick([True, False], "anything")
    place.siblings[place.index] = Node(place.node.tag, draw.data(20) if drawn else draw.pick(_CONTENTS, "content"))


def nudge(draw: Draw, _: Node, place: Place) -> None:
    """Change one bit of what the value holds."""
    content = bytearray(place.node.content)
    if content:
        # The same range whatever the length, which is another in every signature.
        bit = draw.number(0, 2**16, "bit") % (len(content) * 8)
        content[bit // 8] ^= 1 << bit % 8
        place.node.content = bytes(content)


CHANGES: tuple[Change, ...] = (drop, double, swap, transplant, retag, wrap, overwrite, nudge)


# --- whole inputs -----------------------------------------------------------------------------------------------------


def changed_values(draw: Draw, message: bytes) -> bytes:
    """One or two values of DER changed, and every length around them right."""
    tree = parse(message)
    _change_values(draw, tree)
    return tree.encode()


def _change_values(draw: Draw, tree: Node) -> None:
    for _ in range(draw.number(1, 2, "changes")):
        change = draw.pick(CHANGES, "change")
        places = [Place(node.children, index) for node in tree.walk() for index in range(len(node.children))]
        if places:
            change(draw, tree, places[draw.number(0, len(places) - 1, "place")])


def flipped(draw: Draw, good: bytes) -> bytes:
    """One byte is another."""
    spoiled = bytearray(good)
    spoiled[draw.number(0, len(good) - 1, "where")] ^= draw.number(1, 255, "by")
    return bytes(spoiled)


def changed_bytes(draw: Draw, message: bytes) -> bytes:
    """Bytes flipped, cut off or added, whatever that makes of the lengths."""
    spoiled = message
    for _ in range(draw.number(0, 4, "flips")):
        spoiled = flipped(draw, spoiled)
    if draw.pick([True, False], "cut"):
        spoiled = spoiled[: draw.number(0, len(spoiled), "end")]
    return spoiled + draw.pick([b"", b"\x00", b"\x05\x00"], "tail")


def mutated(draw: Draw, message: bytes) -> bytes:
    """DER changed in one way or the other; now and then it stays as it is."""
    return draw.pick([changed_values, changed_values, changed_bytes], "way")(draw, message)


def reprotected(draw: Draw, message: bytes, protect: Callable[[bytes], bytes]) -> bytes:
    """Header or body changed by whoever can protect them: the protection is right, what it protects is not."""
    tree = parse(message)
    header, body, protection = tree.children[:3]
    inside = Node(_SEQUENCE, children=[header, body])
    _change_values(draw, inside)
    protection.children[0].content = _WHOLE_BYTES + protect(inside.encode())
    tree.children[:2] = inside.children
    return tree.encode()


_WORDS = (
    *(b"", b"0", b"-1", b"1e999", b"nan", b"true", b'"', b"'", b'"""', b"[", b"]]", b"{}", b"=", b",", b"\n"),
    b"\r",
    *(b"99999999999999999999999", b"2026-11-26", b"2026-11-26T00:00:00Z", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\\"),
    *("\u202eあ".encode(), "\ud800".encode("utf-8", "surrogatepass"), b"A" * 3000, b"[" * 500, b"a.b.c.d = 1\n"),
)


def changed_text(draw: Draw, text: bytes) -> bytes:
    """A file that somebody has written: lines and words dropped, doubled, swapped, replaced; or its bytes changed."""
    if draw.number(0, 3, "way") == 0:
        return changed_bytes(draw, text)
    lines = text.split(b"\n")
    for _ in range(draw.number(1, 3, "changes")):
        at, other = (draw.number(0, len(lines) - 1, "line") for _ in range(2))
        match draw.number(0, 4, "change"):
            case 0:
                lines[at] = b""
            case 1:
                lines.insert(at, lines[other])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                name, mark, _ = lines[at].partition(b"=")
                lines[at] = name + mark + b" " + draw.pick(_WORDS, "word")
            case _:
                where = draw.number(0, len(lines[at]), "where")
                lines[at] = lines[at][:where] + draw.pick(_WORDS, "word") + lines[at][where:]
    return b"\n".join(lines)


def changed_pack(draw: Draw, packed: bytes) -> bytes:
    """MessagePack with one value replaced by any other; or its bytes changed."""
    if draw.number(0, 2, "way") == 0:
        return changed_bytes(draw, packed)
    return msgspec.msgpack.encode(_changed_builtin(draw, msgspec.msgpack.decode(packed)))


_VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    2**63,
    1e308,
    "",
    "A" * 300,
    b"",
    b"\x00" * 300,
    b"\xff" * 4000,
    [],
    {},
    [[]],
    {"type": "Done"},
)


def _changed_builtin(draw: Draw, value: object) -> object:
    match value:
        case dict() if value and draw.number(0, 9, "deeper"):
            key = draw.pick(list(value), "key")
            return value | {key: _changed_builtin(draw, value[key])}
        case list() if value and draw.number(0, 9, "deeper"):
            at = draw.number(0, len(value) - 1, "item")
            return [*value[:at], _changed_builtin(draw, value[at]), *value[at + 1 :]]
        case bytes() if value and draw.number(0, 2, "bytes"):
            return mutated(draw, value) if value[0] == _SEQUENCE else changed_bytes(draw, value)
        case _:
            return draw.pick(_VALUES, "value")
