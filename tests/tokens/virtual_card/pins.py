"""The card's PIN and the PUK that unblocks it, each with its tries."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace

from tests.tokens.virtual_card.apdu import BLOCKED, Refused

PADDED = 16
"""Bytes of a PIN as OpenSC sends it for this card: filled with zeros."""


@dataclass
class Secret:
    """A PIN or PUK; nobody has set it as long as it is empty."""

    tries: int
    value: bytes = b""
    left: int = 0

    def set(self, value: bytes) -> None:
        """Give it a new value, and all its tries."""
        self.value, self.left = _plain(value), self.tries

    def verify(self, tried: bytes) -> None:
        """Compare, and count.

        Raises:
            Refused: it is wrong, and how many tries are left, or blocked.
        """
        if not self.left:
            raise Refused(BLOCKED)
        if not hmac.compare_digest(_plain(tried), self.value):
            self.left -= 1
            raise Refused(self.status())
        self.left = self.tries

    def status(self) -> int:
        """How many tries are left, as VERIFY without data tells it (ISO 7816-4 §7.5.6)."""
        return 0x63C0 | self.left if self.left else BLOCKED

    def copy(self) -> Secret:
        """The same, with a count of its own."""
        return replace(self)


def _plain(value: bytes) -> bytes:
    return value.rstrip(b"\0")
