"""When a kiosk that has crashed is started again: at once, or after a pause that grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How many crashes are borne with, and how long is waited for what; in seconds."""

    crashes: int = 3
    """So many crashes..."""
    within: float = 60.0
    """...in so short a time are too many. Who has stood so long after a pause is trusted again."""
    first_pause: float = 30.0
    """Doubled with every pause after which the kiosk crashes again..."""
    longest_pause: float = 900.0
    """...up to this."""
    grace: float = 8.0
    """What a kiosk that is told to end gets for it: a little more than it gives itself."""
    first_sign: float = 120.0
    """A kiosk that gives no sign of life for so long after its start hangs..."""
    hung_after: float = 30.0
    """...and so does one that gives none for so long later."""


class Crashes:
    """Counts the crashes of one kiosk."""

    def __init__(self, patience: Patience, stopwatch: Callable[[], float] = time.monotonic) -> None:
        """Count with `patience`; `stopwatch` tells seconds."""
        self.patience = patience
        self._stopwatch = stopwatch
        self._begun = stopwatch()
        self._times: list[float] = []
        self._pauses = 0
        """Since it last stood for long enough."""
        self._hung = 0.0
        """Seconds for which kiosks were waited for that turned no more: such a time is not one they have stood."""

    def begin(self) -> None:
        """The kiosk is started now."""
        self._begun = self._now()

    def pause(self, hung: float = 0.0) -> float:
        """The kiosk has crashed now: how many seconds to wait before it is started again; 0 is at once.

        Before that it had not turned for `hung` seconds.
        """
        self._hung += hung
        now, patience = self._now(), self.patience
        if now - self._begun >= patience.within:
            self._pauses = 0
        self._times = [each for each in self._times if now - each < patience.within] + [now]
        if not self._pauses and len(self._times) < patience.crashes:
            return 0.0
        pause = min(patience.first_pause * 2.0 ** min(self._pauses, 64), patience.longest_pause)
        self._pauses += 1
        return pause

    def _now(self) -> float:
        return self._stopwatch() - self._hung
