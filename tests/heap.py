"""What this process holds: every object that can be reached, searched for what should not be there any more."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

_DEEPEST = 12
"""Holders told of a finding, from the inside out."""


class Heap:
    """Finds values in the whole heap, but for the objects that held them when the search was set up.

    What is found is an object with the value inside: text, bytes of any kind, or a number that is equal to it. Caches
    written in C count, because the garbage collector can look into them.
    """

    def __init__(self, *values: str | int, alone: Sequence[str] = ()) -> None:
        """Search for `values` from now on; whatever holds one already is the test's own.

        A few digits stand in many a long number by chance, as in the `_link_id` of a rich Style, which is random: of
        `alone` only what has no other digit beside it counts.
        """
        self._alone = tuple(re.compile(rf"(?<![0-9]){re.escape(digits)}(?![0-9])") for digits in alone)
        self._alone_bytes = tuple(re.compile(each.pattern.encode()) for each in self._alone)
        self._texts = tuple(value for value in values if isinstance(value, str))
        self._bytes = tuple(text.encode() for text in self._texts)
        self._numbers = frozenset(value for value in values if isinstance(value, int))
        self._own = [*self._texts, *self._bytes, *self._numbers]
        self._own += self._holding()

    def finds(self) -> bool:
        """Whether any object holds one of the values now."""
        return bool(self._others())

    def found(self) -> list[str]:
        """Each object that holds one of the values now, and who holds it."""
        others = self._others()
        return [_told(each, [id(others)]) for each in others]

    def _others(self) -> list[object]:
        own = {id(each) for each in self._own}
        return [each for each in self._holding() if id(each) not in own]

    def _holding(self) -> list[object]:
        return [each for each in _everything() if self._holds(each)]

    def _holds(self, each: object) -> bool:
        match each:
            case str():
                return any(text in each for text in self._texts) or any(one.search(each) for one in self._alone)
            case bytes() | bytearray():
                return self._in_bytes(each)
            case memoryview():
                return self._in_bytes(bytes(each))
            case int():
                return each in self._numbers
            case _:
                return False

    def _in_bytes(self, each: bytes | bytearray) -> bool:
        return any(piece in each for piece in self._bytes) or any(one.search(each) for one in self._alone_bytes)


def _everything() -> Iterator[object]:
    """Every object that can be reached, once; frozen ones too."""
    gc.unfreeze()
    gc.collect()
    known: set[int] = set()
    waiting: list[Any] = [*gc.get_objects(), *(frame for frame in sys._current_frames().values())]
    roots = id(waiting)
    while waiting:
        each = waiting.pop()
        if id(each) in known or id(each) in (roots, id(known)):
            continue
        known.add(id(each))
        yield each
        waiting += gc.get_referents(each)
        if isinstance(each, dict):
            waiting += list(each)  # the collector passes over keys that are text


def _told(found: object, own: list[int]) -> str:
    """The kind of an object, and the kinds of those that hold it, until one that has a name."""
    steps = [type(found).__name__]
    seen = {id(found), *own}
    each = found
    for _ in range(_DEEPEST):
        holder = next((holder for holder in gc.get_referrers(each) if _counts(holder, seen)), None)
        if holder is None:
            break
        steps.append(_named(holder))
        seen.add(id(holder))
        each = holder
    return " < ".join(steps)


def _counts(holder: object, seen: set[int]) -> bool:
    return id(holder) not in seen and type(holder).__name__ not in ("frame", "list_iterator", "generator")


def _named(holder: object) -> str:
    name = getattr(holder, "__qualname__", None) or getattr(holder, "__name__", None)
    keys = f" of {sorted(map(str, holder))[:4]}" if isinstance(holder, dict) and len(holder) < 40 else ""
    return f"{type(holder).__name__}{f' {name}' if isinstance(name, str) else ''}{keys}"
