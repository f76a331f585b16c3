"""`python -m tests.program.on_failing_disc full|read-only DIRECTORY KIOSK-MODULE ARGUMENTS…`: with a disc of its own.

It is mounted at DIRECTORY in a namespace of this process, and is full or read-only when the module begins.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kiosk.journal import ROOM
from tests.flows.full_journal import WAY

_INSIDE = "inside"
_SIZE = 2 * ROOM


class Disc:
    """The disc of the process `process`, seen from outside of its namespace."""

    def __init__(self, process: int, directory: Path) -> None:
        self._process = process
        self._mounted = directory
        self._directory = Path(f"/proc/{process}/root{directory}")

    def fill(self, free: int = 0) -> None:
        """Leave so many bytes."""
        found = os.statvfs(self._directory)
        (self._directory / "filler").write_bytes(bytes(found.f_bavail * found.f_frsize - free))

    def make_room(self) -> None:
        (self._directory / "filler").unlink()

    def make_writable(self) -> None:
        enter = ["nsenter", "--user", "--preserve-credentials", "--mount", "--target", str(self._process)]
        subprocess.run([*enter, "mount", "-o", "remount,rw", str(self._mounted)], check=True)


def main() -> None:
    if sys.argv[1] != _INSIDE:
        os.execvp(WAY[0], [*WAY, sys.executable, "-m", __spec__.name, _INSIDE, *sys.argv[1:]])  # noqa: S606 - our own module
    _, _, failing, where, *module = sys.argv
    directory = Path(where)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "none", where], check=True)
    if failing == "full":
        (directory / "filler").write_bytes(bytes(_SIZE))
    else:
        subprocess.run(["mount", "-o", "remount,ro", where], check=True)
    os.execv(sys.executable, [sys.executable, "-m", *module])  # noqa: S606 - another of ours


if __name__ == "__main__":
    main()
