"""The process that hears of cards: `python -m kiosk.tokens.card_events PARENT [LIBRARY]`, started by `presence`.

It asks pcscd by SCardGetStatusChange, which waits for as long as nothing changes, and writes one byte to its standard
output for each piece of news. Nobody believes it more than that it is time to look: what is in, the module tells
(field notes §2). It has a process of its own because that call is C and waits. Few functions are needed of
libpcsclite, so they are declared here; where it is not installed there are no events.

The calls are those of PC/SC Workgroup's part 10 as pcsc-lite has them (winscard.h).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from ctypes import Structure, byref, c_char_p, c_long, c_ubyte, c_ulong, c_void_p, create_string_buffer
from enum import Enum
from typing import NoReturn, Protocol

from kiosk.children import end_with_parent

LIBRARY = "libpcsclite.so.1"

NO_LIBRARY = 3
"""Exit status: there is no libpcsclite here."""

_TRY_AGAIN_AFTER = 5.0
"""Seconds until a pcscd that did not answer is asked again. Where systemd listens for it, that starts it."""

_REST = 0.2
"""Seconds between two pieces of news at least: a loose contact, or a pcscd that returns at once, keeps nobody busy."""

_SCOPE_SYSTEM = 2
_SUCCESS = 0
_NO_READERS = 0x8010002E
_UNKNOWN_READER = 0x80100009
_FOR_EVER = 0xFFFFFFFF
_STATE_UNAWARE = 0
_STATE_CHANGED = 0x2
_NEW_READER = rb"\\?PnP?\Notification"
"""The name under which pcscd tells that readers have come or gone."""
_LONGEST_ATR = 33


class News(Enum):
    """What the process says, each one byte."""

    HEARS = b"h"
    """From now on events are told; before, some may have been missed."""
    DEAF = b"d"
    """pcscd is gone: nothing is told until it is back."""
    CARD = b"c"
    """A card has come or gone, or something else about one has changed."""
    READER = b"r"
    """A reader has come or gone."""


class PcscFault(Exception):
    """pcscd did not answer, or went away."""


class _ReaderState(Structure):
    """SCARD_READERSTATE."""

    _fields_ = (
        ("reader", c_char_p),
        ("user_data", c_void_p),
        ("current_state", c_ulong),
        ("event_state", c_ulong),
        ("atr_length", c_ulong),
        ("atr", c_ubyte * _LONGEST_ATR),
    )


class Pcsc:
    """A connection to pcscd, as far as events need one."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Connect.

        Raises:
            PcscFault: nobody answers.
        """
        self._library = library
        self._context = c_long()
        self._call("SCardEstablishContext", c_ulong(_SCOPE_SYSTEM), None, None, byref(self._context))

    def close(self) -> None:
        """Let go of the connection, also of one that is broken."""
        self._library.SCardReleaseContext(self._context)

    def readers(self) -> tuple[bytes, ...]:
        """The names of the readers that are there.

        Raises:
            PcscFault: pcscd is gone.
        """
        size = c_ulong()
        if self._call("SCardListReaders", self._context, None, None, byref(size), fine=(_NO_READERS,)) == _NO_READERS:
            return ()
        names = create_string_buffer(size.value)
        if self._call("SCardListReaders", self._context, None, names, byref(size), fine=(_NO_READERS,)) == _NO_READERS:
            return ()
        return tuple(name for name in names.raw[: size.value].split(b"\0") if name)

    def next_states(self, known: dict[bytes, int]) -> dict[bytes, int]:
        """Wait until a reader's state is another one than `known` says, and tell them all.

        Raises:
            PcscFault: pcscd is gone.
        """
        states = (_ReaderState * len(known))()
        for state, (name, current) in zip(states, known.items(), strict=True):
            state.reader, state.current_state = name, current
        arguments = (self._context, c_ulong(_FOR_EVER), states, c_ulong(len(known)))
        self._call("SCardGetStatusChange", *arguments, fine=(_UNKNOWN_READER,))
        return {name: state.event_state & ~_STATE_CHANGED for name, state in zip(known, states, strict=True)}

    def _call(self, name: str, *arguments: object, fine: tuple[int, ...] = ()) -> int:
        function = getattr(self._library, name)
        function.restype = c_ulong
        status = int(function(*arguments)) & 0xFFFFFFFF
        if status != _SUCCESS and status not in fine:
            raise PcscFault(f"{name}: {status:#x}")
        return status


class Readers(Protocol):
    """What `Pcsc` offers to whoever listens."""

    def readers(self) -> tuple[bytes, ...]:
        """See `Pcsc.readers`."""

    def next_states(self, known: dict[bytes, int]) -> dict[bytes, int]:
        """See `Pcsc.next_states`."""


def listen(pcsc: Readers, tell: Callable[[News], None], rest: Callable[[float], None]) -> NoReturn:
    """Tell what changes, for as long as pcscd answers, with a `rest` of some seconds after each piece of news.

    Raises:
        PcscFault: it does not any more.
    """
    readers = pcsc.readers()
    states = dict.fromkeys((*readers, _NEW_READER), _STATE_UNAWARE)
    states = pcsc.next_states(states) if readers else states
    tell(News.HEARS)
    while True:
        states = pcsc.next_states(states)
        now = pcsc.readers()
        if now == readers:
            tell(News.CARD)
        else:
            states = {name: states.get(name, _STATE_UNAWARE) for name in (*now, _NEW_READER)}
            readers = now
            tell(News.READER)
        rest(_REST)


def tell(news: News) -> None:
    """One byte for the kiosk."""
    os.write(sys.stdout.fileno(), news.value)


def main() -> None:
    """Listen for as long as the process named as the first argument lives; the second may name another library."""
    end_with_parent(int(sys.argv[1]), signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        library = ctypes.CDLL(sys.argv[2] if sys.argv[2:] else LIBRARY)
    except OSError:
        sys.exit(NO_LIBRARY)
    while True:
        with suppress(PcscFault), closing(Pcsc(library)) as pcsc:
            try:
                listen(pcsc, tell, time.sleep)
            finally:
                tell(News.DEAF)
        time.sleep(_TRY_AGAIN_AFTER)


if __name__ == "__main__":
    main()
