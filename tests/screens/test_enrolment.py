"""電子証明書取得 on screens: an ID by key, finger and bare ten-key; a code that is told wrong before it costs a try."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from kiosk.app import KioskApp
from kiosk.credentials import IdShape
from kiosk.desk import (
    AnotherId,
    CodeQuestion,
    Desk,
    EnrolmentIdQuestion,
    Errand,
    ProblemAnswer,
    Standby,
    StandbyBoard,
    TypedIdQuestion,
)
from kiosk.errors import Code, Problem
from kiosk.one_time_code import OneTimeCode, make
from screens.frame import Question
from screens.widgets.code_field import CodeField
from screens.widgets.id_field import KEYS, IdField
from screens.widgets.pin_pad import PadKey
from tests.screens.gallery import IDS
from tests.screens.samples import fixed_clock
from tests.screens.stage import BRANCH, SIZE, OneQuestion, asking, screen_text, until

SHAPE = IdShape(4, 7)
CODE = make(lambda size: bytes(range(size))).secret.decode()
PAINTED = ("_layout_cache", "_render_cache", "_styles_cache")
"""Where Textual keeps what a widget last drew: the code is shown, so its own field's picture has it while it stands."""
WRONG = CODE[:-1] + str((int(CODE[-1]) + 1) % 10)


def ask_id(desk: Desk) -> Awaitable[str | None]:
    return desk.ask_enrolment_id(TypedIdQuestion(SHAPE))


def ask_code(desk: Desk) -> Awaitable[OneTimeCode | None]:
    return desk.ask_code(CodeQuestion("TKYM1408054"))


def strokes(holder_id: str) -> list[str]:
    """How an ID is typed on a bare ten-key."""
    struck: list[str] = []
    for character in holder_id:
        if character.isdigit():
            struck.append(character)
            continue
        key, letters = next((key, letters) for key, letters in KEYS.items() if character in letters)
        struck += [str(key), str(letters.index(character) + 1)]
    return struck


async def test_an_id_by_keyboard() -> None:
    async with asking(ask_id) as (pilot, reception):
        await pilot.press(*"tkym1408054", "enter")
        await reception.ended()
        assert reception.answers == ["TKYM1408054"]


async def test_an_id_by_a_keyboard_left_in_japanese() -> None:
    async with asking(ask_id) as (pilot, reception):
        for character in "ＴＫＹＭ１４０８０５４":
            await pilot.press(character)
        await pilot.press("enter")
        await reception.ended()
        assert reception.answers == ["TKYM1408054"]


async def test_an_id_by_ten_keys() -> None:
    async with asking(ask_id) as (pilot, reception):
        await pilot.press(*strokes("TKYM1408054"), "enter")
        await reception.ended()
        assert reception.answers == ["TKYM1408054"]


async def test_an_id_by_touch_and_each_key_says_what_it_does_now() -> None:
    async with asking(ask_id) as (pilot, reception):
        for label in ("8 TUV", "1 T", "5 JKL", "2 K", "9 WXYZ", "3 Y", "6 MNO", "1 M", *"1408054"):
            await touch(pilot, label)
        await touch(pilot, "確定")
        await reception.ended()
        assert reception.answers == ["TKYM1408054"]


async def test_what_all_ids_begin_with_is_there_already() -> None:
    prefixed = TypedIdQuestion(IdShape(4, 7, "TKYM"))
    async with asking(lambda desk: desk.ask_enrolment_id(prefixed)) as (pilot, reception):
        await pilot.press(*"1408054", "enter")
        await reception.ended()
        assert reception.answers == ["TKYM1408054"]


async def test_part_of_an_id_is_not_taken() -> None:
    async with asking(ask_id) as (pilot, reception):
        await pilot.press(*"TKYM14", "enter")
        await pilot.pause()
        assert "最後まで入力してください" in screen_text(pilot.app)
        await pilot.press(*"08054", "enter")
        await reception.ended()
        assert reception.answers == ["TKYM1408054"]


async def test_a_letter_is_corrected_before_and_after_it_was_chosen() -> None:
    async with asking(ask_id) as (pilot, reception):
        await pilot.press("2", "backspace", "8", "2", "backspace", "8", "1", *"KYM1408054", "enter")
        await reception.ended()
        assert reception.answers == ["TKYM1408054"]


@pytest.mark.parametrize("ask", [ask_id, ask_code])
@pytest.mark.parametrize("keys", [["escape"], ["backspace", "enter"], ["1", "escape"]])
async def test_the_way_back(ask: object, keys: list[str]) -> None:
    async with asking(ask) as (pilot, reception):  # type: ignore[arg-type]
        await pilot.press(*keys)
        await reception.ended()
        assert reception.answers == [None]


@given(st.text(string.ascii_uppercase, min_size=4, max_size=4), st.text("0123456789", min_size=7, max_size=7))
def test_every_id_can_be_typed_with_ten_keys(letters: str, digits: str) -> None:
    field = SilentIdField(SHAPE)
    for stroke in strokes(letters + digits):
        assert not field.is_complete
        field.type(int(stroke))
    assert (field.typed, field.is_complete) == (letters + digits, True)


