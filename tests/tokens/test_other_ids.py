"""On a card with places no ID tells whose key has begun: what may be another customer's is neither used nor removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kiosk.demo_bank import TOKEN_LABEL, Customer
from kiosk.desk import Errand, SavingStep
from kiosk.errors import Changed, Code
from kiosk.tokens.inventory import PENDING_LABEL
from tests.bank import Bank, open_bank
from tests.flows.test_conversation import Cut, cut_at
from tests.scripted_desk import ScriptedDesk
from tests.tokens.mute_key import leave_mute_key
from tests.tokens.test_slots import PLACES, SECOND, with_places

ID = Customer().holder_id


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank") as bank:
        yield bank


async def cut_and_mute(card: Bank) -> None:
    """A renewal is cut, and of its key only the private half stays, labelled as pending."""
    with pytest.RaisesGroup(Cut):
        await card.visit(ScriptedDesk(at_step=cut_at(SavingStep.REQUEST)))
    leave_mute_key(card.settings.token, TOKEN_LABEL, SECOND, PENDING_LABEL)


async def test_a_renewal_leaves_a_key_that_tells_nothing(bank: Bank) -> None:
    card = with_places(bank, *PLACES)
    await cut_and_mute(card)
    before, ledger = await bank.inventory(), bank.ledger()
    outcome = await card.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.SUCCESSOR_NOT_READABLE, Changed.UNFINISHED)
    assert await bank.inventory() == before
    assert bank.ledger() == ledger, "not even a trial"


async def test_an_enrolment_leaves_a_key_that_tells_nothing(bank: Bank) -> None:
    card = with_places(bank, *PLACES)
    await cut_and_mute(card)
    before = await bank.inventory()
    outcome = await card.visit(ScriptedDesk(enrolment_ids=[ID], codes=[bank.code()]), errand=Errand.ENROLMENT)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.SUCCESSOR_NOT_READABLE, Changed.ENROLLING)
    assert await bank.inventory() == before


async def test_a_key_that_another_code_has_had_certified_stays(bank: Bank) -> None:
    """On any other token it makes room; here its own code may still confirm it for another ID."""
    card = with_places(bank, *PLACES)
    first = ScriptedDesk(enrolment_ids=[ID], codes=[bank.code()], at_step=cut_at(SavingStep.WRITE))
    with pytest.RaisesGroup(Cut):
        await card.visit(first, errand=Errand.ENROLMENT)
    before = await bank.inventory()
    outcome = await card.visit(ScriptedDesk(enrolment_ids=[ID], codes=[bank.code()]), errand=Errand.ENROLMENT)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.REFUSED_BY_CA
    assert await bank.inventory() == before
