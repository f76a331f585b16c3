"""How long a customer may leave the kiosk untouched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class IdleLimit:
    """Seconds without a touch, counted only while the customer is expected to do something."""

    def __init__(self, seconds: float, last_touched: Callable[[], float]) -> None:
        """Allow `seconds`; `last_touched` is in the scale of `time.monotonic`."""
        self._seconds = seconds
        self._last_touched = last_touched
        self._counted_from = time.monotonic()
        self._suspensions = 0

    async def reached(self) -> None:
        """Wait until the customer has left the kiosk untouched for the whole limit."""
        while True:
            remaining = self._remaining()
            if remaining <= 0:
                return
            await asyncio.sleep(remaining)

    @property
    def is_suspended(self) -> bool:
        """Whether the machine is at work."""
        return self._suspensions > 0

    def restart(self) -> None:
        """Count from now."""
        self._counted_from = time.monotonic()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """The machine is at work: nothing is expected of the customer, and the count starts anew afterwards."""
        self._suspensions += 1
        try:
            yield
        finally:
            self._suspensions -= 1
            self.restart()

    def _remaining(self) -> float:
        if self.is_suspended:
            return self._seconds
        return max(self._last_touched(), self._counted_from) + self._seconds - time.monotonic()
