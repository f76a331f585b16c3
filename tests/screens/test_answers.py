"""Every screen is answered by its digit, by Enter on the focused button, by Tab or arrow and Enter, and by touch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from textual.pilot import Pilot

from kiosk.app import KioskApp
from kiosk.desk import (
    CleaningQuestion,
    Completion,
    CompletionAnswer,
    Desk,
    Destination,
    DestinationQuestion,
    Help,
    ImportAnnouncement,
    LastTryAnswer,
    LastTryQuestion,
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    OffReason,
    PadPurpose,
    PadQuestion,
    PadTrouble,
    ProblemAnswer,
    RenewalNotice,
    ResumptionQuestion,
    RetirementQuestion,
    WebAccessQuestion,
)
from kiosk.errors import Code, Problem
from screens.frame import Question
from screens.idle_warning import IdleWarningScreen
from screens.renewal_notice import RenewalNoticeScreen
from tests.screens.gallery import last_notice
from tests.screens.samples import NOW, certificate, credential, fixed_clock, new_certificate
from tests.screens.stage import BRANCH, SIZE, OneQuestion, asking, for_ever, screen_text, until

Ask = Callable[[Desk], Awaitable[Any]]
LONG = 600


def notice(desk: Desk) -> Awaitable[object]:
    return desk.show_notice(RenewalNotice(credential(), 20, NOW))


def menu(desk: Desk) -> Awaitable[object]:
    return desk.choose_from_menu(MainMenu(credential(), 20, None))


def early_menu(desk: Desk) -> Awaitable[object]:
    return desk.choose_from_menu(MainMenu(credential(), 60, NOW))


def destination(desk: Desk) -> Awaitable[object]:
    return desk.choose_destination(DestinationQuestion({}))


def usb_only(desk: Desk) -> Awaitable[object]:
    return desk.choose_destination(DestinationQuestion({Destination.PC: OffReason.NOT_OFFERED}))


def web_access(desk: Desk) -> Awaitable[object]:
    return desk.confirm_web_access(WebAccessQuestion(1, 2, "CA"))


def key_export(desk: Desk) -> Awaitable[object]:
    return desk.announce_key_export()


def import_(desk: Desk) -> Awaitable[object]:
    return desk.announce_import(ImportAnnouncement(new_certificate(), LONG))


def imported(desk: Desk) -> Awaitable[object]:
    return desk.announce_import_complete(ImportAnnouncement(new_certificate(), LONG))


def completion(desk: Desk) -> Awaitable[object]:
    return desk.show_completion(Completion(Destination.USB, new_certificate(), certificate()))


def retirement(desk: Desk) -> Awaitable[object]:
    return desk.confirm_retirement(RetirementQuestion(certificate(), LONG))


def last_try(desk: Desk) -> Awaitable[object]:
    return desk.confirm_last_try(LastTryQuestion("SHINKIN-USB", certain=True))


def pad(desk: Desk) -> Awaitable[object]:
    return desk.ask_pad(PadQuestion("SHINKIN-USB", PadPurpose.LOG_IN))


def pad_for_proof(desk: Desk) -> Awaitable[object]:
    return desk.ask_pad(PadQuestion("SHINKIN-USB", PadPurpose.PROVE, seconds=LONG, way_back=False))


def pad_for_signature(desk: Desk) -> Awaitable[object]:
    return desk.ask_pad(PadQuestion("SHINKIN-USB", PadPurpose.SIGN, PadTrouble.CANCELLED, seconds=LONG))


def resumption(desk: Desk) -> Awaitable[object]:
    return desk.confirm_resumption(ResumptionQuestion(credential(), written=True, into=Destination.USB))


def cleaning(desk: Desk) -> Awaitable[object]:
    return desk.confirm_cleaning(CleaningQuestion())


def completion_pc(desk: Desk) -> Awaitable[object]:
    return desk.show_completion(Completion(Destination.PC, new_certificate(), certificate()))


def problem(desk: Desk) -> Awaitable[object]:
    return desk.show_problem(Problem(Code.CA_NOT_REACHED))


def still_there(desk: Desk) -> Awaitable[object]:
    return desk.ask_still_there(LONG)


def farewell(desk: Desk) -> Awaitable[object]:
    return desk.ask_take_out(removable=False)


BY_KEYS: list[tuple[Ask, list[tuple[list[str], object]]]] = [
    (
        resumption,
        [
            (["1"], True),
            (["0"], False),
            (["enter"], True),
            (["escape"], False),
            (["tab", "enter"], False),
        ],
    ),
    (
        cleaning,
        [
            (["1"], True),
            (["3"], False),
            (["enter"], True),
            (["tab", "enter"], False),
        ],
    ),
    (
        retirement,
        [
            (["1"], False),
            (["3"], True),
            (["enter"], False),
            (["tab", "enter"], True),
        ],
    ),
    (
        last_try,
        [
            (["enter"], LastTryAnswer.NO),
            (["0"], LastTryAnswer.NO),
            (["escape"], LastTryAnswer.NO),
            (["3"], LastTryAnswer.YES),
            (["tab", "enter"], LastTryAnswer.YES),
            (["5"], LastTryAnswer.CALL),
        ],
    ),
    (
        pad,
        [
            (["1"], True),
            (["enter"], True),
            (["0"], False),
            (["escape"], False),
        ],
    ),
    (
        pad_for_proof,
        [
            (["0", "escape", "1"], True),
        ],
    ),
    (
        pad_for_signature,
        [
            (["1"], True),
            (["0"], False),
            (["escape"], False),
        ],
    ),
    (
        completion_pc,
        [
            (["1"], CompletionAnswer.CLOSE),
            (["enter"], CompletionAnswer.CLOSE),
        ],
    ),
    (
        notice,
        [
            (["1"], NoticeAnswer.NOW),
            (["2"], NoticeAnswer.LATER),
            (["enter"], NoticeAnswer.NOW),
            (["tab", "enter"], NoticeAnswer.LATER),
        ],
    ),
    (
        menu,
        [
            (["1"], MenuChoice.RENEW),
            (["enter"], MenuChoice.RENEW),
            (["0"], MenuChoice.LEAVE),
            (["escape"], MenuChoice.LEAVE),
        ],
    ),
    (
        early_menu,
        [
            (["1", "enter"], MenuChoice.DETAILS),
            (["3"], MenuChoice.CHANGE_PIN),
        ],
    ),
    (
        destination,
        [
            (["1"], Destination.PC),
            (["3"], Destination.USB),
            (["0"], None),
            (["4"], Help.WANTED),
            (["backspace"], None),
            (["2", "8", "3"], Destination.USB),
        ],
    ),
    (
        usb_only,
        [
            (["1", "enter"], Destination.USB),
            (["left", "right", "enter"], Destination.USB),
        ],
    ),
    (
        web_access,
        [
            (["1"], True),
            (["enter"], True),
            (["0"], False),
            (["down", "enter"], False),
        ],
    ),
    (
        key_export,
        [
            (["1"], True),
            (["enter"], True),
            (["0"], False),
        ],
    ),
    (
        import_,
        [
            (["1"], None),
            (["enter"], None),
        ],
    ),
    (
        completion,
        [
            (["1"], CompletionAnswer.CLOSE),
            (["2", "enter"], CompletionAnswer.CLOSE),
        ],
    ),
    (
        problem,
        [
            (["1"], ProblemAnswer.READ),
            (["enter"], ProblemAnswer.READ),
            (["3"], ProblemAnswer.CALL),
        ],
    ),
    (
        still_there,
        [
            (["1"], True),
            (["f5"], True),
            (["enter"], True),
        ],
    ),
    (
        farewell,
        [
            (["enter"], None),
        ],
    ),
]


async def test_by_keys() -> None:
    async with answering(BY_KEYS) as (pilot, reception):
        for ask, rounds in BY_KEYS:
            for keys, answer in rounds:
                question = await asked(pilot)
                await pilot.press(*keys)
                await over(pilot, question)
                assert reception.answers.pop() == answer, (ask.__name__, keys)


BY_TOUCH: list[tuple[Ask, list[tuple[str, object]]]] = [
    (
        notice,
        [
            ("#now", NoticeAnswer.NOW),
            ("#later", NoticeAnswer.LATER),
        ],
    ),
    (
        menu,
        [
            ("#renew", MenuChoice.RENEW),
            ("#details", MenuChoice.DETAILS),
            ("#change-pin", MenuChoice.CHANGE_PIN),
            ("#leave", MenuChoice.LEAVE),
        ],
    ),
    (
        destination,
        [
            ("#pc", Destination.PC),
            ("#usb", Destination.USB),
            ("#back", None),
        ],
    ),
    (
        web_access,
        [
            ("#yes", True),
            ("#no", False),
        ],
    ),
    (
        key_export,
        [
            ("#ok", True),
            ("#cancel", False),
        ],
    ),
    (
        import_,
        [
            ("#ok", None),
        ],
    ),
    (
        completion,
        [
            ("#close", CompletionAnswer.CLOSE),
        ],
    ),
    (
        problem,
        [
            ("#ok", ProblemAnswer.READ),
            ("#call", ProblemAnswer.CALL),
        ],
    ),
    (
        still_there,
        [
            ("#sheet", True),
        ],
    ),
    (
        last_try,
        [
            ("#no", LastTryAnswer.NO),
            ("#yes", LastTryAnswer.YES),
            ("#call", LastTryAnswer.CALL),
        ],
    ),
    (
        pad,
        [
            ("#begin", True),
            ("#cancel", False),
        ],
    ),
    (
        resumption,
        [
            ("#yes", True),
            ("#no", False),
        ],
    ),
    (
        cleaning,
        [
            ("#remove", True),
            ("#leave", False),
        ],
    ),
    (
        retirement,
        [
            ("#keep", False),
            ("#remove", True),
        ],
    ),
    (
        completion_pc,
        [
            ("#close", CompletionAnswer.CLOSE),
        ],
    ),
    (
        farewell,
        [
            ("#ok", None),
        ],
    ),
]


async def test_by_touch() -> None:
    async with answering(BY_TOUCH) as (pilot, reception):
        for ask, rounds in BY_TOUCH:
            for button, answer in rounds:
                question = await asked(pilot)
                await pilot.click(button)
                await over(pilot, question)
                assert reception.answers.pop() == answer, (ask.__name__, button)


def answering(
    table: Sequence[tuple[Ask, Sequence[object]]],
) -> AbstractAsyncContextManager[tuple[Pilot[None], OneQuestion]]:
    """A kiosk that asks everything in `table` as often as there are answers, in one visit."""
    answers: list[object] = []

    async def everything(desk: Desk) -> None:
        for ask, rounds in table:
            for _ in rounds:
                answers.append(await ask(desk))
        await for_ever()

    return asking(everything, answers=answers)


async def over(pilot: Pilot[None], question: Question[Any]) -> None:
    """Wait until the question has its answer and is gone."""
    await until(lambda: question.is_over and pilot.app.screen is not question)


async def asked(pilot: Pilot[None]) -> Question[Any]:
    """The question on the screen, once there is one that has not been answered."""
    await until(lambda: isinstance(pilot.app.screen, Question) and not pilot.app.screen.is_over)
    await pilot.pause()
    question = pilot.app.screen
    assert isinstance(question, Question)
    return question


async def test_a_button_that_is_off_answers_nothing() -> None:
    async with asking(usb_only) as (pilot, reception):
        await pilot.press("1")
        await pilot.click("#pc")
        await pilot.pause()
        assert reception.answers == []


async def test_lone_ok_presses_itself() -> None:
    async with asking(lambda desk: desk.announce_import(ImportAnnouncement(new_certificate(), 0))) as (_, reception):
        await reception.ended()


async def test_the_pad_begins_by_itself_where_there_is_no_way_back() -> None:
    question = PadQuestion("SHINKIN-USB", PadPurpose.PROVE, seconds=0, way_back=False)
    async with asking(lambda desk: desk.ask_pad(question)) as (_, reception):
        await reception.ended()
        assert reception.answers == [True]


async def test_nobody_can_go_on_here_while_the_reader_waits() -> None:
    async def at_pad(desk: Desk) -> None:
        async with desk.at_pad(PadQuestion("SHINKIN-USB", PadPurpose.LOG_IN)):
            await for_ever()

    async with asking(at_pad) as (pilot, reception):
        assert "カードリーダーのキーで入力し" in screen_text(pilot.app).replace("\n", "")
        await pilot.press("enter", "1", "0", "escape")
        await pilot.pause()
        assert reception.answers == []


async def test_silence_keeps_the_old_credential() -> None:
    async with asking(lambda desk: desk.confirm_retirement(RetirementQuestion(certificate(), 0))) as (_, reception):
        await reception.ended()
        assert reception.answers == [False]


async def test_silence_answers_the_idle_warning() -> None:
    async with asking(lambda desk: desk.ask_still_there(0)) as (_, reception):
        await reception.ended()
        assert reception.answers == [False]


async def test_taking_out_is_not_answered_by_hand() -> None:
    async with asking(lambda desk: desk.ask_take_out(removable=True)) as (pilot, reception):
        await pilot.press("enter", "1", "0", "escape")
        await pilot.click("#sheet")
        await pilot.pause()
        assert reception.answers == []


async def test_the_last_minutes_go_by_while_the_notice_is_read() -> None:
    now = [NOW]
    reception = OneQuestion(lambda desk: desk.show_notice(last_notice(timedelta(minutes=61))))
    app = KioskApp(reception, BRANCH, lambda: now[0], settle_seconds=0.0)
    async with app.run_test(size=SIZE):
        await until(lambda: isinstance(app.screen, RenewalNoticeScreen) and "時間" in screen_text(app))
        now[0] += timedelta(minutes=2)
        await until(lambda: "時間" not in screen_text(app) and "分" in screen_text(app))
        now[0] += timedelta(hours=1)
        await until(lambda: "有効期限が切れています" in screen_text(app))
        assert reception.answers == []


async def test_a_forgotten_token_is_not_taken_out_by_hand() -> None:
    async with asking(lambda desk: desk.show_forgotten()) as (pilot, reception):
        assert "専用USBをお忘れです" in screen_text(pilot.app)
        await pilot.press("enter", "1", "0", "escape", "7")
        await pilot.click("#sheet")
        await pilot.pause()
        assert reception.answers == []


async def test_the_idle_warning_rings_and_counts_down() -> None:
    now = [NOW]
    bells: list[None] = []
    reception = OneQuestion(lambda desk: desk.ask_still_there(20))
    app = KioskApp(reception, BRANCH, lambda: now[0], settle_seconds=0.0)
    app.bell = lambda: bells.append(None)  # type: ignore[method-assign]
    async with app.run_test(size=SIZE):
        await until(lambda: isinstance(app.screen, IdleWarningScreen))
        await until(lambda: screen_text(app).strip())
        before = screen_text(app)
        now[0] += timedelta(seconds=7)
        await until(lambda: screen_text(app) != before)
        assert reception.answers == []
    assert bells == [None]


async def test_the_desk_rings_the_terminal() -> None:
    async def ring(desk: Desk) -> None:
        desk.ring()

    bells: list[None] = []
    reception = OneQuestion(ring)
    app = KioskApp(reception, BRANCH, fixed_clock, settle_seconds=0.0)
    app.bell = lambda: bells.append(None)  # type: ignore[method-assign]
    async with app.run_test(size=SIZE):
        await reception.ended()
    assert bells == [None]
