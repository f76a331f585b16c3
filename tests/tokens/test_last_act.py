"""Whoever goes while a token is written to, the writing comes to its end: what is torn on a token can be lost.

The module stands in the middle of making a key until the test lets it go on.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens import process as processes
from kiosk.tokens import wire
from kiosk.tokens.errors import TokenError, TokenProcessDied
from kiosk.tokens.process import Limits, TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import KeyKind, ObjectKind
from tests.bank import Bank, child_processes
from tests.flows.test_journal_first import LASTING
from tests.forks import FORKS
from tests.tokens.acting_module import ActingModule

pytestmark = pytest.mark.token_processes_as_they_are

KEY_ID = b"last act"
LIMIT = 30.0
"""Seconds after which a test is over; nothing here takes as long."""


@pytest.fixture
def acting(bank: Bank, tmp_path: Path) -> ActingModule:
    return ActingModule(bank, tmp_path / "acting")


def test_whatever_leaves_a_token_another_one_than_before_is_let_come_to_its_end() -> None:
    """But for changes of PINs at a pad, which wait for a person. Whatever checks a PIN writes whether it was wrong."""
    checking = {wire.Initialise, wire.LogIn, wire.LogInWithLentPin, wire.Unblock, wire.Sign}
    assert set(wire.WRITING) == set(LASTING) - {wire.ChangePinAtPad} | checking


async def made(bank: Bank) -> list[ObjectKind]:
    """What there is of the key."""
    return sorted(each.kind for each in (await bank.inventory()).objects if each.key_id == KEY_ID)


async def reached(gate: Path) -> BinaryIO:
    """The gate as the module stands behind it; closing this lets it go on."""
    async with asyncio.timeout(LIMIT):
        return await asyncio.to_thread(gate.open, "wb")


@asynccontextmanager
async def cancelled_in_the_middle(acting: ActingModule) -> AsyncIterator[tuple[Token, BinaryIO]]:
    """A token whose request to make a key was cancelled, and the gate behind which the module is at it."""
    gate = acting.make_keys_behind_gate()
    token = await acting.bank.open_token()
    making = asyncio.create_task(token.make_key_pair(KeyKind.EC_P256, KEY_ID, "last act"))
    with await reached(gate) as standing:
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        yield token, standing


async def test_a_key_whose_visit_has_ended_is_whole(acting: ActingModule) -> None:
    before = child_processes()
    async with cancelled_in_the_middle(acting) as (token, standing):
        ending = asyncio.create_task(token.__aexit__(None, None, None))
        await asyncio.sleep(0)
        standing.close()
        async with asyncio.timeout(LIMIT):
            await ending
    assert child_processes() <= before
    assert await made(acting.real) == [ObjectKind.PRIVATE_KEY, ObjectKind.PUBLIC_KEY]


async def test_nobody_waits_long_for_it(acting: ActingModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LAST_ACT_SECONDS", 0.2)
    before = child_processes()
    async with cancelled_in_the_middle(acting) as (token, _), asyncio.timeout(LIMIT):
        await token.__aexit__(None, None, None)
        assert child_processes() <= before
    assert await made(acting.real) == []


async def has_tried_wrongly(bank: Bank) -> bool:
    """What SoftHSM says after one wrong PIN, until somebody has logged in."""
    process = TokenProcess.start(bank.settings.token)
    try:
        (facts,) = await find_tokens(process)
    finally:
        await process.end()
    return facts.pin_few_tries


@pytest.fixture
async def tried(acting: ActingModule) -> ActingModule:
    """One to which a wrong PIN was sent."""
    with pytest.raises(TokenError):
        await acting.bank.open_token(pin="87654321")
    assert await has_tried_wrongly(acting.real)
    return acting


async def test_a_login_whose_visit_has_ended_is_whole(tried: ActingModule) -> None:
    """SoftHSM writes the description of its token anew at each, without which the token is lost."""
    process = TokenProcess.start(tried.bank.settings.token)
    (facts,) = await find_tokens(process)
    gate = tried.log_in_behind_gate()
    logging_in = asyncio.create_task(
        process.call(wire.LogIn(facts.serial), type(None), LIMIT, pin=Pin(bytearray(DEMO_PIN, "ascii")))
    )
    with await reached(gate) as standing:
        logging_in.cancel()
        with pytest.raises(asyncio.CancelledError):
            await logging_in
        ending = asyncio.create_task(process.end())
        await asyncio.sleep(0)
        standing.close()
        await ending
    assert not await has_tried_wrongly(tried.real)


async def test_each_has_its_own_time_to_end_alone(tried: ActingModule) -> None:
    """A login that takes longer than anything else may is not torn, nor does one that hangs stand for as long."""
    settings = tried.bank.settings.token
    settings = msgspec.structs.replace(settings, limits=Limits(make_key_pair=0.1, write=0.1, sign=0.1))
    process = TokenProcess.start(settings)
    try:
        (facts,) = await find_tokens(process)
        gate = tried.log_in_behind_gate()
        pin = Pin(bytearray(DEMO_PIN, "ascii"))
        logging_in = asyncio.create_task(process.call(wire.LogIn(facts.serial), type(None), LIMIT, pin=pin))
        with await reached(gate):
            await asyncio.wait([logging_in], timeout=0.5)
        await logging_in
    finally:
        await process.end()
    assert not await has_tried_wrongly(tried.real)


async def test_a_login_whose_kiosk_was_ended_is_whole(tried: ActingModule) -> None:
    async with orphaned_in_the_middle(tried, tried.log_in_behind_gate()) as (worker, standing):
        standing.close()
        assert ends(worker)
    assert not await has_tried_wrongly(tried.real)


async def test_no_other_request_gets_its_answer(acting: ActingModule) -> None:
    async with cancelled_in_the_middle(acting) as (token, standing):
        with pytest.raises(TokenProcessDied):
            await token.inventory()
        standing.close()
        await token.__aexit__(None, None, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_what_a_whole_group_is_told_does_not_end_it(acting: ActingModule, number: signal.Signals) -> None:
    """systemd tells everybody to end, and a terminal that closes does too."""
    gate, before = acting.make_keys_behind_gate(), child_processes()
    async with await acting.bank.open_token() as token:
        making = asyncio.create_task(token.make_key_pair(KeyKind.EC_P256, KEY_ID, "last act"))
        with await reached(gate):
            for each in child_processes() - before:
                os.kill(each, number)
        async with asyncio.timeout(LIMIT):
            await making
    assert await made(acting.real) == [ObjectKind.PRIVATE_KEY, ObjectKind.PUBLIC_KEY]


async def _make(bank: Bank) -> None:
    async with await bank.open_token() as token:
        await token.make_key_pair(KeyKind.EC_P256, KEY_ID, "last act")


async def _make_until_told(bank: Bank) -> None:
    """As the program does it: the visit is cancelled, and once more with all that still runs when the loop is over."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    making = asyncio.create_task(_make(bank))
    await told.wait()
    making.cancel()
    await asyncio.wait([making], timeout=0.1)


