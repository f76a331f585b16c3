"""Steps build on one another: what an earlier one has to have left."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def needed(left: T | None) -> T:
    """What an earlier step has left.

    Raises:
        RuntimeError: it was not taken, which only a mistake of ours can do.
    """
    if left is None:
        raise RuntimeError("a step was taken before the one it builds on")
    return left
