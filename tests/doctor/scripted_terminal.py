"""A terminal on a pty that answers questions as it is told to."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kiosk.doctor.tty import AMBIGUOUS, WIDE, Tty

_QUESTION = re.compile(rb"\x1b\[(6n|c|\?(\d+)\$p)")


@dataclass
class ScriptedTerminal:
    """What it answers."""

    columns: int = 120
    lines: int = 34
    ambiguous: int = 1
    """Cells that it gives to such a character."""
    wide: int = 2
    modes: dict[int, int] = field(default_factory=lambda: {1000: 2, 1006: 2, 25: 1})
    """DECRPM: 1 set, 2 reset, 0 not known."""
    silent: bool = False
    """It answers nothing at all."""
    knows_modes: bool = True
    """Whether it answers DECRQM."""
    raw: bytes = b""
    """Sent in place of all answers."""
    written: bytes = b""
    """What it was sent."""

    def answers(self, sent: bytes) -> Iterator[bytes]:
        """What it says to this."""
        column = 1
        for part in re.split(rb"(\x1b\[[?\d;]*\$?[a-zA-Z]|\r)", sent):
            question = _QUESTION.fullmatch(part)
            if question is None:
                column = 1 if part == b"\r" else column + self._cells(part)
            elif question[1] == b"6n":
                yield b"\x1b[7;%dR" % column
            elif question[1] == b"c":
                yield b"\x1b[?62;22c"
            elif self.knows_modes:
                mode = int(question[2])
                yield b"\x1b[?%d;%d$y" % (mode, self.modes.get(mode, 0))

    def _cells(self, text: bytes) -> int:
        return {AMBIGUOUS.encode(): self.ambiguous, WIDE.encode(): self.wide}.get(text, 0)


@contextmanager
def scripted(script: ScriptedTerminal, seconds: float = 3.0) -> Iterator[Tty]:
    """A pty behind which `script` answers."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", script.lines, script.columns, 0, 0))
    ended, ends = os.pipe()
    answering = threading.Thread(target=_answer, args=(script, master, ended))
    answering.start()
    try:
        yield Tty(slave, slave, seconds)
    finally:
        os.write(ends, b"x")
        answering.join()
        for descriptor in (master, slave, ended, ends):
            os.close(descriptor)


def _answer(script: ScriptedTerminal, master: int, ended: int) -> None:
    while True:
        ready, _, _ = select.select([master, ended], [], [])
        if ended in ready:
            return
        script.written += os.read(master, 4096)
        if script.written.endswith(b"\x1b[c"):
            said = script.raw or b"".join(script.answers(script.written))
            os.write(master, b"" if script.silent else said)
