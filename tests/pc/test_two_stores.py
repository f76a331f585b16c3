"""A renewal that has begun in this PC and, at a kiosk that does not know of it, on the USB: one of them wins.

Nothing of the other one stays in either store, where the customer agrees: a browser would offer its certificate, which
the CA has revoked, and the token would be told for unfinished for ever.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kiosk.certificates import Certificate
from kiosk.desk import CleaningQuestion, Destination, SavingStep
from kiosk.errors import Code
from kiosk.journal import Event, Journal
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.wire import ObjectKind, StoreKind
from tests.bank import Bank
from tests.flows.test_conversation import Cut, cut_at
from tests.flows.test_journal_first import Witness
from tests.pc.customer import pc_desk
from tests.scripted_desk import ScriptedDesk
from tests.tokens.test_slots import PLACES, with_places

PC, USB = Destination.PC, Destination.USB
BEFORE_WRITE, BEFORE_CONFIRM = SavingStep.WRITE, SavingStep.CONFIRM
"""The key alone is there; the certificate is beside it."""


async def begin_twice(bank: Bank, in_pc: SavingStep, on_usb: SavingStep) -> None:
    """Two visits that are cut: into this PC, and at another kiosk into the USB."""
    elsewhere = bank.with_pc(database=str(bank.directory / "elsewhere" / "nssdb"))
    with pytest.RaisesGroup(Cut):
        await bank.visit(pc_desk(at_step=cut_at(in_pc)))
    with pytest.RaisesGroup(Cut):
        await elsewhere.visit(ScriptedDesk(at_step=cut_at(on_usb)))


def whole(inventory: Inventory) -> Certificate:
    """The one certificate, with its key and nothing else."""
    assert sorted(each.kind for each in inventory.objects) == sorted(ObjectKind)
    (credential,) = inventory.credentials
    return credential.certificate


CASES = [
    # in the PC     , on the USB     , chosen
    (BEFORE_WRITE, BEFORE_WRITE, PC),
    (BEFORE_WRITE, BEFORE_CONFIRM, PC),
    (BEFORE_CONFIRM, BEFORE_WRITE, PC),
    (BEFORE_CONFIRM, BEFORE_CONFIRM, PC),
    (BEFORE_WRITE, BEFORE_WRITE, USB),
    (BEFORE_WRITE, BEFORE_CONFIRM, USB),
    (BEFORE_CONFIRM, BEFORE_WRITE, USB),
    (BEFORE_CONFIRM, BEFORE_CONFIRM, USB),
]


@pytest.mark.parametrize(("in_pc", "on_usb", "wins"), CASES)
async def test_one_wins_and_nothing_stays_of_the_other(
    bank: Bank, in_pc: SavingStep, on_usb: SavingStep, wins: Destination
) -> None:
    await begin_twice(bank, in_pc, on_usb)
    desk = ScriptedDesk(destination=wins, retires=True)
    outcome = await bank.visit(desk)
    assert outcome.completion is not None
    (question,) = (each for each in desk.seen if isinstance(each, CleaningQuestion))
    assert question.store is (StoreKind.USB if wins is PC else StoreKind.PC)
    won, lost = (await bank.pc_inventory(), await bank.inventory())[:: 1 if wins is PC else -1]
    new = whole(won)
    assert (new, lost.objects) == (outcome.completion.certificate, ())
    states = bank.states()
    assert states.pop(new.serial) == "valid"
    assert sorted(states.values())[-1:] == ["superseded"], "the old one"
    assert set(states.values()) <= {"revoked", "superseded"}


@pytest.mark.parametrize("retires", [True, False])
async def test_the_old_one_may_stay_where_what_had_begun_beside_it_goes(bank: Bank, retires: bool) -> None:
    old = await bank.credential()
    await begin_twice(bank, BEFORE_CONFIRM, BEFORE_CONFIRM)
    await bank.visit(pc_desk(retires=retires))
    left = await bank.inventory()
    assert [each.certificate for each in left.credentials] == ([] if retires else [old.certificate])
    assert len(left.objects) == (0 if retires else len(ObjectKind))


async def test_nothing_goes_unasked(bank: Bank) -> None:
    await begin_twice(bank, BEFORE_CONFIRM, BEFORE_CONFIRM)
    begun = await bank.pc_inventory()
    outcome = await bank.visit(ScriptedDesk(destination=USB, cleans=False))
    assert outcome.completion is not None
    assert await bank.pc_inventory() == begun
    assert Event.CLEANING not in bank.events()


async def test_it_is_in_the_journal_before_it_goes(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    await begin_twice(bank, BEFORE_WRITE, BEFORE_WRITE)
    witness = Witness(bank, monkeypatch)
    await bank.visit(ScriptedDesk(destination=USB))
    removals = [event for act, event in witness.acts if act == "Remove"]
    assert removals == [Event.RETIRING, Event.CLEANING]


async def test_on_a_card_with_places_what_may_be_another_ids_stays(bank: Bank) -> None:
    card = with_places(bank, *PLACES)
    await begin_twice(card, BEFORE_WRITE, BEFORE_WRITE)
    desk = ScriptedDesk(destination=PC, retires=True)
    assert (await card.visit(desk)).completion is not None
    assert not [each for each in desk.seen if isinstance(each, CleaningQuestion)]
    assert (await bank.inventory()).has_key(PLACES[1])


async def test_a_store_that_fails_meanwhile_does_not_undo_the_renewal_and_is_told_to_staff(bank: Bank) -> None:
    await begin_twice(bank, BEFORE_CONFIRM, BEFORE_CONFIRM)

    class Locks(ScriptedDesk):
        async def confirm_cleaning(self, question: CleaningQuestion) -> bool:
            bank.database.chmod(0o500)
            return await super().confirm_cleaning(question)

    outcome = await bank.visit(Locks(destination=USB))
    bank.database.chmod(0o700)
    assert outcome.problem is None
    assert outcome.completion is not None
    assert (await bank.credential()).certificate == outcome.completion.certificate
    with Journal(Path(bank.settings.journal)) as journal:
        (why,) = (each.detail for each in journal.entries() if each.code == Code.OLD_CREDENTIAL_NOT_REMOVED)
    assert why
