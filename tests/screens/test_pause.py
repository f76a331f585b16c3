"""What a customer sees, and can do, while the CA cannot be asked."""

from __future__ import annotations

import asyncio

from textual.widget import Widget

from kiosk.desk import Desk, SavingStep, Waiting
from screens.preprocessing import PreprocessingScreen
from screens.saving import SavingScreen
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from tests.screens.stage import Stopwatch, asking, at_rest, screen_text, until

PATIENCE = 10.0
"""Seconds for which people look at a screen that tells nothing."""


async def give_up(desk: Desk) -> str:
    async with desk.preprocessing() as wait:
        wait.pauses(None)
        wait.pauses(Waiting(12, is_busy=True))
        await wait.given_up()
    return "given up"


async def test_a_pause_says_why_and_how_long_and_offers_to_cancel() -> None:
    watch = Stopwatch()
    async with asking(give_up, stopwatch=watch) as (pilot, reception):
        text = await at_rest(pilot)
        assert "ただいま認証局が混み合っています。" in text
        assert "あと12秒ほどで" in text
        assert "操作も行わないでください" not in text, "the manual's words are not said beside a button that cancels"
        watch.seconds = 11.0
        await until(lambda: "あと1秒ほどで" in screen_text(pilot.app))
        watch.seconds = 12.5
        await until(lambda: "いま、もう一度お問い合わせしています。" in screen_text(pilot.app))
        await pilot.press("0")
        await reception.ended()
        assert reception.answers == ["given up"]


async def stop_waiting_and_wait_again(desk: Desk) -> str:
    """As for two things that are asked one after the other: the CA, and whether the certificate is revoked."""
    async with desk.preprocessing() as wait:
        first = asyncio.ensure_future(wait.given_up())
        await asyncio.wait((first,), timeout=0)
        first.cancel()
        wait.pauses(Waiting(12, is_busy=True))
        await wait.given_up()
    return "given up"


async def test_whoever_has_not_cancelled_the_first_question_can_cancel_the_next() -> None:
    async with asking(stop_waiting_and_wait_again) as (pilot, reception):
        await until(lambda: pilot.app.screen.query_one(Choices).display)
        await at_rest(pilot)
        assert reception.answers == [], "nobody has pressed anything"
        await pilot.press("0")
        await reception.ended()
        assert reception.answers == ["given up"]


async def test_a_touch_cancels_as_well() -> None:
    async with asking(give_up) as (pilot, reception):
        await until(lambda: pilot.app.screen.query_one(Choices).display)
        await at_rest(pilot)
        await pilot.click("#cancel")
        await reception.ended()
        assert reception.answers == ["given up"]


async def test_enter_alone_does_not_cancel() -> None:
    """Whoever has pressed it for the question before must not leave by it."""
    async with asking(give_up) as (pilot, reception):
        await until(lambda: pilot.app.screen.query_one(Choices).display)
        await pilot.press("enter", "1", "space")
        assert reception.answers == []
        assert isinstance(pilot.app.screen, PreprocessingScreen)


async def test_there_is_nothing_to_press_while_all_is_well_and_a_way_out_where_it_takes_long() -> None:
    watch = Stopwatch()

    async def slow(desk: Desk) -> str:
        async with desk.preprocessing() as wait:
            wait.pauses(None)
            await wait.given_up()
        return "given up"

    async with asking(slow, stopwatch=watch) as (pilot, reception):
        assert "電子証明書更新前の処理中です。" in await at_rest(pilot)
        await pilot.press("0", "escape")
        assert shown(pilot.app.screen) == []
        watch.seconds = PATIENCE
        await until(lambda: "いつもより時間がかかっています。" in screen_text(pilot.app))
        assert shown(pilot.app.screen) == ["cancel"]
        await pilot.press("0")
        await reception.ended()
        assert reception.answers == ["given up"]


async def test_after_the_request_it_is_said_too_but_nothing_can_be_cancelled() -> None:
    answered = asyncio.Event()

    async def saves(desk: Desk) -> None:
        async with desk.saving() as progress:
            progress.begin(SavingStep.REQUEST)
            progress.pauses(Waiting(5, is_busy=False))
            await answered.wait()
            progress.begin(SavingStep.WRITE)
            await asyncio.Event().wait()

    async with asking(saves, stopwatch=Stopwatch()) as (pilot, _):
        text = await at_rest(pilot)
        assert "ただいま認証局につながりにくくなっています。" in text
        assert "あと5秒ほどで" in text
        await pilot.press("0", "escape", "enter")
        assert isinstance(pilot.app.screen, SavingScreen)
        assert shown(pilot.app.screen) == []
        answered.set()
        await until(lambda: "つながりにくく" not in screen_text(pilot.app))


def shown(screen: Widget) -> list[str | None]:
    bars = [bar for bar in screen.query(Choices) if bar.display]
    return [choice.id for bar in bars for choice in bar.query(Choice)]
