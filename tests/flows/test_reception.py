"""What the kiosk does between visits: the standby board, and the token on its way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from kiosk.clock import JAPAN
from kiosk.desk import Errand, Standby
from kiosk.errors import Code, Problem
from kiosk.journal import Event, Journal
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import Settings
from kiosk.tokens.process import ModuleSettings
from tests.bank import Bank, child_processes
from tests.scripted_desk import ScriptedDesk
from tests.tokens.acting_module import ActingModule
from tests.tokens.pulled_token import PulledToken


@dataclass
class Board:
    """A standby board that remembers what it showed; `wait_for` waits until it shows it."""

    shown: list[tuple[Standby, Problem | None]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    touch: asyncio.Event = field(default_factory=asyncio.Event)
    call: asyncio.Event = field(default_factory=asyncio.Event)
    errand: Errand = Errand.RENEWAL

    pc_login: bool = False

    def show(self, standby: Standby, problem: Problem | None = None, pc_login: bool = False) -> None:
        self.pc_login = pc_login
        if not self.shown or self.shown[-1] != (standby, problem):
            self.shown.append((standby, problem))
        self.changed.set()

    async def touched(self) -> None:
        await self.touch.wait()

    async def called(self) -> None:
        await self.call.wait()
        self.call.clear()

    async def wait_for(self, standby: Standby) -> None:
        async with asyncio.timeout(20):
            while not self.shown or self.shown[-1][0] is not standby:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def front_desk_of(settings: Settings) -> AsyncIterator[FrontDesk]:
    async with open_services(settings) as services:
        front_desk = FrontDesk(services, settings.token)
        try:
            yield front_desk
        finally:
            await front_desk.close()


async def test_a_token_that_stays_in_waits_for_a_touch(bank: Bank) -> None:
    board = Board()
    async with front_desk_of(bank.settings) as front_desk:
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        await board.wait_for(Standby.READY)
        assert not waiting.done()
        board.touch.set()
        await waiting
    assert [standby for standby, _ in board.shown] == [Standby.READY]


async def test_a_blank_token_is_told_and_one_that_can_be_used_begins(bank: Bank, tmp_path: Path) -> None:
    module, aside = ActingModule(bank, tmp_path / "acting"), tmp_path / "aside"
    module.can_be_taken_out()
    tokens = bank.directory / "tokens"
    tokens.rename(aside)
    tokens.mkdir()
    board = Board()
    async with front_desk_of(module.bank.settings) as front_desk:
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        await board.wait_for(Standby.BLANK)
        assert board.shown == [(Standby.BLANK, Problem(Code.TOKEN_BLANK))]
        board.touch.set()
        assert not waiting.done(), "a touch does not make it usable"
        tokens.rmdir()
        aside.rename(tokens)
        async with asyncio.timeout(20):
            await waiting


async def test_a_blank_one_that_always_is_in_is_nobodys(bank: Bank, tmp_path: Path) -> None:
    tokens = bank.directory / "tokens"
    tokens.rename(tmp_path / "aside")
    tokens.mkdir()
    board = Board()
    async with front_desk_of(bank.settings) as front_desk:
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        await board.wait_for(Standby.INSERT)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert {standby for standby, _ in board.shown} == {Standby.INSERT}


class WatchedJournal(Journal):
    """Tells when old lines have been removed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.removed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def remove_older_than(self, days: int, zone: ZoneInfo = JAPAN) -> int:
        count = super().remove_older_than(days, zone)
        self._loop.call_soon_threadsafe(self.removed.set)
        return count


async def test_old_lines_of_the_journal_go_while_nobody_is_served(bank: Bank) -> None:
    path = Path(bank.settings.journal)
    with Journal(path, lambda: datetime(2001, 1, 1, tzinfo=UTC)) as journal:
        await journal.begin_visit("old").note(Event.VISIT_BEGUN)
    async with open_services(bank.settings) as services:
        with WatchedJournal(path) as watched:
            await watched.begin_visit("new").note(Event.PREPROCESSED)
            front_desk = FrontDesk(replace(services, journal=watched), bank.settings.token)
            waiting = asyncio.create_task(front_desk.wait_for_customer(Board()))
            async with asyncio.timeout(20):
                await watched.removed.wait()
            waiting.cancel()
            await asyncio.wait([waiting])
            await front_desk.close()
            events = [(entry.token, entry.event) for entry in watched.entries()]
    assert events == [("new", Event.PREPROCESSED), ("", Event.OLD_LINES_REMOVED)]