def _kiosk(bank: Bank) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # as whoever started it may have left it
    asyncio.run(_make_until_told(bank))


@asynccontextmanager
async def orphaned_in_the_middle(
    acting: ActingModule, gate: Path, how: signal.Signals = signal.SIGKILL
) -> AsyncIterator[tuple[int, BinaryIO]]:
    """A descriptor of a token process whose kiosk was ended while it makes a key, and the `gate` that it is behind."""
    kiosk = FORKS.Process(target=_kiosk, args=(acting.bank,))
    kiosk.start()
    with await reached(gate) as standing:
        (number,) = Path(f"/proc/{kiosk.pid}/task/{kiosk.pid}/children").read_text().split()
        worker = os.pidfd_open(int(number))
        assert kiosk.pid is not None
        os.kill(kiosk.pid, how)
        kiosk.join()
        try:
            yield worker, standing
        finally:
            os.close(worker)


def ends(worker: int) -> bool:
    """Whether the process ends before the test does."""
    return bool(select.select([worker], [], [], LIMIT)[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_key_whose_kiosk_was_ended_is_whole(acting: ActingModule, how: signal.Signals) -> None:
    async with orphaned_in_the_middle(acting, acting.make_keys_behind_gate(), how) as (worker, standing):
        standing.close()
        assert ends(worker)
    assert await made(acting.real) == [ObjectKind.PRIVATE_KEY, ObjectKind.PUBLIC_KEY]


async def test_a_module_that_hangs_ends_without_its_kiosk_too(acting: ActingModule) -> None:
    limits = Limits(make_key_pair=0.5, write=0.5)
    token = msgspec.structs.replace(acting.bank.settings.token, limits=limits)
    acting.bank = acting.bank.at(token)
    async with orphaned_in_the_middle(acting, acting.make_keys_behind_gate()) as (worker, _):
        assert ends(worker)
    assert await made(acting.real) == []


async def _make_and_stay(bank: Bank, told: Connection) -> None:
    async with await bank.open_token() as token:
        await token.make_key_pair(KeyKind.EC_P256, KEY_ID, "last act")
        told.send(child_processes())
        await asyncio.Event().wait()


def _staying_kiosk(bank: Bank, told: Connection) -> None:
    asyncio.run(_make_and_stay(bank, told))


async def test_one_that_has_written_and_hangs_at_something_else_ends_with_its_kiosk(bank: Bank) -> None:
    told, telling = FORKS.Pipe(duplex=False)
    kiosk = FORKS.Process(target=_staying_kiosk, args=(bank, telling))
    kiosk.start()
    assert told.poll(LIMIT)
    (number,) = told.recv()
    worker = os.pidfd_open(number)
    try:
        signal.pidfd_send_signal(worker, signal.SIGSTOP)
        kiosk.kill()
        kiosk.join()
        assert ends(worker)
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(worker, signal.SIGKILL)
        os.close(worker)
