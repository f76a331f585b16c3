"""A kiosk that ends as it is told, for the launcher to start: each line of `ends` is how the next one ends."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from pathlib import Path

from kiosk.last_words import LastWords, leave

_DRAWN = "\x1b[?1049h\x1b[?1003h\x1b[?25l\x1b[2J\x1b[H"


def main() -> None:
    settings, _, pipe = sys.argv[1:]
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
        case ["deaf"]:
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
