"""Asking again after a fault that may pass, of the way or of the CA: how often, after how long, and no longer than so.

Exponential back-off with full jitter, so that the kiosks of a whole bank do not come back in the same second.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from kiosk.cmp.errors import Fault
from kiosk.cmp.transaction import Monotonic, Sleep

T = TypeVar("T")

Uniform = Callable[[float, float], float]
"""Answers a random number between these two."""

_MOST_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class Pause:
    """Nobody could be asked: they will be asked again."""

    seconds: float
    fault: Fault
    tried: int
    """How often they were asked up to now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How a fault that may pass is got over. All times in seconds."""

    total: float = 60.0
    """From the first try on: no try begins later; 0 never tries again."""
    first: float = 1.0
    """The longest first pause; it doubles with every try."""
    longest: float = 15.0
    uniform: Uniform = random.SystemRandom().uniform
    sleep: Sleep = asyncio.sleep
    monotonic: Monotonic = time.monotonic

    async def __call__(
        self,
        ask: Callable[[], Awaitable[T]],
        *,
        may: Callable[[Fault], bool],
        pausing: Callable[[Pause], Awaitable[None]],
    ) -> T:
        """What comes of `ask`, tried again after faults that may pass.

        Args:
            ask: Asks anew, with a transaction of its own; no bytes are sent twice.
            may: Whether it is safe to ask again after this fault.
            pausing: Told before each pause.

        Raises:
            Fault: the last try's. It says that the request may have arrived if any try's may have.
        """
        ends = self.monotonic() + self.total
        may_have_arrived = False
        for tried in count(1):
            try:
                return await ask()
            except Fault as fault:
                may_have_arrived = fault.may_have_arrived = fault.may_have_arrived or may_have_arrived
                seconds = self._pause(tried, fault.retry_after)
                if not (fault.is_passing and may(fault)) or self.monotonic() + seconds >= ends:
                    raise
                await pausing(Pause(seconds, fault, tried))
                await self.sleep(seconds)
        raise AssertionError("it counts for ever")

    def _pause(self, tried: int, retry_after: float | None) -> float:
        """At least as long as the server wants, and then not with all others at once."""
        longest = min(self.longest, self.first * 2 ** min(tried - 1, _MOST_DOUBLINGS))
        return (retry_after or 0.0) + self.uniform(0.0, longest)


NEVER = Retry(total=0.0)
"""One try."""
