"""Counting down in short steps.

asyncio keeps a cancelled timer, and through its context the screen that set it, until the moment it would have rung.
So no screen of a visit sets a long one: a second after a visit nothing of it is held.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.widget import Widget

STEP = 1.0
"""Seconds between two looks."""
_SHORTEST = 0.05
_SLACK = 0.1


def count_down(widget: Widget, seconds: float, ended: Callable[[], None], tick: Callable[[], None]) -> None:
    """Call `tick` every second for as long as `widget` is there, and `ended` once `seconds` have gone by."""
    end = time.monotonic() + seconds

    def look() -> None:
        if time.monotonic() >= end - _SLACK:
            ended()
        tick()

    widget.set_interval(max(_SHORTEST, min(STEP, seconds)), look)
