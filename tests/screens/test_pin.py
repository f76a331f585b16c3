"""The PIN: typed by key or finger, handed over once, nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from textual.app import App
from textual.message import Message
from textual.widget import Widget

from kiosk.app import KioskApp
from kiosk.desk import Desk, PinQuestion, Tries
from kiosk.pin import Pin
from screens.widgets.pin_field import PinField
from screens.widgets.pin_pad import PadKey
from tests.screens.samples import fixed_clock
from tests.screens.stage import BRANCH, SIZE, OneQuestion, asking, screen_text, until

CANARY = "48151623"
QUESTION = PinQuestion(token_label="SHINKIN-USB", refused=False, tries=Tries.PLENTY, shortest=4, longest=8)


def ask(desk: Desk) -> Awaitable[Pin | None]:
    return desk.ask_pin(QUESTION)


def handed_over(reception: OneQuestion) -> bytes:
    (pin,) = reception.answers
    assert isinstance(pin, Pin)
    return bytes(pin.take())


async def test_typed_by_keys() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press(*"1239", "backspace", *"456", "enter")
        await reception.ended()
        assert handed_over(reception) == b"123456"


async def test_typed_on_the_pad() -> None:
    async with asking(ask) as (pilot, reception):
        keys = list(pilot.app.screen.query(PadKey))
        for key in (0, 1, 2, 9, 10, 10, 11):  # 1 2 3 訂正 0 0 確定
            await pilot.click(keys[key])
        await reception.ended()
        assert handed_over(reception) == b"1200"


async def test_corners_of_the_pad_by_focus() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press(*"12345", "tab", "enter", "tab", "enter")
        await reception.ended()
        assert handed_over(reception) == b"1234"


async def test_one_digit_too_many_is_not_taken() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press(*"1234567890", "enter")
        await reception.ended()
        assert handed_over(reception) == b"12345678"


async def test_too_short_a_pin_is_not_handed_over() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press(*"123", "enter")
        await pilot.pause()
        assert "4桁以上で入力してください" in screen_text(pilot.app)
        await pilot.press("4", "enter")
        await reception.ended()
        assert handed_over(reception) == b"1234"


async def test_a_digit_counts_wherever_the_focus_is() -> None:
    async with asking(ask) as (pilot, reception):
        pilot.app.screen.query_one("#cancel").focus()
        await pilot.press(*"1234", "enter")
        await reception.ended()
        assert handed_over(reception) == b"1234"


async def test_nothing_to_correct_offers_the_way_out_and_takes_nobody_out() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press("1", "backspace", "backspace")
        await pilot.pause()
        assert pilot.app.focused is pilot.app.screen.query_one("#cancel")
        await pilot.press("enter")
        await reception.ended()
        assert reception.answers == [None]


async def test_refusal_and_few_tries_are_said_plainly() -> None:
    refused = PinQuestion(token_label="X", refused=True, tries=Tries.FEW, shortest=4, longest=8)
    async with asking(lambda desk: desk.ask_pin(refused)) as (pilot, _):
        text = screen_text(pilot.app)
        assert "暗証番号が違います" in text
        assert "入力できる回数が残りわずかです。" in text


async def test_the_field_shows_dots_of_one_width() -> None:
    async with asking(ask) as (pilot, _):
        field = pilot.app.screen.query_one(PinField)
        before = field.render().cell_length
        await pilot.press(*"123")
        assert field.render().plain.count("●") == 3
        assert field.render().cell_length == before


async def test_the_canary_is_nowhere() -> None:
    messages: list[str] = []

    def listen(message: Message) -> None:
        messages.append(f"{message!r} {vars(message) if hasattr(message, '__dict__') else ''}")

    reception = OneQuestion(ask)
    app = KioskApp(reception, BRANCH, fixed_clock)
    async with app.run_test(size=SIZE, message_hook=listen) as pilot:
        await until(lambda: app.current_mode == "visit")
        await pilot.pause()
        await pilot.press(*CANARY)
        picture = app.export_screenshot()
        told = _everything_widgets_tell(app)
        await pilot.press("enter")
        await reception.ended()
        assert messages
        for place in (picture, told, *messages, repr(reception.answers), app.export_screenshot()):
            assert CANARY not in place
        assert handed_over(reception) == CANARY.encode()


@pytest.mark.parametrize("last", ["enter", "escape"])
async def test_the_field_is_wiped_when_it_is_handed_over_or_cancelled(last: str) -> None:
    async with asking(ask) as (pilot, _):
        field = pilot.app.screen.query_one(PinField)
        await pilot.press(*"1234")
        assert bytes(field._typed[:4]) == b"1234"
        await pilot.press(last)
        await until(lambda: not any(field._typed))


async def test_the_field_is_wiped_when_the_question_is_taken_away() -> None:
    cut = asyncio.Event()

    async def until_cut(desk: Desk) -> None:
        question = asyncio.ensure_future(ask(desk))
        await cut.wait()
        question.cancel()
        await asyncio.gather(question, return_exceptions=True)

    async with asking(until_cut) as (pilot, reception):
        field = pilot.app.screen.query_one(PinField)
        await pilot.press(*"1234")
        cut.set()
        await reception.ended()
        assert not any(field._typed)


def _everything_widgets_tell(app: App[None]) -> str:
    """Representations of all widgets and of every value they hold that is not the field's bytearray."""
    told: list[str] = []
    widgets: list[Widget] = [app.screen, *app.screen.walk_children(Widget)]
    for widget in widgets:
        told.append(repr(widget))
        told += [repr(value) for name, value in vars(widget).items() if name != "_typed"]
    return "\n".join(told)
