"""The desk: one answer a question, cancelled questions gone, nothing of a visit left."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from textual import events
from textual.await_complete import AwaitComplete
from textual.dom import DOMNode
from textual.screen import Screen

from kiosk.app import Branch, KioskApp
from kiosk.desk import Desk, NoticeAnswer, RenewalNotice, SavingStep, Standby, StandbyBoard, WebAccessQuestion
from screens.idle_warning import IdleWarningScreen
from screens.renewal_notice import RenewalNoticeScreen
from screens.standby import StandbyScreen
from screens.take_out import TakeOutScreen
from screens.web_access import WebAccessScreen
from screens.widgets.choice import Choice
from screens.widgets.page import Page
from screens.widgets.spinner import Spinner
from tests.screens.samples import NOW, credential, fixed_clock
from tests.screens.stage import BRANCH, SIZE, OneQuestion, Stopwatch, asking, for_ever, kiosk, screen_text, until

NOTICE = RenewalNotice(credential(), 20, NOW)


def names(app: KioskApp) -> list[str]:
    return [type(screen).__name__ for screen in app.screen_stack]


class Ready:
    """A kiosk whose token stays in: はじめる waits to be pressed."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        board.show(Standby.READY)
        await board.touched()
        self.begun.set()
        await for_ever()

    async def serve(self, desk: Desk) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("keys", [("9",), ("shift+tab", "enter"), ("left", "enter")])
async def test_the_language_can_be_chosen_on_standby_by_key(keys: tuple[str, ...]) -> None:
    app = KioskApp(Ready(), BRANCH, fixed_clock)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: "はじめる" in screen_text(app))
        await pilot.pause()
        await pilot.press(*keys)
        await until(lambda: "日本語" in screen_text(app))


@pytest.mark.parametrize("key", ["1", "enter"])
async def test_a_visit_begins_by_key(key: str) -> None:
    reception = Ready()
    app = KioskApp(reception, BRANCH, fixed_clock)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: "はじめる" in screen_text(app))
        await pilot.pause()
        await pilot.press(key)
        async with asyncio.timeout(5):
            await reception.begun.wait()


async def test_only_a_demo_can_be_left_from_standby() -> None:
    for branch, leaves in ((BRANCH, False), (Branch("b", "n", demo_pin="123456"), True)):
        app = KioskApp(Ready(), branch, fixed_clock)
        async with app.run_test(size=SIZE) as pilot:
            await until(partial(_stands, app, "はじめる"))
            await pilot.press("ctrl+q")
            await pilot.pause()
            assert app._exit is leaves


def _stands(app: KioskApp, text: str) -> bool:
    return text in screen_text(app)


async def test_two_presses_answer_once_and_not_the_next_question() -> None:
    async def twice(desk: Desk) -> list[object]:
        first = await desk.confirm_web_access(WebAccessQuestion(1, 2, "CA"))
        second = await desk.confirm_web_access(WebAccessQuestion(2, 2, "CA"))
        return [first, second]

    async with asking(twice) as (pilot, reception):
        yes = pilot.app.screen.query_one("#yes", Choice)
        yes.press()
        yes.press()
        await until(lambda: "2/2" in screen_text(pilot.app))
        assert reception.answers == []
        assert names(kiosk(pilot.app)) == ["BetweenScreen", "WebAccessScreen"]


async def test_a_held_key_goes_through_one_question_at_most() -> None:
    async def twice(desk: Desk) -> list[object]:
        first = await desk.confirm_web_access(WebAccessQuestion(1, 2, "CA"))
        second = await desk.confirm_web_access(WebAccessQuestion(2, 2, "CA"))
        return [first, second]

    stopwatch = Stopwatch()
    async with asking(twice, settle_seconds=1.0, stopwatch=stopwatch) as (pilot, reception):
        await hold(kiosk(pilot.app), "enter")
        await pilot.pause()
        assert "1/2" in screen_text(pilot.app), "held from the screen before: not even this one hears it"
        stopwatch.seconds += 1.2
        await hold(kiosk(pilot.app), "enter")
        await until(lambda: "2/2" in screen_text(pilot.app))
        await hold(kiosk(pilot.app), "enter")
        await pilot.pause()
        assert reception.answers == []
        stopwatch.seconds += 1.5
        await pilot.press("0")
        await reception.ended()
        assert reception.answers == [[True, False]]


async def hold(app: KioskApp, key: str) -> None:
    """What the terminal tells of a key that is held: the same again and again, faster than anybody presses."""
    for _ in range(25):
        app.post_message(events.Key(key, None))
        await asyncio.sleep(0)


