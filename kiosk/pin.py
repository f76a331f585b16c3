"""The PIN on its way from the customer's fingers to the token."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Pin:
    """A typed PIN: held in one bytearray, handed over once, overwritten after.

    It shows nothing of itself: not in a repr, not in a pickle, not in its length.
    """

    __slots__ = ("_typed",)

    def __init__(self, typed: bytearray) -> None:
        """Take over `typed` (printable ASCII); the caller keeps no copy."""
        self._typed: bytearray | None = typed

    def take(self) -> bytearray:
        """Hand the PIN over; the taker overwrites it with `wipe` as soon as it was sent.

        Raises:
            RuntimeError: it was handed over before.
        """
        typed, self._typed = self._typed, None
        if typed is None:
            raise RuntimeError("this PIN was handed over already")
        return typed

    def equals(self, other: Pin) -> bool:
        """Whether both hold the same; neither is handed over by that.

        Raises:
            RuntimeError: one of them was handed over before.
        """
        if self._typed is None or other._typed is None:
            raise RuntimeError("this PIN was handed over already")
        return hmac.compare_digest(self._typed, other._typed)

    def discard(self) -> None:
        """Overwrite a PIN that nobody will take any more; nothing happens where it was handed over."""
        typed, self._typed = self._typed, None
        if typed is not None:
            wipe(typed)

    def __repr__(self) -> str:
        return "Pin(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PIN is never stored or copied")


def wipe(secret: bytearray) -> None:
    """Overwrite `secret` with zeros, in place."""
    secret[:] = bytes(len(secret))
