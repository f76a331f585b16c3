"""Every screen at every size in both languages: nothing is clipped, every line is reached, every button is big."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate, combinations

import pytest
from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from kiosk.desk import Desk, Destination, DestinationQuestion, OffReason, PinQuestion, Tries
from screens.widgets import phrases
from screens.widgets.blocks import Block, Drawn
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.page import Page
from screens.widgets.pin_field import PinField
from screens.widgets.pin_pad import PadKey
from tests.screens.gallery import NAMES
from tests.screens.stage import asking, screen_text
from tests.screens.tour import LANGUAGES, Tour, touring

SIZES = {"small": (80, 24), "usual": (120, 34), "big": (160, 45), "large-text": (60, 18)}
"""The last is the large-text mode: the same program in letters so big that only so many fit."""
LEAST_BUTTON = (16, 3)
LEAST_PAD_KEY = (8, 3)
"""A key of the PIN pad carries one sign and has eleven neighbours: twelve keys of 16 cells beside the field would need
a terminal of 90 cells. Where keys have 8 cells, in the large-text mode, these are 46 mm on a 15.6-inch panel."""
MOST_LINES = 2
"""Of what a button is called."""
MOST_PAGES = 12
PARTS = 3
"""In which the screens are looked at side by side."""
WIDE = 400
"""Cells at which nothing has to be broken."""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("part", range(PARTS))
async def test_every_screen_holds(part: int, language: str) -> None:
    async with touring(language, SIZES["usual"]) as tour:
        wrong: list[str] = []
        for name in NAMES[part::PARTS]:
            await tour.show(name)
            wrong += [f"{name}, {each}" for each in await faults_at_every_size(tour)]
        assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_reason_fits_on_either_button(language: str) -> None:
    async with touring(language, SIZES["usual"]) as tour:
        wrong: list[str] = []
        for why in OffReason:
            off = dict.fromkeys(Destination, why)
            await tour.ask(lambda desk, off=off: desk.choose_destination(DestinationQuestion(off)))  # type: ignore[misc]
            wrong += [f"{why}, {each}" for each in await faults_at_every_size(tour)]
        assert wrong == []


@pytest.mark.parametrize("size", SIZES)
async def test_a_resized_screen_is_laid_out_like_a_new_one(size: str) -> None:
    """So that above one screen at every size stands for a new one at each."""
    async with touring("ja", SIZES[size]) as new, touring("ja", SIZES["usual"]) as resized:
        for name in ("standby-ready", "pin", "renewal-start", "problem-expired"):
            await new.show(name)
            await resized.show(name)
            await resized.resize(SIZES[size])
            assert screen_text(resized.app) == screen_text(new.app), name
            await resized.resize(SIZES["usual"])


async def faults_at_every_size(tour: Tour) -> list[str]:
    """Everything that is wrong with the screen that is shown, at one size after another."""
    found: list[str] = []
    for size, cells in SIZES.items():
        await tour.resize(cells)
        found += [f"{size}: {each}" for each in await faults(tour)]
    return found


async def faults(tour: Tour) -> list[str]:
    """Everything that is wrong with the screen that is shown."""
    found = clipped(tour) + bad_buttons(tour)
    for page in tour.app.screen.query(Page):
        found += lost_by_breaking(page) + await lost_by_paging(tour, page)
    return found


def clipped(tour: Tour) -> list[str]:
    """Widgets that are not on the screen as a whole, or hold less than they have to say."""
    found = []
    screen = tour.app.screen
    for widget in screen.query(Widget):
        if not widget.display or not all(each.display for each in widget.ancestors if isinstance(each, Widget)):
            continue
        placed = screen.find_widget(widget)
        if placed.visible_region != placed.region:
            found.append(f"{widget!r} is cut at {placed.visible_region} of {placed.region}")
        said = widget.render()
        if isinstance(said, Content):
            lines = said.plain.split("\n") if said.plain else []
            if len(lines) > widget.size.height:
                found.append(f"{widget!r} says {len(lines)} lines in {widget.size.height} rows: {said.plain!r}")
            found += [
                f"{widget!r} has {widget.size.width} cells for {line!r}"
                for line in lines
                if cell_len(line) > widget.size.width
            ]
    return found


def bad_buttons(tour: Tour) -> list[str]:
    """Buttons that are small, cut, or lie over each other."""
    found = []
    screen = tour.app.screen
    sheet = screen.query_one("#sheet").region
    buttons = [each for each in screen.query(Choice) if each.display]
    keys = list(screen.query(PadKey))
    for target in (*buttons, *keys):
        width, height = LEAST_BUTTON if isinstance(target, Choice) else LEAST_PAD_KEY
        if target.region.width < width or target.region.height < height:
            found.append(f"{target!r} is too small: {target.region}")
        if not sheet.contains_region(target.region):
            found.append(f"{target!r} is not on the sheet: {target.region} of {sheet}")
    for each in buttons:
        if each.region.height < each.rows_at(each.region.width):
            found.append(f"{each!r} cannot say all of {each.label!r}")
        hang = cell_len(each._chip()) + 1
        found += [f"{each!r} breaks a word: {lines}" for lines in broken_words(each, each.size.width - hang)]
        if len(phrases.wrap(each.label, each.size.width - hang)) > MOST_LINES:
            found.append(f"{each!r} is called by a column of words")
    found += [
        f"{one!r} and {other!r} overlap"
        for one, other in combinations((*buttons, *keys), 2)
        if one.region.overlaps(other.region)
    ]
    return found


def broken_words(button: Choice, width: int) -> list[list[str]]:
    """The label and the note, where a line of them ends inside a word of English or a phrase of Japanese."""
    found = []
    for text in filter(None, (button.label, button.note)):
        ends = set(accumulate(len(solid(phrase)) for phrase in phrases._units(text)))
        lines = phrases.wrap(text, width)
        if not set(accumulate(len(solid(line)) for line in lines)) <= ends:
            found.append(lines)
    return found


def lost_by_breaking(page: Page) -> list[str]:
    """Letters that a block tells where there is room for them, and not at the width of this page."""
    found = []
    for block in page._blocks:
        if isinstance(block, Drawn):
            continue  # a picture is decoration, left out as a whole where it does not fit
        lost = letters(block, WIDE) - letters(block, page.size.width)
        if lost:
            found.append(f"{type(block).__name__} loses {''.join(lost)!r}")
        too_wide = [row.plain for row in block.rows(page.size.width) if row.cell_length > page.size.width]
        found += [f"{type(block).__name__} is wider than the page: {row!r}" for row in too_wide]
    return found


def letters(block: Block, width: int) -> Counter[str]:
    """Letters and figures of the block; shapes stretch with the width."""
    return Counter(sign for row in block.rows(width) for sign in row.plain if sign.isalnum())


async def lost_by_paging(tour: Tour, page: Page) -> list[str]:
    """Rows of the blocks that no page shows, or that come in another order."""
    wanted, undrawn = told_by(page, drawn=True), told_by(page, drawn=False)
    seen: list[str] = []
    bar = places(tour)
    found = []
    if page.count > MOST_PAGES:
        return [f"{page.count} pages"]
    if page.count > 1 and not any(each.display for each in tour.app.screen.query("#more")):
        return [f"{page.count} pages, and no button to turn them"]
    if page._number:
        page.turn(-page._number)
        await tour.settle()
    for number in range(page.count):
        seen += [row for row in rendered(tour, page.content_region) if row]
        if page.count > 1:
            more = tour.app.screen.query_one("#more", Choice)
            if f"{number + 1}/{page.count}" not in more.label:
                found.append(f"{more.label!r} on page {number + 1} of {page.count}")
            await tour.pilot.press(more.digit)
            await tour.settle()
            if places(tour) != bar:
                found.append("the buttons move while paging")
    if seen != wanted and seen != undrawn:
        missing = [row for row in wanted if row not in seen]
        found.append(f"pages lose {missing}" if missing else f"pages tell in another order: {seen} for {wanted}")
    return found


def told_by(page: Page, *, drawn: bool) -> list[str]:
    """The rows of the page's blocks, in order, with or without pictures."""
    blocks = [block for block in page._blocks if drawn or not isinstance(block, Drawn)]
    rows = [row.plain for block in blocks for row in block.rows(page.size.width)]
    return [solid(row) for row in rows if row.strip()]


