"""The desk: one answer a question, cancelled questions gone, nothing of a visit left."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref
from contextlib import suppress

import pytest
from textual import events
from textual.dom import DOMNode

from kiosk.app import KioskApp
from kiosk.desk import Desk, NoticeAnswer, RenewalNotice, SavingStep, StandbyBoard, WebAccessQuestion
from screens.idle_warning import IdleWarningScreen
from screens.renewal_notice import RenewalNoticeScreen
from screens.standby import StandbyScreen
from screens.widgets.choice import Choice
from tests.screens.samples import NOW, credential, fixed_clock
from tests.screens.stage import BRANCH, SIZE, OneQuestion, asking, for_ever, kiosk, screen_text, until

NOTICE = RenewalNotice(credential(), 20, NOW)


def names(app: KioskApp) -> list[str]:
    return [type(screen).__name__ for screen in app.screen_stack]


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


async def test_cancelled_question_is_off_the_stack() -> None:
    async def cancelled(desk: Desk) -> None:
        question = asyncio.create_task(desk.show_notice(NOTICE))
        await asyncio.sleep(0.1)
        question.cancel()
        with suppress(asyncio.CancelledError):
            await question
        await for_ever()

    async with asking(cancelled) as (pilot, _):
        await pilot.pause(0.2)
        assert names(kiosk(pilot.app)) == ["BetweenScreen"]


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
    app = KioskApp(reception, BRANCH, fixed_clock)
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
