"""Language and theme change in place: page, focus and what was typed stay, and all of it ends with the visit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from textual.app import App
from textual.pilot import Pilot

from kiosk.app import KioskApp
from kiosk.desk import Desk, PinQuestion, Tries
from screens.themes import DEFAULT_THEME
from screens.widgets.choice import Choice
from screens.widgets.language_key import LanguageKey
from screens.widgets.page import Page
from screens.widgets.picks import Picks
from screens.widgets.pin_field import PinField
from screens.widgets.qr_picture import qr_rows
from tests.screens.gallery import BOARDS, NAMES, SCENES, gallery_app
from tests.screens.samples import fixed_clock
from tests.screens.stage import BRANCH, SIZE, OneQuestion, asking, at_rest, kiosk, screen_text, until
from tests.screens.tour import touring

ASKED = [name for name in NAMES if name not in {*BOARDS, "between"}]
JAPANESE = set(map(chr, (*range(0x3041, 0x30FB), *range(0x4E00, 0x9FFF))))


async def test_every_screen_says_the_same_as_if_it_had_been_made_in_that_language() -> None:
    """Changed in place, and made anew: cell for cell the same, and back again."""
    wrong: list[str] = []
    made_in_english: dict[str, str] = {}
    async with touring("en", SIZE, branch=BRANCH) as tour:
        for name in ASKED:
            await tour.show(name)
            made_in_english[name] = await at_rest(tour.pilot)
    async with touring("ja", SIZE, branch=BRANCH) as tour:
        for name, english in made_in_english.items():
            await tour.show(name)
            japanese = await at_rest(tour.pilot)
            await press_language(tour.pilot)
            wrong += [f"{name}: said otherwise"] * (screen_text(tour.app) != english)
            await press_language(tour.pilot)
            wrong += [f"{name}: not as before"] * (screen_text(tour.app) != japanese)
            wrong += [f"{name}: Japanese is left"] * bool(JAPANESE & set(unnamed(english)))
    assert wrong == []


async def press_language(pilot: Pilot[None]) -> None:
    speaks = kiosk(pilot.app)._lobby.texts.language
    pilot.app.screen.query_one(LanguageKey).post_message(LanguageKey.Pressed())
    await until(lambda: kiosk(pilot.app)._lobby.texts.language != speaks)
    await at_rest(pilot)


def unnamed(text: str) -> str:
    """Without what is Japanese in every language: the bank's own name, and the name of the language."""
    return text.replace(BRANCH.bank, "").replace(BRANCH.name, "").replace("日本語", "")


async def test_by_digit_by_touch_and_by_focus() -> None:
    async with asking(SCENES["renewal-notice"]) as (pilot, reception):
        await pilot.press("9")
        await pilot.pause()
        assert "Renew now" in screen_text(pilot.app)
        await pilot.click(LanguageKey)
        await pilot.pause()
        assert "今すぐ更新する" in screen_text(pilot.app)
        await pilot.press("shift+tab", "enter")
        await pilot.pause()
        assert "Renew now" in screen_text(pilot.app)
        assert reception.answers == []


async def test_page_and_focus_stay() -> None:
    async with asking(SCENES["completion-usb"], size=(80, 24)) as (pilot, _):
        await pilot.press("2")
        await pilot.pause()
        more = pilot.app.screen.query_one("#more", Choice)
        more.focus()
        number = pilot.app.screen.query_one(Page)._number
        await press_language(pilot)
        assert pilot.app.focused is more
        assert number == pilot.app.screen.query_one(Page)._number == 1


async def test_the_page_of_the_rows_stays() -> None:
    async with asking(SCENES["choose-id-many"], size=(80, 24)) as (pilot, _):
        await pilot.press("8")
        await pilot.pause()
        before = [each.id for each in pilot.app.screen.query_one(Picks).picks if each.display]
        await press_language(pilot)
        assert [each.id for each in pilot.app.screen.query_one(Picks).picks if each.display] == before


def ask_pin(desk: Desk) -> Awaitable[object]:
    return desk.ask_pin(PinQuestion("USB", refused=False, tries=Tries.PLENTY, shortest=4, longest=8))


async def test_what_was_typed_stays_and_nine_is_a_digit() -> None:
    async with asking(ask_pin) as (pilot, reception):
        await pilot.press(*"1299")
        await press_language(pilot)
        assert "Please enter your PIN" in screen_text(pilot.app)
        assert pilot.app.focused is pilot.app.screen.query_one(PinField)
        await pilot.press("enter")
        await reception.ended()
        (pin,) = reception.answers
        assert bytes(pin.take()) == b"1299"


