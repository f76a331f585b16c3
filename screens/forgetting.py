"""What is remembered besides screens and widgets, and how it is forgotten when a customer has gone."""

from __future__ import annotations

import asyncio

from rich.cells import cached_cell_len
from rich.segment import Segment
from textual._styles_cache import StylesCache
from textual.dom import DOMNode

_ENOUGH = 400
"""Timers beside which those a kiosk has under way are less than half: then asyncio throws cancelled ones away."""
_LONG = 3600.0


def forget_texts() -> None:
    """Empty the caches that keep what was drawn.

    Widths and cuts are remembered with the text they are of, and the insides of borders with all that a widget drew.
    """
    cached_cell_len.cache_clear()
    Segment._split_cells.cache_clear()
    StylesCache.get_inner_outer.cache_clear()


def forget_timers() -> None:
    """Have the running loop throw away its cancelled timers.

    It keeps them until their time would have come, or until they are many and more than half of all. A timer that a
    screen has set, for the clock in its header or for its countdown, keeps that screen meanwhile by its context.
    """
    loop = asyncio.get_running_loop()
    for _ in range(_ENOUGH):
        loop.call_later(_LONG, int).cancel()


def forget_found(node: DOMNode) -> None:
    """Have `node` let go of the widgets that it has found below itself.

    `query_one` keeps the last 1024, with all that they hold; on a screen that is drawn anew for each customer they are
    those of the last hundreds of customers.
    """
    node._query_one_cache.clear()
