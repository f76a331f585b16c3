"""Every screen in both languages at the smallest size: nothing clipped, big targets, every text 7:1 or better."""

from __future__ import annotations

import asyncio

import pytest
from rich.segment import Segment
from textual.color import Color
from textual.pilot import Pilot

from kiosk.app import Branch, KioskApp
from kiosk.desk import Desk, StandbyBoard
from screens.between import BetweenScreen
from screens.widgets.choice import Choice
from screens.widgets.page import Page
from screens.widgets.pin_pad import PadKey
from tests.screens.gallery import BOARDS, NAMES, SCENES
from tests.screens.samples import fixed_clock
from tests.screens.stage import until

SMALLEST = (80, 24)
LEAST_CONTRAST = 7.0
DRAWN = frozenset("▄▀█▌▁━─╭╮╰╯│┏┓┗┛┃○ 　")
"""Shapes, not text: contrast of 7:1 is asked of letters."""


class Tour:
    """Shows one screen after another."""

    def __init__(self) -> None:
        self._name = ""
        self._go_on = asyncio.Event()

    def show(self, name: str) -> None:
        self._name = name
        self._go_on.set()

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        while True:
            if self._name in BOARDS:
                board.show(*BOARDS[self._name])
            elif self._name:
                return
            await self._next()

    async def serve(self, desk: Desk) -> None:
        while self._name in SCENES:
            scene = asyncio.ensure_future(SCENES[self._name](desk))
            await self._next()
            scene.cancel()
            await asyncio.gather(scene, return_exceptions=True)

    async def _next(self) -> None:
        await self._go_on.wait()
        self._go_on.clear()


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_every_screen_holds(language: str) -> None:
    tour = Tour()
    app = KioskApp(tour, Branch("みほん信用金庫", "本店営業部", "123456", language), fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=SMALLEST) as pilot:
        for name in NAMES:
            await shown(app, tour, name)
            await pilot.pause()
            check_buttons(app, name)
            check_contrast(app, name)
            await check_pages(app, pilot, name)


async def shown(app: KioskApp, tour: Tour, name: str) -> None:
    """Wait until the tour has come to `name`."""
    before = app.screen
    tour.show(name)
    await until(lambda: name in {*BOARDS, "between"} or (app.screen is not before and not _is_between(app)))


def _is_between(app: KioskApp) -> bool:
    return isinstance(app.screen, BetweenScreen)


def check_buttons(app: KioskApp, name: str) -> None:
    """Every button is on the sheet as a whole, and big enough for a finger."""
    sheet = app.screen.query_one("#sheet").region
    for button in app.screen.query(Choice):
        if button.display:
            assert sheet.contains_region(button.region), (name, button)
            assert button.region.width >= 16
            assert button.region.height >= 3
            assert button.region.height >= button.rows_at(button.region.width)
    for key in app.screen.query(PadKey):
        assert sheet.contains_region(key.region)


async def check_pages(app: KioskApp, pilot: Pilot[None], name: str) -> None:
    """Turning pages shows every row; where there is no button to turn them, there is one page."""
    for page in app.screen.query(Page):
        wanted = {row.plain for row in page.all_rows() if row.plain.strip()}
        seen: set[str] = set()
        for _ in range(page.count):
            shown = page.render().plain.split("\n")
            assert len(shown) <= max(page.size.height, 1)
            assert all(len(row) <= page.size.width for row in shown)
            seen |= set(shown)
            if page.count > 1:
                assert app.screen.query_one("#more", Choice).display
                await pilot.press("2")
        assert wanted <= seen, name
        assert page.size.height > 0 or not wanted, name


def check_contrast(app: KioskApp, name: str) -> None:
    """Per rendered cell."""
    for row in app.screen._compositor.render_strips():
        for segment in row:
            if set(segment.text) - DRAWN:
                assert contrast(segment) >= LEAST_CONTRAST, (name, segment)


def contrast(segment: Segment) -> float:
    style = segment.style
    assert style
    assert style.color
    assert style.bgcolor
    fore, back = Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)
    assert not style.dim
    return ratio(fore, back)


def ratio(one: Color, other: Color) -> float:
    """Contrast as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    channels = [channel / 255 for channel in color.rgb]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