async def test_what_lies_below_another_screen_follows_when_it_is_seen_again() -> None:
    async def warned(desk: Desk) -> object:
        question = asyncio.ensure_future(SCENES["renewal-notice"](desk))
        await asyncio.sleep(0.1)
        await desk.ask_still_there(600)
        return await question

    async with asking(warned) as (pilot, _):
        await pilot.pause(0.2)
        await press_language(pilot)
        await pilot.press("1")
        await until(lambda: "Renew now" in screen_text(pilot.app))


async def test_language_and_theme_fall_back_after_the_visit() -> None:
    async with asking(SCENES["main-menu"]) as (pilot, reception):
        await pilot.press("9", "7")
        await pilot.pause()
        assert pilot.app.theme != DEFAULT_THEME
        assert "Normal colours" in screen_text(pilot.app)
        await pilot.press("0")
        await reception.ended()
        await until(lambda: "専用USBを差し込んでください" in screen_text(pilot.app))
        assert pilot.app.theme == DEFAULT_THEME


async def standing(app: App[None]) -> None:
    await until(lambda: app.screen.query("#call"))


async def test_language_and_theme_of_standby_go_with_the_customer() -> None:
    reception = OneQuestion(SCENES["renewal-notice"], rounds=1)
    begin = asyncio.Event()
    reception_waits = reception.wait_for_customer

    async def wait(board: object) -> None:
        await begin.wait()
        await reception_waits(board)  # type: ignore[arg-type]

    reception.wait_for_customer = wait  # type: ignore[method-assign]
    app = KioskApp(reception, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=SIZE) as pilot:
        await standing(app)
        await pilot.press("9", "7")
        await until(lambda: "Please plug in your USB token" in screen_text(app))
        begin.set()
        await until(lambda: "Renew now" in screen_text(app))
        assert app.theme != DEFAULT_THEME


@pytest.mark.parametrize("name", BOARDS)
async def test_staff_can_be_called_from_standby(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bells: list[None] = []
    app = gallery_app(name)
    monkeypatch.setattr(app, "bell", lambda: bells.append(None))
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: app.screen.query("#call"))
        await pilot.pause(0.1)
        called = asyncio.ensure_future(kiosk(app)._standby.called())  # type: ignore[union-attr]
        await pilot.pause()
        await pilot.press("3")
        await called
        await pilot.pause()
        assert "係員がまいります" in screen_text(app)
        assert bells == [None]
        await pilot.press("3")
        assert bells == [None], "once is enough"


async def test_a_call_from_a_problem_rings() -> None:
    async with asking(SCENES["problem-called"]) as (pilot, _):
        assert "係員がまいります" in screen_text(pilot.app)
        assert not pilot.app.screen.query("#call")


@pytest.mark.parametrize("size", [(80, 24), (116, 24), (120, 34), (160, 45)])
async def test_the_reminder_is_offered_exactly_where_its_code_fits(size: tuple[int, int]) -> None:
    async with asking(SCENES["completion-usb"], size=size) as (pilot, _):
        offered = not pilot.app.screen.query_one("#keep", Choice).disabled
    async with asking(SCENES["reminder"], size=size) as (pilot, _):
        await pilot.pause(0.1)
        assert ("▀▀▀▀▀▀▀" in screen_text(pilot.app)) is offered
        assert offered is (size[1] >= 34)
        assert ("入りません" in screen_text(pilot.app).replace("\n", "")) is not offered


async def test_the_code_on_the_screen_is_the_code_with_its_quiet_zone() -> None:
    async with asking(SCENES["help-page"], size=(80, 24)) as (pilot, _):
        await pilot.pause(0.1)
        text = screen_text(pilot.app)
        assert "https://www.example.jp/usb/" in text
        rows = qr_rows("https://www.example.jp/usb/")
        assert all(row in text for row in rows)
        assert rows[0].strip() == rows[1].strip() == "", "four modules of light above"
        assert all(row.startswith("    ") and row.endswith("    ") for row in rows)


async def test_a_help_page_without_room_for_the_code_says_so() -> None:
    async with asking(SCENES["help-page"], size=(60, 18)) as (pilot, _):
        await pilot.pause(0.1)
        seen = ""
        for _ in range(pilot.app.screen.query_one(Page).count):
            seen += screen_text(pilot.app)
            await pilot.press("2")
            await pilot.pause()
        assert "https://www.example.jp/usb/" in seen
        assert "この画面には" in seen
        assert "▀▀▀▀▀▀▀" not in seen
