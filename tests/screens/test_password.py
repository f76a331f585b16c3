"""The password of this PC's certificate database: typed on the keyboard, handed over once; and the way to it."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.app import KioskApp
from kiosk.desk import Desk, Errand, PinQuestion, Standby, StandbyBoard, Tries
from kiosk.errors import Code, Problem
from kiosk.pin import Pin
from kiosk.tokens.wire import StoreKind
from screens.widgets.password_field import PasswordField
from tests.screens.samples import fixed_clock
from tests.screens.stage import BRANCH, SIZE, OneQuestion, asking, screen_text, until

QUESTION = PinQuestion(
    "NSS Certificate DB", refused=False, tries=Tries.PLENTY, shortest=1, longest=20, store=StoreKind.PC
)


def ask(desk: Desk) -> Awaitable[Pin | None]:
    return desk.ask_pin(QUESTION)


def handed_over(reception: OneQuestion) -> bytes:
    (pin,) = reception.answers
    assert isinstance(pin, Pin)
    return bytes(pin.take())


async def test_letters_digits_signs_and_spaces() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press(*"aB", "space", "9", "exclamation_mark", "x", "backspace", "enter")
        await reception.ended()
        assert handed_over(reception) == b"aB 9!"


async def test_the_button_confirms_and_typing_goes_on_wherever_the_focus_is() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press("a", "tab", "b")
        await pilot.click("#confirm")
        await reception.ended()
        assert handed_over(reception) == b"ab"


async def test_nothing_typed_is_not_handed_over() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press("enter")
        await until(lambda: "パスワードを入力してから" in screen_text(pilot.app))
        await pilot.press("a", "enter")
        await reception.ended()
        assert handed_over(reception) == b"a"


async def test_escape_gives_up() -> None:
    async with asking(ask) as (pilot, reception):
        await pilot.press("a", "escape")
        await reception.ended()
        assert reception.answers == [None]


async def test_a_wrong_one_is_told_and_nothing_typed_is_shown() -> None:
    async with asking(lambda desk: desk.ask_pin(replace(QUESTION, refused=True))) as (pilot, _):
        await pilot.press(*"canary")
        assert "パスワードが違います" in screen_text(pilot.app)
        assert "canary" not in screen_text(pilot.app)


@given(st.text())
def test_only_what_can_be_a_password_is_typed(text: str) -> None:
    field = PasswordField(20)
    typed = [each for each in text if field.takes(each)]
    for each in typed:
        field.type_character(each)
    assert bytes(field.hand_over().take()).decode("ascii") == "".join(typed)[:20]
    assert all(each.isprintable() for each in typed)


class Lookout:
    """A reception of a kiosk at which certificates of this PC can be used."""

    def __init__(self, standby: Standby) -> None:
        self._standby = standby
        self.errand: Errand | None = None

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        board.show(self._standby, pc_login=True)
        await board.touched()
        self.errand = board.errand

    async def serve(self, desk: Desk) -> None:
        await desk.show_problem(Problem(Code.PC_NO_CERTIFICATE))


@pytest.mark.parametrize("standby", [Standby.INSERT, Standby.READY])
async def test_standby_leads_there_with_and_without_a_token(standby: Standby) -> None:
    lookout = Lookout(standby)
    app = KioskApp(lookout, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: app.screen.query("#pc-login"))
        await pilot.press("4")
        await until(lambda: lookout.errand is not None)
        assert lookout.errand is Errand.PC_LOGIN