async def test_a_finger_that_bounces_presses_one_button() -> None:
    async def twice(desk: Desk) -> list[object]:
        first = await desk.confirm_web_access(WebAccessQuestion(1, 2, "CA"))
        return [first, await desk.confirm_web_access(WebAccessQuestion(2, 2, "CA"))]

    stopwatch = Stopwatch()
    async with asking(twice, settle_seconds=0.2, stopwatch=stopwatch) as (pilot, reception):
        stopwatch.seconds += 0.4
        yes = pilot.app.screen.query_one("#yes").region.offset
        for _ in range(8):
            touch(kiosk(pilot.app), *yes)
            await pilot.pause()
            stopwatch.seconds += 0.05
        await until(lambda: "2/2" in screen_text(pilot.app))
        assert reception.answers == []


async def test_nothing_flashes_between_two_questions() -> None:
    seen: set[str] = set()

    async def twice(desk: Desk) -> None:
        await desk.confirm_web_access(WebAccessQuestion(1, 2, "CA"))
        await desk.confirm_web_access(WebAccessQuestion(2, 2, "CA"))

    async with asking(twice) as (pilot, _):
        show = kiosk(pilot.app).switch_screen

        def noted(screen: Screen[Any]) -> AwaitComplete:
            seen.update(names(kiosk(pilot.app)))
            return show(screen)

        pilot.app.switch_screen = noted  # type: ignore[method-assign,assignment]
        await pilot.press("1")
        await until(lambda: "2/2" in screen_text(pilot.app))
        assert seen == {"BetweenScreen", "WebAccessScreen"}, "the answered question stood until the next came"


async def test_a_slow_token_shows_that_it_works() -> None:
    async def slow(desk: Desk) -> None:
        await desk.show_notice(NOTICE)
        await for_ever()

    async with asking(slow) as (pilot, _):
        await pilot.press("1")
        await until(lambda: names(kiosk(pilot.app)) == ["BetweenScreen"])
        assert "専用USBを抜かないでください" in screen_text(pilot.app)
        assert pilot.app.screen.query(Spinner)


async def test_losing_the_terminals_focus_takes_no_key_away() -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, reception):
        pilot.app.post_message(events.AppBlur())
        await pilot.pause()
        await pilot.press("enter")
        await reception.ended()
        assert reception.answers == [NoticeAnswer.NOW]


async def test_no_action_takes_a_question_away() -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, _):
        for action in ("screen.dismiss", "app.pop_screen", "app.quit"):
            await pilot.app.run_action(action)
        assert names(kiosk(pilot.app)) == ["BetweenScreen", "RenewalNoticeScreen"]


async def test_cancelled_question_is_off_the_stack() -> None:
    async def cancelled(desk: Desk) -> None:
        question = asyncio.create_task(desk.show_notice(NOTICE))
        await shown.wait()
        question.cancel()
        with suppress(asyncio.CancelledError):
            await question
        await for_ever()

    shown = asyncio.Event()
    async with asking(cancelled) as (pilot, _):
        app = kiosk(pilot.app)
        await until(lambda: isinstance(app.screen, RenewalNoticeScreen) and app.screen.is_mounted)
        shown.set()
        await until(lambda: names(app) == ["BetweenScreen"])


@pytest.mark.parametrize("again", [False, True], ids=["once", "and again while it goes"])
async def test_a_question_cancelled_while_it_comes_takes_nothing_with_it(again: bool) -> None:
    """Whatever turn of the loop it is in, where it takes the place of one that lingers, as after a token that is
    pulled: the app goes on, and neither of the two screens stays."""
    turns = 1

    async def cut_short(desk: Desk) -> int:
        nonlocal turns
        shown = False
        while not shown:
            await answered(desk)
            question = asyncio.create_task(desk.ask_take_out(removable=True))
            for _ in range(turns):
                await asyncio.sleep(0)
            shown = isinstance(app.screen, TakeOutScreen) and bool(app.screen.query("Page"))
            question.cancel()
            if again:
                await asyncio.sleep(0)
                question.cancel()
            await asyncio.wait([question])
            assert question.cancelled()
            assert names(app) == ["BetweenScreen"]
            turns += 1
        return turns

    async def answered(desk: Desk) -> None:
        asked = asyncio.create_task(desk.confirm_web_access(WebAccessQuestion(1, 2, "CA")))
        await until(lambda: isinstance(app.screen, WebAccessScreen) and app.screen.is_mounted)
        assert isinstance(app.screen, WebAccessScreen)
        app.screen.answer(True)
        assert await asked

    reception = OneQuestion(cut_short)
    app = KioskApp(reception, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=SIZE):
        await reception.ended()
        assert reception.answers[0] > 1
        await until(lambda: isinstance(app.screen, StandbyScreen))
        assert app.is_running


async def test_a_screen_that_is_going_is_not_fitted_any_more() -> None:
    """Its page goes before its buttons, and what was to be fitted after the next refresh comes in between."""
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, _):
        screen = pilot.app.screen
        assert isinstance(screen, RenewalNoticeScreen)
        await screen.query_one(Page).remove()
        assert screen.query("#more")
        screen.call_after_refresh(screen._offer_more)
        await pilot.pause()
        assert pilot.app.is_running


