"""How the kiosk's own child processes end: with their parent, and without leaving anything to read."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_DYING_SECONDS = 1.0
"""Which a killed process may take; one that hangs in a driver never ends."""


def end_with_parent(parent: int, how: signal.Signals) -> None:
    """Have the kernel send `how` to this process as soon as the process `parent` is gone, however that ended.

    A pipe that closes says the same, but not to a process that hangs inside a module. Where the parent went before
    this call, this process ends here.

    Raises:
        OSError: the kernel refused.
    """
    _prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        raise SystemExit("the parent process is gone")


@contextmanager
def finishing(parent: int, seconds: float) -> Iterator[None]:
    """Let what is done inside come to its end although the process `parent` goes; afterwards this one goes as well.

    After `seconds` the kernel ends it (SIGALRM, whose default is that), also where it hangs in a module.

    Raises:
        OSError: the kernel refused.
    """
    _prctl(_PR_SET_PDEATHSIG, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        end_with_parent(parent, signal.SIGKILL)


def outlive_parent_by(seconds: float, parent: int) -> None:
    """Have a thread end this process so long after the process `parent`: no handler is heard by one that hangs in C.

    Raises:
        OSError: the parent is gone already.
    """
    gone = os.pidfd_open(parent)

    def wait() -> None:
        select.select([gone], [], [])
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="parent", daemon=True).start()


class Orphans:
    """The descendants whose own parents have gone: they are this process's children from then on (prctl(2))."""

    def __init__(self) -> None:
        """Adopt them from now on.

        Raises:
            OSError: the kernel refused.
        """
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._own = _children()

    def reap(self, but: int = 0) -> set[int]:
        """Bury those adopted ones that have ended, `but` for a child of our own; who has not."""
        left = _children() - self._own - {but}
        for each in tuple(left):
            with suppress(ChildProcessError):
                if os.waitpid(each, os.WNOHANG)[0]:
                    left.discard(each)
        return left

    def outlast(self, seconds: float, wait: Callable[[int, float], bool]) -> bool:
        """Wait until the adopted ones have ended; those that have not after so long are killed, and left to the kernel.

        Args:
            seconds: For all of them.
            wait: Waits for a file that can be read, or for so long; whether it is to be waited no more.

        Returns:
            False where it is to be waited no more; nobody was killed then.
        """
        end = time.monotonic() + seconds
        for each in self.reap():
            with suppress(OSError), _ending(each) as ended:
                if wait(ended, end - time.monotonic()):
                    return False
                os.kill(each, signal.SIGKILL)
                wait(ended, _DYING_SECONDS)
        self.reap()
        return True


@contextmanager
def _ending(process: int) -> Iterator[int]:
    """A file that can be read once the process has ended (pidfd_open(2))."""
    ended = os.pidfd_open(process)
    try:
        yield ended
    finally:
        os.close(ended)


def _children() -> set[int]:
    """Of every thread of this process."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            found.update(int(each) for each in path.read_text().split())
    return found


def leave_no_core() -> None:
    """Make this process undumpable: no core file, not even through a core handler, and no reading by a debugger.

    Raises:
        OSError: the kernel refused.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
