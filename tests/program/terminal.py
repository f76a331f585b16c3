"""A terminal for tests: a real pty, and pyte to see what a person would see on it."""

from __future__ import annotations

import os
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pexpect
import pyte

from screens.lobby import SETTLE_SECONDS

LIMIT = 60.0


def _without_a_size() -> dict[str, str]:
    """The environment but for the size of whatever terminal the tests were started on."""
    return {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}


class Terminal:
    """Runs `kiosk ARGUMENTS`, or another module of Python's, on a pty of this many cells."""

    def __init__(self, *arguments: str | Path, columns: int = 120, lines: int = 34, module: str = "kiosk") -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.is_fit_for_a_shell = False
        """Whether the terminal, when the program had ended, echoed what is typed and knew Ctrl+C and Ctrl+S."""
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", module, *map(str, arguments)],
            dimensions=(lines, columns),
            env={**_without_a_size(), "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"},
            timeout=LIMIT,
        )

    def text(self) -> str:
        """What stands on the screen, without the blank cells."""
        rows = (self._screen.buffer[number] for number in range(self._screen.lines))
        lines = ("".join(row[column].data for column in range(self._screen.columns)) for row in rows)
        return "\n".join("".join(line.split()) for line in lines)

    def wait_for(self, *wanted: str) -> None:
        """Read on until every `wanted` stands on the screen (spaces do not count)."""
        self.wait_until(
            lambda: all("".join(each.split()) in self.text().replace("\n", "") for each in wanted), str(wanted)
        )

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Read on until it is so; `what` tells people what did not come."""
        end = time.monotonic() + LIMIT
        while not is_so():
            assert time.monotonic() < end, f"{what} did not come; the screen is:\n{self.text()}"
            self._read()

    def read_for(self, seconds: float) -> int:
        """Read on for so long; how many bytes came."""
        before, end = len(self.raw), time.monotonic() + seconds
        while time.monotonic() < end:
            self._read()
        return len(self.raw) - before

    def press(self, keys: str) -> None:
        """Type `keys` as somebody does who has read the screen first: sooner they do not count."""
        time.sleep(1.5 * SETTLE_SECONDS)
        self.process.send(keys)

    @property
    def pid(self) -> int:
        """The number of the program on the pty."""
        assert self.process.pid is not None
        return self.process.pid

    def wait_for_end(self) -> int:
        """Read on until the program has ended; its exit status, negative for a signal."""
        end = time.monotonic() + LIMIT
        while self.process.isalive():
            assert time.monotonic() < end, f"it did not end; the screen is:\n{self.text()}"
            self._read()
        self._read()
        self.is_fit_for_a_shell = _is_fit_for_a_shell(self.process.child_fd)
        self.process.close()
        if self.process.signalstatus is not None:
            return -int(self.process.signalstatus)
        return int(self.process.exitstatus or 0)

    def _read(self) -> None:
        try:
            data = self.process.read_nonblocking(65536, timeout=0.2)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        received = cast("bytes", data)  # the stubs say str, which is true only where an encoding is given
        self.raw += received
        self._stream.feed(received)


def _is_fit_for_a_shell(terminal: int) -> bool:
    modes, wanted = termios.tcgetattr(terminal), termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN
    return modes[3] & wanted == wanted and bool(modes[0] & termios.IXON)
