"""A kiosk that ends as it is told, for the launcher to start: each line of `ends` is how the next one ends."""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
import tty
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from kiosk.last_words import LastWords, leave, leave_place_at_fault

_DRAWN = "\x1b[?1049h\x1b[?1003h\x1b[?25l\x1b[2J\x1b[H"
_EVERY = 0.1
"""Seconds from one heartbeat to the next."""


def main() -> None:
    settings, _, pipe, heartbeat = sys.argv[1:]
    ends = Path(settings).with_name("ends")
    how, *others = ends.read_text().splitlines() or ["stands"]
    ends.write_text("\n".join(others))
    tty.setraw(0, termios.TCSANOW)
    sys.stderr.write(f"{_DRAWN}this kiosk {how}")
    sys.stderr.flush()
    match how.split():
        case ["left"]:
            sys.exit(os.EX_OK)
        case ["raises"]:
            leave(LastWords(detail="ended by ZeroDivisionError at somewhere.py:7"), int(pipe))
            sys.exit(os.EX_SOFTWARE)
        case ["killed"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["blocked", code]:
            leave(LastWords(code, "no room"), int(pipe))
            sys.exit(os.EX_TEMPFAIL)
        case ["misconfigured"]:
            leave(LastWords(detail="the settings file is not understood"), int(pipe))
            sys.exit(os.EX_CONFIG)
        case ["leaves", "an", "orphan"]:
            if os.fork() == 0:
                _outlive(Path(settings).with_name("gate"), ended=Path(settings).with_name("ended"))
            os.kill(os.getpid(), signal.SIGKILL)
        case ["has", "helpers"]:
            for _ in range(3):
                _start_helper()
        case ["deaf"]:
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        case ["hangs", *and_is_deaf]:
            leave_place_at_fault(int(pipe))
            if and_is_deaf:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGABRT])
            os.write(int(heartbeat), b".")
            _do_nothing()
        case ["floods"]:
            _fill_terminal()
            Path(settings).with_name("full").touch()
            while True:
                os.write(2, b"#" * 65536)
        case ["begins", "never"]:
            _do_nothing()
        case ["begins", "slowly"]:
            threading.Event().wait(4.0)
    while True:
        os.write(int(heartbeat), b".")
        threading.Event().wait(_EVERY)


def _fill_terminal() -> None:
    """Write until nothing more is taken; through a file of its own, since the launcher shares the other one."""
    terminal = os.open(os.ttyname(2), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with suppress(BlockingIOError):
        while True:
            os.write(terminal, b"#" * 65536)


def _start_helper() -> None:
    """Whose own parent ends before it does, as that of a module's helper may."""
    parent = os.fork()
    if parent == 0:
        os.fork()
        os._exit(0)
    os.waitpid(parent, 0)


def _outlive(gate: Path, ended: Path) -> NoReturn:
    """Until somebody has opened and closed this named pipe."""
    gate.read_bytes()
    ended.touch()
    os._exit(0)


def _do_nothing() -> NoReturn:
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
