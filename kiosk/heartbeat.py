"""Whether a process still turns: bytes that it writes into a pipe, and somebody who counts its silence.

Who counts may be stopped or late itself, and who is silent may only be stopped. So silence is what has passed between
looks of one's own, and a look counts for no more than the time to the next; a machine that sleeps has no looks.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_EVERY = 5.0
"""Seconds between two bytes."""
_LOOKS = 6
"""In the shorter of the times after which silence is too long."""
_READ_AT_ONCE = 4096
_STOPPED = "Tt"
"""Stopped by a signal, or by a debugger (proc_pid_stat(5))."""


async def beat_for_ever(pipe: int, by_way_of: Callable[[Callable[[], None]], object]) -> None:
    """Write a byte into `pipe` again and again. A reader that has stopped reading is not waited for.

    What writes it is handed to `by_way_of`, so that its queue is proven as well.
    """
    os.set_blocking(pipe, False)
    while True:
        by_way_of(lambda: _beat(pipe))
        await asyncio.sleep(_EVERY)


def _beat(pipe: int) -> None:
    with suppress(OSError):
        os.write(pipe, b".")


class Silence:
    """How long the process `process` has not been heard, in the time of whoever looks."""

    def __init__(
        self,
        pipe: int,
        process: int,
        first_sign: float,
        too_long: float,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to listen; all times are in seconds.

        Args:
            pipe: What the process writes into; reading from it does not block.
            process: Its number.
            first_sign: How long it may be silent from the start, until it is heard for the first time...
            too_long: ...and from then on.
            stopwatch: One that stands while the machine sleeps.
        """
        self.seconds = 0.0
        """That have counted so far."""
        self.look_every = min(first_sign, too_long) / _LOOKS
        """Seconds from one look to the next."""
        self._pipe = pipe
        self._process = process
        self._limit = first_sign
        self._too_long = too_long
        self._stopwatch = stopwatch
        self._looked = stopwatch()

    def is_too_long(self) -> bool:
        """Look now."""
        now = self._stopwatch()
        passed, self._looked = min(now - self._looked, self.look_every), now
        if self._heard():
            self.seconds, self._limit = 0.0, self._too_long
        elif not _is_stopped(self._process):
            self.seconds += passed
        return self.seconds >= self._limit

    def _heard(self) -> bool:
        try:
            return bool(os.read(self._pipe, _READ_AT_ONCE))
        except BlockingIOError:
            return False


def _is_stopped(process: int) -> bool:
    """Whether somebody has stopped it, who can have it go on."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return False
    return told.rpartition(")")[2].split()[0] in _STOPPED