def places(tour: Tour) -> list[tuple[str | None, Region]]:
    """Where the buttons stand."""
    return [(each.id, each.region) for each in tour.app.screen.query(Choice) if each.display]


def rendered(tour: Tour, region: Region) -> list[str]:
    """The cells of a region as they are on the screen, row by row, without spaces."""
    strips = tour.app.screen._compositor.render_strips()[region.y : region.bottom]
    return [solid(strip.crop(region.x, region.right).text) for strip in strips]


def solid(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("sizes", [("usual", "large-text"), ("large-text", "big"), ("small", "usual")])
async def test_a_resize_keeps_the_question_its_focus_and_the_typed_pin(sizes: tuple[str, str]) -> None:
    before, after = (SIZES[each] for each in sizes)

    async def ask(desk: Desk) -> object:
        pin = await desk.ask_pin(PinQuestion("USB", refused=False, tries=Tries.PLENTY, shortest=4, longest=8))
        return pin.take() if pin else None

    async with asking(ask, size=before) as (pilot, reception):
        await pilot.press("1", "2", "3")
        question = pilot.app.screen
        await pilot.resize_terminal(*after)
        await pilot.pause()
        assert pilot.app.screen is question
        assert isinstance(pilot.app.focused, PinField)
        assert pilot.app.focused.render().plain.count("●") == 3
        await pilot.press("4", "enter")
        await reception.ended()
        assert bytes(reception.answers[0]) == b"1234"


@pytest.mark.parametrize("name", ["renewal-start", "completion-usb", "completion-pc"])
async def test_a_resize_keeps_the_place_in_a_long_text(name: str) -> None:
    async with touring("ja", SIZES["large-text"]) as tour:
        await tour.show(name)
        screen = tour.app.screen
        last = [each for each in screen.query(Choice) if each.display and not each.disabled][-1]
        last.focus()
        await tour.pilot.press("2")
        for size in ("small", "large-text", "big", "large-text"):
            await tour.pilot.resize_terminal(*SIZES[size])
            await tour.pilot.pause()
            assert tour.app.screen is screen
            assert screen.focused is not None
            assert screen.focused.display
            assert screen.query_one(Page).count >= 1
            assert await faults(tour) == []


def test_a_bar_gives_its_buttons_one_order() -> None:
    bar = Choices([Choice("はい", digit="1"), Choice("いいえ", digit="0"), Choice("つづき", digit="2", back=True)])
    assert [each.digit for each in bar.buttons] == ["1", "0", "2"]
