"""A kiosk runs for months, and what a visit has freed need not stay with it."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Have the freed memory of this process go back to the system, as far as its C library does that (malloc_trim(3)).

    It would be used again, but in pieces, so that the process grows a little with every visit. Whatever has stood there
    goes with it. That takes a fraction of a millisecond.
    """
    with suppress(AttributeError):  # not the C library of Debian
        ctypes.CDLL(None).malloc_trim(0)