async def test_question_cancelled_below_another_goes_with_it() -> None:
    async def overlapping(desk: Desk) -> object:
        question = asyncio.create_task(desk.show_notice(NOTICE))
        await asyncio.sleep(0.05)
        warning = asyncio.create_task(desk.ask_still_there(600))
        await asyncio.sleep(0.05)
        question.cancel()
        return await warning

    async with asking(overlapping) as (pilot, reception):
        await pilot.pause(0.2)
        assert isinstance(pilot.app.screen, IdleWarningScreen)
        await pilot.press("1")
        await reception.ended()
        assert reception.answers == [True]


async def test_key_that_answers_the_idle_warning_does_nothing_else() -> None:
    async def overlapping(desk: Desk) -> object:
        question = asyncio.create_task(desk.show_notice(NOTICE))
        await asyncio.sleep(0.05)
        assert await desk.ask_still_there(600)
        return await question

    async with asking(overlapping) as (pilot, reception):
        await pilot.pause(0.1)
        await pilot.press("2")
        await pilot.pause()
        assert isinstance(pilot.app.screen, RenewalNoticeScreen)
        await pilot.press("1")
        await reception.ended()
        assert reception.answers == [NoticeAnswer.NOW]


async def test_waits_show_while_their_block_runs() -> None:
    go_on = asyncio.Event()

    async def waits(desk: Desk) -> None:
        async with desk.preprocessing():
            await go_on.wait()
        go_on.clear()
        async with desk.saving() as progress:
            progress.begin(SavingStep.KEY)
            progress.begin(SavingStep.WRITE)
            await go_on.wait()

    async with asking(waits) as (pilot, reception):
        assert "電子証明書更新前の処理中です。" in screen_text(pilot.app)
        go_on.set()
        await pilot.pause()
        await pilot.pause()
        text = screen_text(pilot.app)
        assert "済  認証局に申請する" in text
        assert "▶   新しい電子証明書を書き込む" in text
        go_on.set()
        await reception.ended()


async def test_failing_block_takes_its_screen_away() -> None:
    async def fails(desk: Desk) -> None:
        with suppress(ValueError):
            async with desk.saving():
                raise ValueError
        await for_ever()

    async with asking(fails) as (pilot, _):
        await pilot.pause(0.1)
        assert names(kiosk(pilot.app)) == ["BetweenScreen"]


async def test_nothing_of_a_visit_is_alive_afterwards() -> None:
    """Without a pilot: its own timers keep the screens it waited for."""
    reception = OneQuestion(lambda desk: desk.show_notice(NOTICE))
    app = KioskApp(reception, BRANCH, fixed_clock, settle_seconds=0.0)
    async with app.run_test(size=SIZE):
        await until(lambda: app.screen.query("#now") and app.screen.query_one("#now").region)
        seen = [weakref.ref(node) for screen in app.screen_stack for node in [screen, *screen.walk_children()]]
        touch(app, *app.screen.query_one("#now").region.offset)
        await reception.ended()
        assert reception.answers == [NoticeAnswer.NOW]
        assert len(seen) > 10
        await until(lambda: not alive(seen))
        assert isinstance(app.screen, StandbyScreen)


def touch(app: KioskApp, x: int, y: int) -> None:
    """What the terminal tells of a finger: moved there, down, up."""
    for kind, button in ((events.MouseMove, 0), (events.MouseDown, 1), (events.MouseUp, 1)):
        app.post_message(
            kind(
                *(None, x, y, 0, 0, button),
                shift=False,
                meta=False,
                ctrl=False,
                screen_x=x,
                screen_y=y,
            )
        )


def alive(seen: list[weakref.ref[DOMNode]]) -> list[str]:
    """Which of the nodes something still holds."""
    gc.collect()
    return [type(node).__name__ for node in (each() for each in seen) if node is not None]


class Faulty:
    """Breaks while it serves."""

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        pass

    async def serve(self, desk: Desk) -> None:  # noqa: ARG002
        canary = "canary-in-a-local"
        raise RuntimeError(canary)


async def test_fault_ends_the_app_without_telling_what_was_handled() -> None:
    app = KioskApp(Faulty(), BRANCH, fixed_clock)
    with pytest.raises(Exception, match="canary"):
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause(0.2)
    assert app.return_code == 1
    assert re.fullmatch(r"kiosk: ended by RuntimeError at test_desk\.py:\d+\n", app.last_words())


async def test_touch_and_keys_are_noted() -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, _):
        app = kiosk(pilot.app)
        before = app.last_touched
        await pilot.press("f9")
        pressed = app.last_touched
        await pilot.hover("#sheet")
        assert before < pressed < app.last_touched
