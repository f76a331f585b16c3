"""A clock that is not the CA's, at every place where the two meet: told to the staff, or refused before anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from kiosk.cmp.client import CmpClient, GeneralAnswer
from kiosk.cmp.envelope import Protector
from kiosk.demo_bank import DemoBank
from kiosk.desk import SavingStep
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from kiosk.revocation.check import RevocationRule
from tests.bank import Bank, open_bank
from tests.flows.test_network import Way, with_code
from tests.flows.test_reconcile import cut, elsewhere
from tests.scripted_desk import ScriptedDesk

RIGHT, NOTED, BEARABLE, WRONG = 60, 61, 300, 301
"""The last second of each rule, and the first of the next."""
LIMITS = [-RIGHT, RIGHT, -NOTED, NOTED, -BEARABLE, BEARABLE, -WRONG, WRONG]
EACH_LIMIT_ONCE = [RIGHT, -NOTED, BEARABLE, -WRONG]


def away(seconds: int) -> Callable[[CmpClient], CmpClient]:
    """The CA's clock is so far ahead of the kiosk's, or behind it."""

    class Elsewhen(Way):
        async def general(self, protector: Protector, **about: object) -> GeneralAnswer:
            return replace(await super().general(protector, **about), offset=timedelta(seconds=seconds))

    return lambda real: Elsewhen(real, {})


def asking_nobody_else(bank: Bank) -> Bank:
    """Who tells of revocation goes by the real time, which only the CA's answer belies here."""
    ca = msgspec.structs.replace(bank.settings.ca, revocation=RevocationRule.OFF)
    return Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=ca)))


async def check(bank: Bank, desk: ScriptedDesk, seconds: int, *, changed: Changed = Changed.NOTHING) -> None:
    """One visit, at a kiosk whose journal has nothing else in it."""
    kiosk = asking_nobody_else(elsewhere(bank))
    before, ledger = await bank.inventory(), bank.ledger()
    outcome = await kiosk.visit(desk, through=away(seconds))
    if abs(seconds) < WRONG:
        assert outcome.problem is None
        assert outcome.completion is not None
    else:
        assert outcome.problem is not None
        assert (outcome.problem.code, outcome.problem.changed) == (Code.CLOCK_WRONG, changed)
        assert (await bank.inventory(), bank.ledger()) == (before, ledger)
        assert Event.MAKING_KEY not in kiosk.events()
        assert Event.RETIRING not in kiosk.events()
    assert (Event.CLOCK_OFF in kiosk.events()) == (RIGHT < abs(seconds) < WRONG)


@pytest.mark.parametrize("seconds", LIMITS)
async def test_before_a_renewal(bank: Bank, seconds: int) -> None:
    await check(bank, ScriptedDesk(), seconds)


@pytest.mark.parametrize("seconds", EACH_LIMIT_ONCE)
async def test_before_a_certificate_by_code(tmp_path: Path, seconds: int) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        await check(bank, with_code(bank.code()), seconds)


@pytest.mark.parametrize("seconds", EACH_LIMIT_ONCE)
async def test_where_a_renewal_is_confirmed_already(bank: Bank, seconds: int) -> None:
    await cut(bank, SavingStep.RETIRE)
    await check(bank, ScriptedDesk(), seconds, changed=Changed.RENEWED)


@pytest.mark.parametrize("seconds", EACH_LIMIT_ONCE)
async def test_where_a_certificate_by_code_is_confirmed_already(tmp_path: Path, seconds: int) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        await cut(bank, SavingStep.RETIRE, with_code(bank.code()))
        await check(bank, ScriptedDesk(), seconds, changed=Changed.ENROLLED)
