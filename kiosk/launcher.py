"""Runs the full-screen kiosk in a child process, so that the terminal is given back however the child ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_RESET = (
    "\x1b[<u"  # keyboard protocol back to the terminal's own
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # no mouse reports
    "\x1b[?1004l\x1b[?2004l\x1b[?2048l"  # no focus reports, no bracketed paste, no reports of a new size
    "\x1b[?1049l\x1b[?7h\x1b[?25h\x1b[0m"  # normal screen, wrapped lines, cursor, colours
)

_SCRUBBED_PREFIXES = ("TEXTUAL", "PYTHON")
_SCRUBBED = {"NO_COLOR", "FORCE_COLOR", "ESCDELAY", "COLUMNS", "LINES", "UNICODE_VERSION"}
"""What would change how the kiosk looks or open doors in it: TEXTUAL_LOG writes keystrokes, for one."""

_GRACE_SECONDS = 5.0


class NoTerminal(Exception):
    """Standard input or output is no terminal."""


def launch(settings: Path) -> int:
    """Run the kiosk of `settings` on this terminal until it ends; its exit status.

    Raises:
        NoTerminal: there is no terminal to run on.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise NoTerminal
    command = [sys.executable, "-P", "-m", "kiosk.terminal", str(settings), str(os.getpid())]
    with _terminal_given_back():
        child = subprocess.Popen(command, env=scrubbed(os.environ))  # noqa: S603 - our own interpreter and module
        with _signals_passed_on(child):
            return child.wait()


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what must not reach a kiosk; text is UTF-8 whatever the locale says."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in _SCRUBBED and not name.startswith(_SCRUBBED_PREFIXES)
    }
    return {**kept, "PYTHONUTF8": "1"}


@contextmanager
def _terminal_given_back() -> Iterator[None]:
    modes = termios.tcgetattr(sys.stdin.fileno())
    try:
        yield
    finally:
        with suppress(OSError, termios.error):  # the terminal itself may have been closed
            os.write(sys.stderr.fileno(), _RESET.encode())
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, modes)


@contextmanager
def _signals_passed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, _: FrameType | None) -> None:
        child.send_signal(signal.SIGTERM if number == signal.SIGINT else number)

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        if child.poll() is None:
            _end(child)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
