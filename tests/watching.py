"""Over whatever reads bytes from outside: it does not hang, and it does not grow."""

from __future__ import annotations

import faulthandler
import resource
import signal
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

MOST_GROWTH = 128 * 1024
"""KiB by which the process may grow, whoever takes the memory, until everything is read."""
MOST_AT_ONCE = 32 * 1024 * 1024
"""Bytes that may be held by Python while one input is read."""
_UNHEARD = 30
"""Seconds more after which who hangs in C, where no signal is heard, ends with this process."""


@contextmanager
def in_time(seconds: int) -> Iterator[None]:
    """Nothing hangs."""

    def give_up(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + _UNHEARD, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def growing_little() -> Iterator[None]:
    """The process stays about as large as it was."""
    before = _size()
    yield
    assert _size() - before < MOST_GROWTH


@contextmanager
def holding_little() -> Iterator[None]:
    """Also for a moment; it takes time to look so closely."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < MOST_AT_ONCE


def _size() -> int:
    """The largest this process has been, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
