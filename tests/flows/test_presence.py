"""A visit and the standby board while tokens, readers and processes come and go."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import msgspec
import pytest

from kiosk.credentials import HolderRule
from kiosk.desk import MainMenu, MenuChoice, NoticeAnswer, PinQuestion, SavingStep, Standby, TokenQuestion
from kiosk.errors import Changed, Code, KioskError, Problem
from kiosk.pin import Pin
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import Settings
from kiosk.tokens.card_events import News
from kiosk.tokens.errors import TokenError
from kiosk.tokens.presence import Presence, Rhythm
from kiosk.tokens.process import Limits, ModuleSettings, TokenProcess
from kiosk.tokens.token import Token
from kiosk.tokens.wire import FailureKind, StoreKind, TokenFacts
from tests.bank import Bank, child_processes, open_bank
from tests.flows.test_reception import Board
from tests.scripted_desk import ScriptedDesk
from tests.tokens.pulled_token import PulledToken
from tests.tokens.swapped_token import SAME_SERIAL, SwappedToken
from tests.tokens.test_presence import LIMIT, NEVER, Tap

pytestmark = pytest.mark.token_processes_as_they_are


@asynccontextmanager
async def front_desk_of(settings: Settings, presence: Presence | None = None) -> AsyncIterator[FrontDesk]:
    async with open_services(settings) as services:
        front_desk = FrontDesk(services, settings.token, presence)
        try:
            yield front_desk
        finally:
            await front_desk.close()


@pytest.fixture
async def swapped(bank: Bank) -> SwappedToken:
    return await SwappedToken.beside(bank)


SOME_STEPS = (SavingStep.KEY, SavingStep.PROVE)
EVERY_STEP = [
    pytest.param(step, serial, marks=() if serial and step in SOME_STEPS else pytest.mark.tokens)
    for step in SavingStep
    for serial in ("", SAME_SERIAL)
]


@pytest.mark.parametrize(("step", "serial"), EVERY_STEP)
async def test_a_token_swapped_at_any_step_is_not_mistaken(
    bank: Bank, swapped: SwappedToken, step: SavingStep, serial: str
) -> None:
    if serial:
        swapped.give_serial(serial)
    old = await bank.credential()
    _, other = swapped.content()

    def swap(begun: SavingStep) -> None:
        if begun is step:
            swapped.swap()

    outcome = await bank.visit(ScriptedDesk(at_step=swap))
    assert outcome.completion is None
    assert outcome.problem is not None
    last = step is SavingStep.RETIRE
    assert outcome.problem.code is (Code.OLD_CREDENTIAL_NOT_REMOVED if last else Code.TOKEN_SWAPPED)
    expected = {
        SavingStep.KEY: Changed.NOTHING,
        SavingStep.RETIRE: Changed.RENEWED,
    }
    assert outcome.problem.changed is expected.get(step, Changed.UNFINISHED)
    assert swapped.content()[0] == other, "not a byte of the other one has changed"
    swapped.swap()
    async with await bank.open_token() as token:
        assert await token.proves(old), "the old credential works"
    assert (await bank.visit(ScriptedDesk())).completion is not None
    assert (await bank.credential()).certificate.serial != old.certificate.serial


async def test_a_token_swapped_while_a_question_is_open_is_told(bank: Bank, swapped: SwappedToken) -> None:
    class Desk(ScriptedDesk):
        async def _see(self, name: str, question: object = None) -> None:
            if name == "destination":
                swapped.swap()
            await super()._see(name, question)

    outcome = await bank.visit(Desk(leaves_at="destination"))
    assert outcome.problem is not None
    assert outcome.problem.code is Code.TOKEN_SWAPPED
    assert outcome.problem.changed is Changed.NOTHING


def token_process(among: set[int]) -> int:
    """The one with a module in it."""
    return next(each for each in among if b"kiosk.tokens.worker" in Path(f"/proc/{each}/cmdline").read_bytes())


class Killing(ScriptedDesk):
    """The token process dies while the main menu stands open, which nobody touches."""

    async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
        await self._see("menu", menu)
        os.kill(token_process(child_processes()), signal.SIGKILL)
        await asyncio.Event().wait()
        return MenuChoice.LEAVE


async def test_a_token_process_killed_at_the_menu_is_noticed_without_a_look(bank: Bank) -> None:
    async with front_desk_of(bank.settings, Presence(rhythm=Rhythm(look=NEVER))) as front_desk:
        token = await front_desk.the_token(ScriptedDesk())
        assert token is not None
        async with asyncio.timeout(LIMIT):
            outcome = await front_desk.serve_token(Killing(notice=NoticeAnswer.LATER), token)
    assert outcome.problem == Problem(Code.TOKEN_FAILED, Changed.NOTHING, "the token process ended")


async def test_a_process_killed_after_everything_was_done_troubles_nobody(bank: Bank) -> None:
    class Desk(ScriptedDesk):
        async def show_completion(self, completion: object) -> object:  # type: ignore[override]
            os.kill(token_process(child_processes()), signal.SIGKILL)
            for _ in range(20):
                await asyncio.sleep(0.01)
            return await super().show_completion(completion)  # type: ignore[arg-type]

    outcome = await bank.visit(Desk())
    assert outcome.completion is not None
    assert outcome.problem is None


async def test_news_begins_a_visit_although_nobody_looks_by_the_clock(bank: Bank, tmp_path: Path) -> None:
    """And what was seen before the reader came is not believed: a fresh process looks."""
    tokens, aside = bank.directory / "tokens", bank.directory / "aside"
    tokens.rename(aside)
    tokens.mkdir()
    tap, board = Tap(tmp_path), Board()
    async with front_desk_of(bank.settings, Presence(tap.source, Rhythm(look=NEVER))) as front_desk:
        before = child_processes()
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        await board.wait_for(Standby.INSERT)
        await tap.open()
        looking = token_process(child_processes() - before)
        for each in aside.iterdir():
            each.rename(tokens / each.name)
        tap.tell(News.READER)
        await board.wait_for(Standby.READY)
        assert token_process(child_processes() - before) != looking
        tap.close()
        waiting.cancel()


async def test_standby_goes_on_by_itself_when_a_reader_is_back(bank: Bank, tmp_path: Path) -> None:
    pulled = PulledToken(bank.settings.token, tmp_path)
    pulled.put_in()
    board = Board()
    settings = msgspec.structs.replace(bank.settings, token=pulled.settings)
    tap = Tap(tmp_path)
    async with front_desk_of(settings, Presence(tap.source, Rhythm(look=0.05))) as front_desk:
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        await tap.open()
        for _ in range(2):
            await board.wait_for(Standby.READY)
            pulled.pull()
            tap.tell(News.READER)
            async with asyncio.timeout(LIMIT):
                while board.shown[-1][0] is Standby.READY:
                    board.changed.clear()
                    await board.changed.wait()
            pulled.put_in()
            tap.tell(News.READER)
        await board.wait_for(Standby.READY)
        tap.close()
        waiting.cancel()
    pulled.pull()


class FailingFrontDesk(FrontDesk):
    """Its module fails so many times, with one code."""

    fails = 0
    code = Code.TOKEN_FAILED

    async def _look(self) -> list[TokenFacts]:
        if self.fails:
            self.fails -= 1
            raise KioskError(self.code)
        return await super()._look()


@pytest.mark.parametrize(
    ("code", "fails", "shown"),
    [
        (Code.TOKEN_FAILED, 5, [Standby.READY]),
        (Code.TOKEN_HANGS, 7, [Standby.OUT_OF_ORDER, Standby.READY]),
        (Code.MODULE_UNUSABLE, 1, [Standby.OUT_OF_ORDER, Standby.READY]),
    ],
)
async def test_only_a_module_that_goes_on_failing_puts_the_kiosk_out_of_order(
    bank: Bank, tmp_path: Path, code: Code, fails: int, shown: list[Standby]
) -> None:
    board, tap = Board(), Tap(tmp_path)
    async with open_services(bank.settings) as services:
        presence = Presence(tap.source, Rhythm(look=0.01))
        front_desk = FailingFrontDesk(services, bank.settings.token, presence)
        front_desk.fails, front_desk.code = fails, code
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        await tap.open()
        async with asyncio.timeout(LIMIT):
            while not board.shown or board.shown[-1][0] is not Standby.READY:
                if front_desk.fails < fails:
                    tap.tell(News.CARD)  # so that nobody waits for the clock
                await asyncio.sleep(0.02)
        assert [standby for standby, _ in board.shown] == shown
        tap.close()
        waiting.cancel()
        await asyncio.wait([waiting])
        await front_desk.close()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (Code.TOKEN_HANGS, Code.TOKEN_FAILED),
        (Code.TOKEN_FAILED, Code.TOKEN_FAILED),
        (Code.MODULE_UNUSABLE, Code.TOKEN_TAKEN_OUT),
    ],
)
async def test_a_look_that_shows_nothing_is_not_told_as_a_token_taken_out(bank: Bank, code: Code, told: Code) -> None:
    """Save where the module cannot even be loaded any more: some cannot without their reader."""
    async with open_services(bank.settings) as services:
        front_desk = FailingFrontDesk(services, bank.settings.token)

        class Desk(ScriptedDesk):
            async def ask_pin(self, question: PinQuestion) -> Pin | None:
                front_desk.fails, front_desk.code = 1, code
                os.kill(token._process.pid, signal.SIGKILL)
                return await super().ask_pin(question)

        desk = Desk()
        found = await front_desk.the_token(desk)
        assert found
        token = found
        outcome = await front_desk.serve_token(desk, token)
        assert outcome.problem is not None
        assert outcome.problem.code is told
        assert front_desk.fails == 0, "there was a look"
        await front_desk.close()


FACTS = TokenFacts(
    slot_id=1,
    serial="0000",
    label="USB",
    manufacturer="",
    model="",
    removable=True,
    pin_set=True,
    pin_few_tries=False,
    pin_last_try=False,
    pin_locked=False,
    pin_to_be_changed=False,
)


class SlotsOnly:
    """In the place of a token process: only slots to be looked at."""

    store = StoreKind.USB
    limits = Limits()

    def __init__(self) -> None:
        self.found: list[TokenFacts] = [FACTS]

    async def call(self, *_: object, **__: object) -> list[TokenFacts]:
        return self.found


async def seen(slots: SlotsOnly, token: Token, *found: TokenFacts) -> FailureKind | None:
    slots.found = list(found)
    try:
        await token.check_presence()
    except TokenError as error:
        return error.kind
    return None


async def test_what_is_said_of_the_slots() -> None:
    slots = SlotsOnly()
    token = Token(ModuleSettings(""), cast(TokenProcess, slots), FACTS, HolderRule())
    beside = msgspec.structs.replace(FACTS, slot_id=2, serial="0001")
    new = msgspec.structs.replace(FACTS, slot_id=2, serial="0002")
    namesake = msgspec.structs.replace(FACTS, slot_id=2)
    assert await seen(slots, token, FACTS) is None
    assert await seen(slots, token, FACTS, beside) is None, "others may be in"
    assert await seen(slots, token, beside) is FailureKind.GONE, "that one was in all the time"
    assert await seen(slots, token, beside, new) is FailureKind.SWAPPED
    assert await seen(slots, token) is FailureKind.GONE
    assert await seen(slots, token, FACTS, namesake) is FailureKind.SEVERAL, "nobody knows which one gets the PIN"


async def test_of_two_tokens_of_one_name_the_chosen_one_is_served(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank") as bank:
        own = (await bank.credential()).certificate
        swapped = await SwappedToken.beside(bank)
        swapped.put_other_in()

        class Desk(ScriptedDesk):
            async def choose_token(self, question: TokenQuestion) -> TokenFacts | None:
                await super().choose_token(question)
                assert len({each.label for each in question.tokens}) == 1
                return next(each for each in question.tokens if each.serial == swapped.serial_of_own)

        desk = Desk()
        outcome = await bank.visit(desk)
        assert desk.asked[0] == "token"
        assert outcome.completion is not None
        assert outcome.completion.replaced is not None
        assert outcome.completion.replaced.serial == own.serial
