"""A USB that stays in after the visit: told, rung, called for, and of no use to anybody else."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from kiosk.errors import Code
from kiosk.journal import Event, Journal
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN
from kiosk.tokens.process import ModuleSettings
from kiosk.tokens.wire import TokenFacts
from tests.bank import Bank, child_processes
from tests.flows.test_staff_calls import Receiver, calling, listening
from tests.scripted_desk import ScriptedDesk
from tests.tokens.pulled_token import PulledToken

RINGS = 3
RING_EVERY = 0.05


class RemovableFrontDesk(FrontDesk):
    """SoftHSM says that its tokens cannot leave their slot; behind `p11-kit server` this one can."""

    async def _look(self) -> list[TokenFacts]:
        return [msgspec.structs.replace(each, removable=True) for each in await super()._look()]


@dataclass
class Forgetful(ScriptedDesk):
    """Goes home without the token; nothing on the screen answers."""

    forgotten: asyncio.Event = field(default_factory=asyncio.Event)
    rung: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask_take_out(self, *, removable: bool) -> None:
        await super().ask_take_out(removable=removable)
        await asyncio.Event().wait()

    async def show_forgotten(self) -> None:
        await super().show_forgotten()
        self.forgotten.set()
        await asyncio.Event().wait()

    def ring(self) -> None:
        super().ring()
        if self.rings == RINGS:
            self.rung.set()


@pytest.fixture
def pulled(bank: Bank, tmp_path: Path) -> PulledToken:
    token = PulledToken(bank.settings.token, tmp_path)
    token.put_in()
    return token


def entries(bank: Bank) -> list[tuple[str, str]]:
    kept = (Event.FORGOTTEN, Event.FORGOTTEN_TAKEN_OUT, Event.STAFF_CALLED)
    with Journal(Path(bank.settings.journal)) as journal:
        return [(each.event, each.code) for each in journal.entries() if each.event in kept]


def private_keys(module: ModuleSettings, *login: str) -> int:
    """What another program sees of the token that is in."""
    done = subprocess.run(
        ["pkcs11-tool", "--module", module.module, "--list-objects", *login],
        env={**os.environ, **module.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.count("Private Key Object")


async def test_a_forgotten_token_rings_calls_once_and_is_of_no_use_to_the_next(bank: Bank, pulled: PulledToken) -> None:
    rules = {"forgotten_seconds": 0.2, "forgotten_ring_seconds": RING_EVERY, "forgotten_rings": RINGS}
    desk = Forgetful()
    async with listening(Receiver()) as receiver:
        settings = calling(bank.with_policy(**rules), receiver.url)
        settings = msgspec.structs.replace(settings, token=pulled.settings)
        async with open_services(settings) as services:
            front_desk = RemovableFrontDesk(services, settings.token)
            before = child_processes()
            visit = asyncio.create_task(front_desk.serve(desk))
            async with asyncio.timeout(30):
                await desk.forgotten.wait()
                await desk.rung.wait()
            assert len(child_processes() - before) <= 1, "at most the process that looks for tokens, which knows no PIN"
            assert private_keys(settings.token) == 0, "who comes next, and knows no PIN"
            assert private_keys(settings.token, "--login", "--pin", DEMO_PIN) == 1, "there is one to be had"
            await asyncio.sleep(5 * RING_EVERY)
            assert desk.rings == RINGS, "it does not ring for ever"
            assert not visit.done(), "nobody else's visit begins"

            pulled.pull()
            async with asyncio.timeout(30):
                await visit
            assert desk.asked[-3:] == ["completion", "take-out", "forgotten"]
            await front_desk.close()
            assert [call["code"] for call in receiver.calls] == [Code.TOKEN_FORGOTTEN]

            pulled.put_in()
            somebody_else = ScriptedDesk(pins=[None])
            await front_desk.serve(somebody_else)
            assert somebody_else.asked == ["pin", "take-out"]
            await front_desk.close()
    pulled.pull()
    told = [(Event.FORGOTTEN, "T-08"), (Event.STAFF_CALLED, "T-08"), (Event.FORGOTTEN_TAKEN_OUT, "T-08")]
    assert entries(bank) == told


async def test_ringing_ends_as_soon_as_the_token_is_out(bank: Bank, pulled: PulledToken) -> None:
    rules = {"forgotten_seconds": 0.1, "forgotten_ring_seconds": RING_EVERY, "forgotten_rings": 10_000}
    desk = Forgetful(pins=[None])
    settings = msgspec.structs.replace(bank.with_policy(**rules).settings, token=pulled.settings)
    async with open_services(settings) as services:
        front_desk = RemovableFrontDesk(services, settings.token)
        visit = asyncio.create_task(front_desk.serve(desk))
        async with asyncio.timeout(30):
            await desk.rung.wait()
            pulled.pull()
            await visit
        rings = desk.rings
        await asyncio.sleep(5 * RING_EVERY)
        assert desk.rings == rings
        await front_desk.close()


async def test_a_token_that_is_taken_out_in_time_rings_nobody(bank: Bank, pulled: PulledToken) -> None:
    desk = Forgetful(pins=[None])
    settings = msgspec.structs.replace(bank.settings, token=pulled.settings)
    async with open_services(settings) as services:
        front_desk = RemovableFrontDesk(services, settings.token)
        visit = asyncio.create_task(front_desk.serve(desk))
        async with asyncio.timeout(30):
            while "take-out" not in desk.asked:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            pulled.pull()
            await visit
        assert desk.rings == 0
        assert "forgotten" not in desk.asked
        await front_desk.close()
    assert entries(bank) == []
