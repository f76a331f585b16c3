"""Picking one of several: by number, by page, by focus, by touch."""

from __future__ import annotations

from collections.abc import Awaitable

from kiosk.desk import Desk, IdQuestion, TokenQuestion
from screens.widgets.choice import Choice
from tests.screens.gallery import IDS, TOKENS
from tests.screens.stage import asking, screen_text

SMALL = (80, 24)


def two(desk: Desk) -> Awaitable[object]:
    return desk.choose_id(IdQuestion(IDS[:2]))


def ten(desk: Desk) -> Awaitable[object]:
    return desk.choose_id(IdQuestion(IDS * 2))


async def test_by_number() -> None:
    async with asking(two) as (pilot, reception):
        await pilot.press("2")
        await reception.ended()
        assert reception.answers == [IDS[1].credential]


async def test_by_focus_and_by_touch() -> None:
    async with asking(two, rounds=2) as (pilot, reception):
        await pilot.press("down", "enter")
        await pilot.pause(0.2)
        await pilot.click("#pick-0")
        await reception.ended()
        assert reception.answers == [IDS[1].credential, IDS[0].credential]


async def test_back_picks_nothing() -> None:
    async with asking(two) as (pilot, reception):
        await pilot.press("0")
        await reception.ended()
        assert reception.answers == [None]


async def test_rows_say_kind_id_name_end_and_days() -> None:
    async with asking(two) as (pilot, _):
        text = screen_text(pilot.app)
        for part in ("管理者ID　TKYM1408001　あと9日", "TKYM1408001 0001", "2026年12月2日（水）23:59 まで", "利用者ID"):
            assert part in text


async def test_every_row_is_on_some_page_and_numbered_from_one() -> None:
    async with asking(ten, size=SMALL) as (pilot, _):
        seen: list[str | None] = []
        while len(seen) < len(IDS) * 2:
            shown = [each for each in pilot.app.screen.query("Picks Choice").results(Choice) if each.display]
            assert [each.digit for each in shown] == [str(number + 1) for number in range(len(shown))]
            seen += [each.id for each in shown]
            await pilot.press("8")
            await pilot.pause()
        assert seen == [f"pick-{place}" for place in range(len(IDS) * 2)]


async def test_a_number_means_the_row_it_stands_on() -> None:
    async with asking(ten, size=SMALL) as (pilot, reception):
        await pilot.press("8")
        await pilot.pause()
        first = next(each for each in pilot.app.screen.query("Picks Choice").results(Choice) if each.display)
        place = int((first.id or "").removeprefix("pick-"))
        await pilot.press("1")
        await reception.ended()
        assert reception.answers == [(IDS * 2)[place].credential]


async def test_tokens_of_one_label_are_told_by_their_numbers() -> None:
    async with asking(lambda desk: desk.choose_token(TokenQuestion(TOKENS))) as (pilot, reception):
        text = screen_text(pilot.app)
        assert "SHINKIN-USB　番号　00a1b2c3d4e5" in text
        assert "KEIRI" in text
        assert "0042" not in text
        await pilot.press("3")
        await reception.ended()
        assert reception.answers == [TOKENS[2]]
