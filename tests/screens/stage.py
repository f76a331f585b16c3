"""A stage for screens: a reception that asks one thing, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen

from kiosk.app import Branch, KioskApp
from kiosk.desk import Desk, StandbyBoard
from tests.screens.samples import fixed_clock

SIZE = (116, 24)
"""The cells of the kiosk display with its font at 16 points."""
BRANCH = Branch("みほん信用金庫", "本店営業部")


LIMIT = 30.0
"""Seconds after which what was waited for is taken as never coming, on a machine that is busy with other tests too."""


@dataclass
class Stopwatch:
    """One that a test turns by hand."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


async def for_ever() -> None:
    await asyncio.Event().wait()


@dataclass
class OneQuestion:
    """Serves customers with `ask`, `rounds` of them, keeps the answers, then waits for ever."""

    ask: Callable[[Desk], Awaitable[Any]]
    rounds: int = 1
    answers: list[Any] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    visits: int = 0

    async def wait_for_customer(self, board: StandbyBoard) -> None:  # noqa: ARG002
        if self.visits == self.rounds:
            self.over.set()
            await for_ever()
        self.visits += 1

    async def serve(self, desk: Desk) -> None:
        self.answers.append(await self.ask(desk))

    async def ended(self) -> None:
        """Wait until the last visit is over and the kiosk is back at standby."""
        async with asyncio.timeout(LIMIT):
            await self.over.wait()


@asynccontextmanager
async def asking(
    ask: Callable[[Desk], Awaitable[Any]],
    *,
    size: tuple[int, int] = SIZE,
    rounds: int = 1,
    answers: list[Any] | None = None,
    settle_seconds: float = 0.0,
    stopwatch: Callable[[], float] = time.monotonic,
) -> AsyncIterator[tuple[Pilot[None], OneQuestion]]:
    """A running kiosk whose customers are asked `ask`."""
    reception = OneQuestion(ask, rounds, [] if answers is None else answers)
    app = KioskApp(reception, BRANCH, fixed_clock, settle_seconds, stopwatch)
    async with running(app, size) as pilot:
        await until(lambda: app.current_mode == "visit" or reception.over.is_set())
        await pilot.pause()
        yield pilot, reception


@asynccontextmanager
async def running(app: App[None], size: tuple[int, int] = SIZE) -> AsyncIterator[Pilot[None]]:
    """A kiosk in so many cells, drawn only where a test looks."""
    with undrawn():
        async with app.run_test(size=size) as pilot:
            yield pilot


@contextmanager
def undrawn() -> Iterator[None]:
    """No screen draws itself for the terminal: none is there, and that is a third of the work.

    What `screen_text` and pictures show is drawn for them.
    """
    with patch.object(Screen, "_compositor_refresh", _take_as_drawn):
        yield


def _take_as_drawn(screen: Screen[object]) -> None:
    screen._dirty_widgets.clear()
    screen._compositor._dirty_regions.clear()
    screen.app._update_mouse_over(screen)


async def until(holds: Callable[[], object]) -> None:
    """Wait until `holds`; a test that waits in vain fails."""
    async with asyncio.timeout(LIMIT):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def at_rest(pilot: Pilot[Any]) -> str:
    """What can be read on the screen, once it does not change any more."""
    before, now = "", screen_text(pilot.app)
    while now != before:
        await pilot.pause()
        before, now = now, screen_text(pilot.app)
    return now


def kiosk(app: App[Any]) -> KioskApp:
    """The app of a pilot, by its type."""
    assert isinstance(app, KioskApp)
    return app


def screen_text(app: App[Any]) -> str:
    """What can be read on the screen, row by row."""
    rows = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in row) for row in rows)