async def test_the_board_follows_a_token_that_comes(bank: Bank) -> None:
    """The customer's token comes while the kiosk stands and waits."""
    tokens = bank.directory / "tokens"
    aside = bank.directory / "tokens.aside"
    tokens.rename(aside)
    tokens.mkdir()
    board = Board()
    async with front_desk_of(bank.settings) as front_desk, asyncio.TaskGroup() as group:
        waiting = group.create_task(front_desk.wait_for_customer(board))
        await board.wait_for(Standby.INSERT)
        for each in aside.iterdir():
            each.rename(tokens / each.name)
        await board.wait_for(Standby.READY)
        waiting.cancel()


async def test_a_missing_module_puts_the_kiosk_out_of_order(bank: Bank) -> None:
    board = Board()
    missing = ModuleSettings("/nonexistent/module.so")
    settings = msgspec.structs.replace(bank.settings, token=missing)
    async with front_desk_of(settings) as front_desk, asyncio.TaskGroup() as group:
        waiting = group.create_task(front_desk.wait_for_customer(board))
        await board.wait_for(Standby.OUT_OF_ORDER)
        waiting.cancel()
    _, problem = board.shown[-1]
    assert problem is not None
    assert problem.code is Code.MODULE_UNUSABLE


async def test_a_visit_ends_with_the_token_taken_out(bank: Bank) -> None:
    before = child_processes()
    desk = ScriptedDesk()
    async with front_desk_of(bank.settings) as front_desk:
        await front_desk.serve(desk)
    assert desk.asked[-2:] == ["completion", "take-out"]
    assert desk.seen[-1] is False, "this token cannot leave its slot, so nobody waits for that"
    assert child_processes() == before


async def test_the_token_is_logged_out_before_it_is_asked_back(bank: Bank) -> None:
    class Desk(ScriptedDesk):
        async def ask_take_out(self, *, removable: bool) -> None:
            await super().ask_take_out(removable=removable)
            self.running = child_processes()

    desk = Desk(pins=[None])
    async with front_desk_of(bank.settings) as front_desk:
        running = child_processes()
        await front_desk.serve(desk)
        assert len(desk.running - running) <= 1, "at most the process that looks for tokens, which knows no PIN"


async def test_no_token_at_all_is_explained(bank: Bank, tmp_path: Path) -> None:
    token = PulledToken(bank.settings.token, tmp_path)
    desk = ScriptedDesk()
    async with front_desk_of(msgspec.structs.replace(bank.settings, token=token.settings)) as front_desk:
        await front_desk.serve(desk)
    assert desk.problem is not None
    assert desk.problem.code in (Code.TOKEN_TAKEN_OUT, Code.MODULE_UNUSABLE)


async def test_a_module_that_fails_for_a_moment_has_not_seen_the_token_go(bank: Bank) -> None:
    """Every look has a process of its own while it fails; the third one shows that the first fault was not believed."""
    configuration, tokens = bank.directory / "softhsm2.conf", bank.directory / "tokens"

    class Desk(ScriptedDesk):
        believed_too_soon = True

        async def ask_take_out(self, *, removable: bool) -> None:
            await super().ask_take_out(removable=removable)
            configuration.rename(configuration.with_suffix(".aside"))
            seen = children = child_processes()
            while len(seen) < len(children) + 3:
                await asyncio.sleep(0.01)
                seen = seen | child_processes()
            configuration.with_suffix(".aside").rename(configuration)
            self.believed_too_soon = False
            tokens.rename(bank.directory / "tokens.out")
            tokens.mkdir()
            await asyncio.Event().wait()

    desk = Desk(pins=[None])
    async with front_desk_of(bank.settings) as front_desk:
        await asyncio.wait_for(front_desk.serve(desk), 60)
    assert not desk.believed_too_soon
    assert desk.asked == ["pin", "take-out"]
