"""Every text cell 7:1 or better in both themes; nothing is told by colour alone; nothing blinks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region
from textual.widget import Widget

from screens.themes import themes
from screens.widgets.choice import Choice
from screens.widgets.looks import Look
from screens.widgets.trail import Stage, Trail
from tests.screens.gallery import NAMES
from tests.screens.stage import until
from tests.screens.tour import LANGUAGES, Tour, touring

SIZE = (80, 24)
LEAST = 7.0
LEAST_SHAPE = 3.0
"""What WCAG 2 asks of the edge of something that can be pressed."""
DRAWN = frozenset("▪▄▀█▌▁━─╭╮╰╯│┏┓┗┛┃○ 　")
"""Shapes, not text: contrast of 7:1 is asked of letters."""
THEMES = tuple(theme.name for theme in themes())

Cell = tuple[str, bool, bool, bool]
"""What is left of a cell without its colours: sign, bold, reverse, underline."""


@pytest.mark.parametrize(("theme", "language"), zip(THEMES, LANGUAGES, strict=True))
async def test_every_text_has_contrast_and_nothing_blinks(theme: str, language: str) -> None:
    """Colours go by theme and look, whatever the language: each theme is looked at in one of them."""
    async with touring(language, SIZE) as tour:
        await tour.show(NAMES[0])
        await dressed(tour, theme)
        wrong: list[str] = []
        for name in NAMES:
            await tour.show(name)
            wrong += [f"{name}: {each}" for each in faint(tour)]
        assert tour.app.theme == theme
        assert wrong == []


async def dressed(tour: Tour, theme: str) -> None:
    """Change the theme, and wait until the screen wears it."""
    tour.app.theme = theme
    ground = Color.parse(tour.app.theme_variables["ground"])
    await until(lambda: tour.app.screen.styles.background == ground)
    await tour.settle()


def faint(tour: Tour) -> Iterator[str]:
    """Runs of text whose contrast is too small, or that are dimmed or blink."""
    for row in tour.app.screen._compositor.render_strips():
        for segment in row:
            style = segment.style
            assert style, "every cell has a style"
            if style.blink or style.blink2:
                yield f"{segment.text!r} blinks"
            if set(segment.text) - DRAWN and (style.dim or contrast(segment) < LEAST):
                yield f"{segment.text!r} has a contrast of {contrast(segment):.1f}"


def contrast(segment: Segment) -> float:
    style = segment.style
    assert style
    assert style.color
    assert style.bgcolor
    return ratio(Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor))


def ratio(one: Color, other: Color) -> float:
    """Contrast as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: Color) -> float:
    channels = [channel / 255 for channel in color.rgb]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_formula_is_that_of_wcag() -> None:
    assert ratio(Color(0, 0, 0), Color(255, 255, 255)) == pytest.approx(21)
    assert ratio(Color.parse("#777777"), Color.parse("#ffffff")) == pytest.approx(4.48, abs=0.01)


async def test_focus_is_seen_without_any_colour() -> None:
    """Signs, weight and reverse alone tell where the focus is; a monochrome terminal shows no more than these."""
    async with touring("ja", SIZE) as tour:
        wrong: list[str] = []
        seen: set[type] = set()
        for name in NAMES:
            await tour.show(name)
            screen = tour.app.screen
            if type(screen) in seen:
                continue
            seen.add(type(screen))
            chain = list(screen.focus_chain)
            screen.set_focus(None)
            await tour.settle()
            without = {widget: cells(tour, widget.region) for widget in chain}
            for widget in chain:
                screen.set_focus(widget)
                await tour.pilot.pause()
                assert screen.focused is widget
                if cells(tour, widget.region) == without[widget]:
                    wrong.append(f"{name}: {widget!r}")
        assert wrong == []


@pytest.mark.parametrize("theme", THEMES)
async def test_focus_stands_out_from_the_sheet(theme: str) -> None:
    async with touring("ja", SIZE) as tour:
        for name in ("pin", "main-menu", "web-access-1"):
            await tour.show(name)
            await dressed(tour, theme)
            for widget in list(tour.app.screen.focus_chain):
                tour.app.screen.set_focus(widget)
                await tour.settle()
                assert focus_edge(tour, widget) >= LEAST_SHAPE, (name, widget)


def cells(tour: Tour, region: Region) -> list[list[Cell]]:
    """A part of the screen without its colours."""
    strips = tour.app.screen._compositor.render_strips()[region.y : region.bottom]
    return [
        [(sign, *_weight(segment.style)) for segment in strip.crop(region.x, region.right) for sign in segment.text]
        for strip in strips
    ]


def _weight(style: Style | None) -> tuple[bool, bool, bool]:
    return (bool(style and style.bold), bool(style and style.reverse), bool(style and style.underline))


def focus_edge(tour: Tour, widget: Widget) -> float:
    """The better of: the frame against its own ground, the ground against the sheet."""
    strips = tour.app.screen._compositor.render_strips()
    corner = strips[widget.region.y].crop(widget.region.x, widget.region.x + 1)
    beside = strips[widget.region.y].crop(widget.region.x - 1, widget.region.x)
    styles = [next(iter(strip)).style for strip in (corner, beside)]
    inside, outside = (Color.from_rich_color(style.bgcolor) for style in styles if style and style.bgcolor)
    frame = styles[0].color if styles[0] else None
    assert frame
    return max(ratio(Color.from_rich_color(frame), outside), ratio(inside, outside))


async def test_a_button_that_is_off_is_told_by_its_frame_and_its_reason() -> None:
    async with touring("ja", SIZE) as tour:
        for name in ("renewal-start", "main-menu-early"):
            await tour.show(name)
            off = [each for each in tour.app.screen.query(Choice) if each.disabled]
            assert off
            for each in off:
                assert each.note, "it says why"
                edge = {sign for sign, *_ in cells(tour, each.region)[0]}
                assert edge == {" "}, "no frame where there is nothing to press"


@pytest.mark.parametrize("stage", Stage)
async def test_the_present_station_is_told_without_colour(stage: Stage) -> None:
    """The station one is at is the only bold one, between spaces of its own."""
    async with touring("ja", SIZE) as tour:
        await tour.show("renewal-start")
        trail = tour.app.screen.query_one(Trail)
        trail._stage = stage
        trail.refresh()
        await tour.settle()
        (row,) = cells(tour, trail.content_region)
        bold = "".join(sign for sign, is_bold, *_ in row if is_bold)
        assert bold.strip() == trail._station(stage).plain.strip()


def test_warnings_have_a_mark_or_words_of_their_own() -> None:
    """The colour of a warning is never alone: the only look that warns is bold as well."""
    assert "bold" in Look.WARNING
    assert "bold" in Look.DONE
