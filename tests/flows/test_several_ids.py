"""Several IDs on one token: one is chosen, and only that one is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kiosk.credentials import HolderKind
from kiosk.demo_bank import Customer
from kiosk.desk import IdQuestion
from kiosk.errors import Code
from kiosk.tokens.wire import KeyKind, StoredObject
from tests.bank import Bank, open_bank
from tests.scripted_desk import ScriptedDesk

ADMINISTRATOR = Customer(9, KeyKind.EC_P256, "TKYM1408001 0001", HolderKind.ADMINISTRATOR)
EARLY = Customer(300, KeyKind.EC_P256, "TKYM1408056 1405")
EXPIRED = Customer(-3, KeyKind.EC_P256, "TKYM1408057 1406")


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Bank]:
    """A token with four IDs: one due in 9 days, one in 20, one not due, one expired."""
    async with open_bank(tmp_path / "bank", others=[ADMINISTRATOR, EARLY, EXPIRED]) as bank:
        yield bank


async def objects_but(bank: Bank, holder: str) -> list[StoredObject]:
    """What lies on the token and does not belong to `holder`."""
    inventory = await bank.inventory()
    ours = {each.key_id for each in inventory.credentials if each.holder.id == holder}
    return sorted((each for each in inventory.objects if each.key_id not in ours), key=repr)


async def test_each_id_is_offered_with_its_days_soonest_first(shared: Bank) -> None:
    desk = ScriptedDesk(holder=None)
    outcome = await shared.visit(desk)
    assert (outcome.completion, outcome.problem) == (None, None)
    assert desk.asked == ["pin", "id"]
    question = desk.seen[-1]
    assert isinstance(question, IdQuestion)
    assert [(each.credential.holder.id, each.days_left) for each in question.ids] == [
        ("TKYM1408057", -3),
        ("TKYM1408001", 9),
        ("TKYM1408054", 20),
        ("TKYM1408056", 300),
    ]
    assert question.ids[1].credential.holder.kind is HolderKind.ADMINISTRATOR


async def test_the_renewal_touches_nothing_of_the_other_ids(shared: Bank) -> None:
    others = await objects_but(shared, "TKYM1408001")
    states = shared.states()
    desk = ScriptedDesk(holder="TKYM1408001")
    outcome = await shared.visit(desk)
    assert outcome.completion is not None
    assert outcome.completion.replaced
    assert outcome.completion.replaced.common_name == "TKYM1408001 0001"
    assert desk.asked[:3] == ["pin", "id", "notice"]
    assert await objects_but(shared, "TKYM1408001") == others
    renewed = {outcome.completion.replaced.serial, outcome.completion.certificate.serial}
    assert {each: state for each, state in shared.states().items() if each not in renewed} == {
        each: state for each, state in states.items() if each not in renewed
    }


async def test_the_completion_says_which_ids_still_need_theirs(shared: Bank) -> None:
    outcome = await shared.visit(ScriptedDesk(holder="TKYM1408001"))
    assert outcome.completion is not None
    assert [(each.credential.holder.id, each.days_left) for each in outcome.completion.others] == [
        ("TKYM1408057", -3),
        ("TKYM1408054", 20),
    ], "the one with 300 days left does not"


async def test_ids_are_renewed_one_after_another(shared: Bank) -> None:
    for holder in ("TKYM1408001", "TKYM1408054"):
        assert (await shared.visit(ScriptedDesk(holder=holder))).completion is not None
    (left,) = [each for each in (await shared.inventory()).credentials if each.holder.id == "TKYM1408057"]
    assert left.certificate.common_name == EXPIRED.common_name
    assert sorted(shared.states().values()) == ["superseded", "superseded", "valid", "valid", "valid", "valid"]


async def test_turning_back_leaves_everything_untouched(shared: Bank) -> None:
    token, ledger = await shared.inventory(), shared.ledger()
    await shared.visit(ScriptedDesk(holder="TKYM1408054", destination=None))
    assert (await shared.inventory(), shared.ledger()) == (token, ledger)


async def test_an_expired_one_among_them_is_explained(shared: Bank) -> None:
    outcome = await shared.visit(ScriptedDesk(holder="TKYM1408057"))
    assert outcome.problem is not None
    assert outcome.problem.code is Code.EXPIRED


async def test_one_id_is_not_asked_for(bank: Bank) -> None:
    desk = ScriptedDesk()
    await bank.visit(desk)
    assert "id" not in desk.asked
