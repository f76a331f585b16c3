"""A module that hangs or dies while it is loaded, and one that has to be loaded anew once a token has come or gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens import wire
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.modules import AfterChange, Known, Traits
from kiosk.tokens.process import Limits, ModuleSettings, TokenProcess
from kiosk.tokens.token import find_tokens
from kiosk.tokens.wire import TokenFacts
from tests.bank import Bank, child_processes
from tests.tokens.pulled_token import PulledToken

pytestmark = pytest.mark.token_processes_as_they_are


@pytest.fixture
def pulled(bank: Bank, tmp_path: Path) -> Iterator[PulledToken]:
    token = PulledToken(bank.settings.token, tmp_path)
    token.put_in()
    yield token
    token.pull()


def hang(token: PulledToken) -> None:
    """From now on the module gets no answer: C_Initialize of p11-kit-client waits for one."""
    assert token.server is not None
    os.killpg(token.server.pid, signal.SIGSTOP)


def loads(process: TokenProcess, name: str) -> bool:
    return name in Path(f"/proc/{process.pid}/maps").read_text()


async def test_a_module_that_hangs_while_it_is_loaded_is_ended_within_its_limit(pulled: PulledToken) -> None:
    hang(pulled)
    process = TokenProcess.start(msgspec.structs.replace(pulled.settings, limits=Limits(look=0.5)))
    with pytest.raises(TokenHangs):
        await find_tokens(process)
    await process.end()
    assert process.pid not in child_processes()


async def test_a_module_that_dies_while_it_is_loaded_is_noticed(pulled: PulledToken) -> None:
    hang(pulled)
    process = TokenProcess.start(pulled.settings)
    request = asyncio.create_task(find_tokens(process))
    while not loads(process, "p11-kit-client"):  # noqa: ASYNC110 - another process's memory tells nobody
        await asyncio.sleep(0.01)
    os.kill(process.pid, signal.SIGSEGV)
    with pytest.raises(TokenProcessDied):
        await request
    await process.end()


async def looked(process: TokenProcess) -> list[TokenFacts]:
    """What is found; nothing where the module fails."""
    try:
        return await find_tokens(process)
    except TokenError:
        return []


async def test_a_module_that_wants_it_is_loaded_anew_within_the_same_process_number(pulled: PulledToken) -> None:
    """p11-kit-client stays as it is once its server has gone; initialised anew or not, nobody knows."""
    row = Known(library_manufacturer="PKCS#11 Kit", after_change=AfterChange.NEW_PROCESS)
    anew = TokenProcess.start(msgspec.structs.replace(pulled.settings, known=(row,)))
    same = TokenProcess.start(pulled.settings)
    (facts,) = await find_tokens(anew)
    assert await find_tokens(same) == [msgspec.structs.replace(facts, traits=Traits())]
    pulled.pull()
    for process in (anew, same):
        assert await looked(process) == []
    pulled.put_in()
    while not await looked(anew):  # noqa: ASYNC110 - another process tells only who asks
        await asyncio.sleep(0.05)
    assert await looked(same) == [], "else this test would show nothing"
    await anew.call(wire.LogIn(facts.serial), type(None), 10, pin=Pin(bytearray(DEMO_PIN, "ascii")))
    assert await anew.call(wire.ListObjects(), list[wire.StoredObject], 10)
    for process in (anew, same):
        assert process.pid in child_processes()
        await process.end()
        assert process.pid not in child_processes()


async def test_what_a_process_is_told_as_it_starts_is_no_secret(bank: Bank, tmp_path: Path) -> None:
    so_pin_file = tmp_path / "so-pin"
    so_pin_file.touch(mode=0o600)
    so_pin_file.write_text("31415926")
    settings: ModuleSettings = msgspec.structs.replace(bank.settings.token, so_pin_file=str(so_pin_file))
    process = TokenProcess.start(settings)
    await find_tokens(process)
    command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    await process.end()
    assert str(so_pin_file).encode() in command
    assert b"31415926" not in command