@given(st.lists(st.one_of(st.integers(0, 9), st.sampled_from(string.ascii_uppercase), st.just("correct"))))
def test_whatever_is_typed_the_field_holds_the_beginning_of_an_id(keys: list[int | str]) -> None:
    field = SilentIdField(SHAPE)
    for key in keys:
        if isinstance(key, int):
            field.type(key)
        elif key == "correct":
            field.correct()
        else:
            field.type_letter(key)
        letters, digits = field.typed[:4], field.typed[4:]
        assert all(each in string.ascii_uppercase for each in letters)
        assert all(each in string.digits for each in digits)
        assert len(digits) <= 7
        assert field.is_complete is (len(field.typed) == 11)


class SilentIdField(IdField):
    """One that no screen listens to."""

    def changed(self) -> None:
        """Nobody is told."""

    def post_message(self, message: Message) -> bool:  # noqa: ARG002
        return False


async def test_a_code_by_keys() -> None:
    async with asking(ask_code) as (pilot, reception):
        await pilot.press(*CODE, "enter")
        await reception.ended()
        assert [each.secret.decode() for each in reception.answers] == [CODE]


async def test_a_code_by_touch() -> None:
    async with asking(ask_code) as (pilot, reception):
        for digit in CODE:
            await touch(pilot, digit)
        await touch(pilot, "確定")
        await reception.ended()
        assert [each.secret.decode() for each in reception.answers] == [CODE]


async def test_a_slip_of_the_finger_is_told_at_once_and_never_handed_over() -> None:
    async with asking(ask_code) as (pilot, reception):
        await pilot.press(*WRONG)
        await pilot.pause()
        assert "打ち間違い" in screen_text(pilot.app), "before anything was pressed to confirm it"
        await pilot.press("enter")
        await pilot.pause()
        assert reception.answers == []
        await pilot.press("backspace", CODE[-1])
        await pilot.pause()
        assert "打ち間違い" not in screen_text(pilot.app)
        await pilot.press("enter")
        await reception.ended()
        assert [each.secret.decode() for each in reception.answers] == [CODE]


async def test_half_a_code_is_not_handed_over() -> None:
    async with asking(ask_code) as (pilot, reception):
        await pilot.press(*CODE[:16], "enter")
        await pilot.pause()
        assert "17桁すべて" in screen_text(pilot.app)
        assert reception.answers == []


async def test_one_digit_too_many_is_not_taken() -> None:
    async with asking(ask_code) as (pilot, reception):
        await pilot.press(*CODE, "0", "enter")
        await reception.ended()
        assert [each.secret.decode() for each in reception.answers] == [CODE]


async def test_the_code_stands_in_its_groups() -> None:
    async with asking(ask_code) as (pilot, _):
        await pilot.press(*CODE)
        shown = pilot.app.screen.query_one(CodeField).render().plain.replace(" ", "")
        assert shown == CODE
        groups = [each.replace(" ", "") for each in pilot.app.screen.query_one(CodeField).render().plain.split("   ")]
        assert [len(each) for each in groups] == [4, 4, 4, 5]


async def test_a_refusal_is_said_until_something_is_typed() -> None:
    refused = CodeQuestion("TKYM1408054", refused=True)
    async with asking(lambda desk: desk.ask_code(refused)) as (pilot, _):
        assert "コードの期限が切れています。" in squeezed(pilot.app)
        await pilot.press("1")
        await pilot.pause()
        assert "コードの期限が切れています。" not in squeezed(pilot.app)


async def test_the_code_is_nowhere_but_on_its_own_screen() -> None:
    messages: list[str] = []

    def listen(message: Message) -> None:
        if type(message).__name__ != "Key":
            messages.append(f"{message!r} {vars(message) if hasattr(message, '__dict__') else ''}")

    reception = OneQuestion(ask_code)
    app = KioskApp(reception, BRANCH, fixed_clock)
    async with app.run_test(size=SIZE, message_hook=listen) as pilot:
        await until(lambda: app.current_mode == "visit")
        await pilot.pause()
        await pilot.press(*CODE)
        field = app.screen.query_one(CodeField)
        told = everything_widgets_tell(app)
        await pilot.press("enter")
        await reception.ended()
        after = screen_text(app) + app.export_screenshot()
        assert messages
        for place in (told, *messages, repr(reception.answers), after, app.clipboard):
            assert CODE not in "".join(place.split())
        assert not any(field._typed)
        assert CODE not in "".join(f"{field._layout_cache}".split())


@pytest.mark.parametrize("last", ["enter", "escape"])
async def test_the_field_is_wiped_when_it_is_handed_over_or_cancelled(last: str) -> None:
    async with asking(ask_code) as (pilot, _):
        field = pilot.app.screen.query_one(CodeField)
        await pilot.press(*CODE)
        assert bytes(field._typed) == CODE.encode()
        await pilot.press(last)
        await until(lambda: not any(field._typed))


