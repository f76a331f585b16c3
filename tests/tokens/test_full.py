"""A token that turns out full: at the key, or when the key was made already. On a real, full file system."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kiosk.desk import SavingStep
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from tests.bank import Bank, open_bank
from tests.scripted_desk import ScriptedDesk
from tests.tokens import full_disc

pytestmark = pytest.mark.skipif(not full_disc.is_possible(), reason="nobody may mount a file system here (unshare)")


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank") as bank:
        yield bank


async def visit(bank: Bank, step: SavingStep, pages: int, *codes: str) -> full_disc.Told:
    return await asyncio.to_thread(full_disc.visit, bank, step, pages, codes)


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(0, id="no room at all", marks=pytest.mark.tokens),
        pytest.param(1, id="room for half a pair"),
    ],
)
async def test_no_room_for_the_key(bank: Bank, pages: int) -> None:
    ledger = bank.ledger()
    told = await visit(bank, SavingStep.KEY, pages)
    assert (told.code, told.changed) == (Code.TOKEN_FULL, Changed.NOTHING.value)
    assert told.asked[-2:] == ["key", "problem"]
    assert told.after == told.before
    assert told.objects_after == told.objects_before
    assert bank.ledger() == ledger, "the CA was not asked"


async def test_no_room_for_the_certificate_once_the_key_was_made(bank: Bank) -> None:
    told = await visit(bank, SavingStep.KEY, 2)
    assert (told.code, told.changed) == (Code.TOKEN_FULL, Changed.NOTHING.value)
    assert told.asked[-2:] == ["write", "problem"]
    assert len(told.before) == 1
    assert told.after == told.before, "the old credential signs, and there is no other"
    assert told.objects_after == told.objects_before, "nothing of the new key is left"
    (old,) = told.before
    states = bank.states()
    assert states.pop(old) == "valid"
    assert list(states.values()) == ["revoked"], "nothing stays pending at the CA"
    assert [each for each in bank.events() if each in (Event.REJECTING, Event.REMOVING_KEY)] == [
        Event.REJECTING,
        Event.REMOVING_KEY,
    ]


@pytest.mark.tokens
async def test_with_room_again_the_renewal_is_made_anew(bank: Bank) -> None:
    assert (await visit(bank, SavingStep.WRITE, 0)).code == Code.TOKEN_FULL
    assert (await bank.visit(ScriptedDesk())).completion is not None
    new = await bank.credential()
    states = bank.states()
    assert states.pop(new.certificate.serial) == "valid"
    assert sorted(states.values()) == ["revoked", "superseded"]


@pytest.mark.tokens
async def test_no_room_for_a_certificate_obtained_by_a_code(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        told = await visit(bank, SavingStep.KEY, 2, bank.code())
        assert (told.code, told.changed) == (Code.TOKEN_FULL, Changed.NOTHING.value)
        assert told.asked[-2:] == ["write", "problem"]
        assert told.objects_after == told.objects_before
        assert sorted(bank.states().values()) == ["revoked", "valid"]
        desk = ScriptedDesk(enrols=True, enrolment_ids=["TKYM1408054"], codes=[bank.code()])
        assert (await bank.visit(desk)).completion is not None, "a new code leads to a new certificate"
