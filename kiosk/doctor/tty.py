"""Asks a terminal what it is, by the questions of ECMA-48 and of xterm's ctlseqs, with a limit on the wait."""

from __future__ import annotations

import asyncio
import os
import re
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

AMBIGUOUS = "※"
"""U+203B, East Asian Width A (UAX #11): the manual's notes begin with it."""
WIDE = "あ"

MOUSE, MOUSE_SGR, CURSOR = 1000, 1006, 25
"""DEC private modes: button reports, their SGR form, a visible cursor."""

_WHERE = "\x1b[6n"
_WHO = "\x1b[c"
"""DA1, which every terminal answers: after its answer none of the others comes any more."""
_POSITION = re.compile(rb"\x1b\[\d{1,5};(\d{1,5})R")
_MODE = re.compile(rb"\x1b\[\?(\d{1,5});(\d)\$y")
_LAST = re.compile(rb"\x1b\[\?[\d;]{0,64}c")
_MOST_BYTES = 4096
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What a terminal has answered."""

    answered: bool = False
    """Whether it answers questions at all."""
    ambiguous: int | None = None
    """Cells that `AMBIGUOUS` takes; None where it did not say."""
    wide: int | None = None
    """Cells that `WIDE` takes."""
    modes: frozenset[int] = field(default_factory=frozenset)
    """The private modes it knows."""


class Tty:
    """A terminal to read from and to write to."""

    def __init__(self, reading: int, writing: int, seconds: float = _SECONDS) -> None:
        """Use these file descriptors; wait for answers for so many `seconds` at most."""
        self._reading = reading
        self._writing = writing
        self._seconds = seconds

    def size(self) -> os.terminal_size:
        """Columns and lines.

        Raises:
            OSError: it does not say.
        """
        return os.get_terminal_size(self._writing)

    async def ask(self) -> Answers:
        """Ask everything at once. The terminal is left as it was; what somebody types meanwhile is lost.

        Raises:
            OSError, termios.error: it is no terminal any more.
        """
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> Answers:
        modes = "".join(f"\x1b[?{mode}$p" for mode in (MOUSE, MOUSE_SGR, CURSOR))
        widths = "".join(f"\r{sample}{_WHERE}" for sample in (AMBIGUOUS, WIDE))
        with _as_it_comes(self._reading, self._seconds):
            os.write(self._writing, f"{widths}{modes}\r\x1b[K{_WHO}".encode())
            return _read(self._answer())

    def _answer(self) -> bytes:
        """What comes until the last answer, or until nothing comes any more."""
        answer, end = b"", time.monotonic() + self._seconds
        while len(answer) < _MOST_BYTES and not _LAST.search(answer) and time.monotonic() < end:
            piece = os.read(self._reading, _MOST_BYTES)
            if not piece:
                break
            answer += piece
        return answer


def _read(answer: bytes) -> Answers:
    columns = [int(column) - 1 for column in _POSITION.findall(answer)]
    ambiguous, wide = columns if len(columns) == 2 else (None, None)
    known = {int(mode) for mode, setting in _MODE.findall(answer) if setting != b"0"}
    return Answers(_LAST.search(answer) is not None, ambiguous, wide, frozenset(known))


@contextmanager
def _as_it_comes(terminal: int, seconds: float) -> Iterator[None]:
    """No echo and no lines; a read ends with what is there, or after `seconds` without anything (termios(3))."""
    before = termios.tcgetattr(terminal)
    changed = termios.tcgetattr(terminal)
    changed[3] &= ~(termios.ECHO | termios.ICANON)
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 0, min(255, max(1, int(seconds * 10)))
    try:
        termios.tcsetattr(terminal, termios.TCSANOW, changed)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