async def test_the_field_is_wiped_when_the_question_is_taken_away() -> None:
    cut = asyncio.Event()

    async def until_cut(desk: Desk) -> None:
        question = asyncio.ensure_future(ask_code(desk))
        await cut.wait()
        question.cancel()
        await asyncio.gather(question, return_exceptions=True)

    async with asking(until_cut) as (pilot, reception):
        field = pilot.app.screen.query_one(CodeField)
        await pilot.press(*CODE[:8])
        cut.set()
        await reception.ended()
        assert not any(field._typed)


async def test_an_id_of_the_token_or_another_one_is_picked() -> None:
    question = EnrolmentIdQuestion(IDS[3:5])
    for key, answer in (("1", IDS[3]), ("2", IDS[4]), ("3", AnotherId.WANTED), ("0", None)):
        async with asking(lambda desk: desk.choose_enrolment_id(question)) as (pilot, reception):
            await pilot.press(key)
            await reception.ended()
            assert reception.answers == [answer]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["1"], ProblemAnswer.ENROL),
        (["enter"], ProblemAnswer.ENROL),
        (["3"], ProblemAnswer.CALL),
        (["0"], ProblemAnswer.READ),
    ],
)
@pytest.mark.parametrize("code", [Code.EXPIRED, Code.NO_CERTIFICATE])
async def test_the_problem_leads_on(code: Code, keys: list[str], answer: ProblemAnswer) -> None:
    async with asking(lambda desk: desk.show_problem(Problem(code), may_enrol=True)) as (pilot, reception):
        await pilot.press(*keys)
        await reception.ended()
        assert reception.answers == [answer]


class Lookout:
    """A reception that shows a board, and tells for which errand a visit would begin when the token comes."""

    def __init__(self, standby: Standby) -> None:
        self.standby = standby
        self.comes = asyncio.Event()
        self.errands: list[Errand] = []

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        board.show(self.standby)
        self.comes.clear()
        touch = asyncio.ensure_future(board.touched())
        token = asyncio.ensure_future(self.comes.wait())
        await asyncio.wait([touch, token], return_when=asyncio.FIRST_COMPLETED)
        touch.cancel()
        token.cancel()
        self.errands.append(board.errand)

    async def serve(self, desk: Desk) -> None:
        await desk.show_problem(Problem(Code.TOKEN_TAKEN_OUT))


async def next_standby(pilot: Pilot[None], lookout: Lookout, visits: int) -> None:
    """Wait for the visit, end it, and wait until the next customer is waited for."""
    await until(lambda: len(lookout.errands) == visits and isinstance(pilot.app.screen, Question))
    await pilot.pause()
    await pilot.press("1")
    await until(lambda: pilot.app.screen.query("#enrol") and not isinstance(pilot.app.screen, Question))
    await pilot.pause()


async def test_standby_leads_there_with_a_token_that_is_in() -> None:
    lookout = Lookout(Standby.READY)
    app = KioskApp(lookout, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: app.screen.query("#begin"))
        await pilot.press("2")
        await next_standby(pilot, lookout, 1)
        await pilot.press("1")
        await next_standby(pilot, lookout, 2)
        assert lookout.errands == [Errand.ENROLMENT, Errand.RENEWAL]


async def test_standby_waits_for_the_token_where_none_is_in() -> None:
    lookout = Lookout(Standby.INSERT)
    app = KioskApp(lookout, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: app.screen.query("#enrol"))
        await pilot.press("2")
        await until(lambda: "電子証明書取得のお手続き" in screen_text(app))
        lookout.comes.set()
        await next_standby(pilot, lookout, 1)
        assert "電子証明書取得のお手続き" not in screen_text(app), "the next customer has come for something else"
        lookout.comes.set()
        await next_standby(pilot, lookout, 2)
        assert lookout.errands == [Errand.ENROLMENT, Errand.RENEWAL]


async def test_who_changes_his_mind_at_standby_goes_back() -> None:
    lookout = Lookout(Standby.INSERT)
    app = KioskApp(lookout, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: app.screen.query("#enrol"))
        await pilot.press("2")
        await until(lambda: "電子証明書取得のお手続き" in screen_text(app))
        await pilot.press("2")
        await until(lambda: "電子証明書取得のお手続き" not in screen_text(app))
        lookout.comes.set()
        await next_standby(pilot, lookout, 1)
        assert lookout.errands == [Errand.RENEWAL]


async def touch(pilot: Pilot[None], label: str) -> None:
    """Touch the key of the pad that says this."""
    await pilot.pause()
    await pilot.click(next(key for key in pilot.app.screen.query(PadKey) if key.render().plain == label))


def squeezed(app: App[None]) -> str:
    """The screen's left half without line breaks, as a sentence over several rows is read."""
    left = [row[: len(row) // 2] for row in screen_text(app).splitlines()]
    return "".join("".join(left).split())


def everything_widgets_tell(app: App[None]) -> str:
    """Representations of all widgets and of every value they hold that is not the field's bytearray or its picture."""
    told: list[str] = []
    widgets: list[Widget] = [app.screen, *app.screen.walk_children(Widget)]
    for widget in widgets:
        told.append(repr(widget))
        own = {"_typed", *PAINTED} if isinstance(widget, CodeField) else set()
        told += [repr(value) for name, value in vars(widget).items() if name not in own]
    return "\n".join(told)
