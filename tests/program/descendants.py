"""What a test has started, down to the last grandchild, and nothing a neighbour on the same machine has."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Process:
    pid: int
    command: str
    parent: int
    ended: bool
    """Whether only its exit status is left (a zombie)."""


class Descendants:
    """The processes below this one that have come since; who is orphaned stays below us (PR_SET_CHILD_SUBREAPER)."""

    def __init__(self) -> None:
        self._before = {each.pid for each in below_us()}

    def running(self) -> list[Process]:
        return [each for each in below_us() if each.pid not in self._before and not each.ended]

    def the_one(self, words: str) -> Process:
        """The one whose command line says `words`."""
        (found,) = (each for each in self.running() if words in each.command)
        return found

    def are_gone(self, seconds: float = 10.0) -> bool:
        """Whether all of them end by themselves."""
        end = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def bury(self) -> None:
        """Take the exit status of those that came to us as orphans and have ended."""
        for each in below_us():
            if each.ended and each.parent == os.getpid() and each.pid not in self._before:
                with suppress(ChildProcessError):
                    os.waitpid(each.pid, os.WNOHANG)


@contextmanager
def watching_descendants() -> Iterator[Descendants]:
    """Know every process that is started below us meanwhile, also one whose parent is gone."""
    _adopt_orphans(True)
    descendants = Descendants()
    try:
        yield descendants
    finally:
        descendants.bury()
        _adopt_orphans(False)


def _adopt_orphans(yes: bool) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def below_us() -> list[Process]:
    """Children, and theirs, as they are now."""
    everybody = [found for entry in Path("/proc").iterdir() if entry.name.isdecimal() and (found := _read(entry))]
    below: list[Process] = []
    parents = {os.getpid()}
    while parents:
        children = [each for each in everybody if each.parent in parents]
        below += children
        parents = {each.pid for each in children}
    return below


def _read(entry: Path) -> Process | None:
    try:
        command = (entry / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        state, parent, *_ = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None  # it has ended meanwhile
    return Process(int(entry.name), command, int(parent), state in "ZX")
