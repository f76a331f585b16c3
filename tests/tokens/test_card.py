"""A card is put in, pulled, put in again and exchanged for another, in a reader of a real pcscd, behind OpenSC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kiosk.demo_bank import Customer
from kiosk.desk import SavingStep, Standby, TokenQuestion
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from kiosk.tokens.wire import KeyKind, ObjectKind, TokenFacts
from tests.bank import child_processes
from tests.flows.test_reception import Board, front_desk_of
from tests.scripted_desk import ScriptedDesk
from tests.tokens.virtual_card import pcscd
from tests.tokens.virtual_card.bank import NEIGHBOUR, CardBank, open_card_bank
from tests.tokens.virtual_card.reader import Cut

pytestmark = pytest.mark.tokens

_DELETE_FILE = 0xE4
_SERIALS = ("0001020304", "0506070809")
"""Of the customer's card, and of the neighbour's."""


@dataclass
class BesideItsList(Cut):
    """With the first command that changes something after a file was removed: the card's list still has it."""

    deleted: bool = False

    @property
    def done(self) -> bool:
        return self.passed > 0

    def comes_with(self, command: bytes) -> bool:
        if self.deleted:
            return super().comes_with(command)
        self.deleted = len(command) > 1 and command[1] == _DELETE_FILE
        return False


_CHANGED = {
    SavingStep.KEY: Changed.NOTHING,
    SavingStep.RETIRE: Changed.RENEWED,
}
"""What the customer is told of a cut at a step; of any other, that the renewal is unfinished."""


@pytest.fixture
async def cards(tmp_path: Path) -> AsyncIterator[CardBank]:
    if why := pcscd.why_not():
        pytest.skip(f"opensc-pcscd: {why}")
    async with open_card_bank(tmp_path / "bank") as opened:
        yield opened


async def test_a_visit_begins_when_a_card_is_put_in_and_ends_when_it_is_taken_out(cards: CardBank) -> None:
    class Desk(ScriptedDesk):
        async def ask_take_out(self, *, removable: bool) -> None:
            await super().ask_take_out(removable=removable)
            await asyncio.to_thread(cards.slot.pull)
            await asyncio.Event().wait()  # only the card's going ends the question

    cards.slot.pull()
    board, desk = Board(), Desk()
    async with front_desk_of(cards.bank.settings) as front_desk:
        for card in (cards.card, cards.neighbours):
            waiting = asyncio.create_task(front_desk.wait_for_customer(board))
            await board.wait_for(Standby.INSERT)
            await asyncio.to_thread(cards.slot.put_in, card)
            await waiting
            await front_desk.serve(desk)
            assert desk.asked[-2:] == ["completion", "take-out"]
            assert desk.seen[-1] is True, "OpenSC's readers are said to be removable"
            desk.pins.append("123456")
    assert [standby for standby, _ in board.shown] == [Standby.INSERT]


@pytest.mark.parametrize("meant", [0, 1], ids=["first slot", "second slot"])
async def test_of_two_cards_in_two_slots_only_the_one_that_is_meant_is_touched(cards: CardBank, meant: int) -> None:
    """They have one label, one PIN and one reader, and differ by their serial numbers alone."""

    class Desk(ScriptedDesk):
        async def choose_token(self, question: TokenQuestion) -> TokenFacts | None:
            await super().choose_token(question)
            assert len({each.label for each in question.tokens}) == 1
            return next(each for each in question.tokens if each.serial == _SERIALS[meant])

    await asyncio.to_thread(cards.service.slots[1].put_in, cards.neighbours)
    lying = (cards.card, cards.neighbours)
    before = [(each.files.copy(), dict(each.keys), replace(each.pin)) for each in lying]
    desk = Desk()
    outcome = await cards.bank.visit(desk)
    assert "token" in desk.asked
    assert outcome.completion is not None
    assert outcome.completion.certificate.common_name == (Customer().common_name, NEIGHBOUR.common_name)[meant]
    for card, (files, keys, pin) in zip(lying, before, strict=True):
        touched = (card.files.master != files.master, card.keys != keys)
        assert touched == ((True, True) if card is lying[meant] else (False, False))
        assert card.pin == pin


@pytest.mark.parametrize("another", [False, True], ids=["pulled", "exchanged"])
@pytest.mark.parametrize("step", list(SavingStep))
async def test_a_card_pulled_at_any_step_is_finished_later(cards: CardBank, step: SavingStep, another: bool) -> None:
    old, neighbours = await cards.bank.credential(), cards.neighbours.copy()
    before, known = child_processes(), set(cards.bank.states())

    def pull(begun: SavingStep) -> None:
        if begun is step:
            cards.slot.pull()
            if another:
                cards.slot.put_in(cards.neighbours)

    cut = await cards.bank.visit(ScriptedDesk(at_step=pull))
    assert cut.completion is None
    assert cut.problem is not None
    # Of an exchange the watcher may tell, a little before the step itself would.
    expected = _CHANGED.get(step, Changed.UNFINISHED)
    assert cut.problem.changed in ({expected, Changed.UNFINISHED} if another else {expected})
    last = {Code.OLD_CREDENTIAL_NOT_REMOVED} if step is SavingStep.RETIRE else set()
    # The reader may not have seen the other card yet when the visit ends.
    assert cut.problem.code in {Code.TOKEN_TAKEN_OUT, *([Code.TOKEN_SWAPPED] if another else []), *last}
    assert child_processes() == before
    if another:
        assert cards.neighbours.files.master == neighbours.files.master
        assert cards.neighbours.keys == neighbours.keys
        assert cards.neighbours.pin == neighbours.pin, "nobody has tried the PIN of this card's customer on the other"

    cards.slot.put_in(cards.card)
    async with await cards.bank.open_token() as token:
        assert await token.proves(old), "the old credential works"
    outcome = await cards.bank.visit(ScriptedDesk())
    assert outcome.problem is None
    new = await cards.bank.credential()
    assert new.certificate.serial != old.certificate.serial
    assert sorted(each.kind for each in (await cards.bank.inventory()).objects) == sorted(ObjectKind), "no orphan"
    states = cards.bank.states()
    assert states[old.certificate.serial] == "superseded"
    assert {serial: states[serial] for serial in set(states) - known} == {new.certificate.serial: "valid"}


async def test_a_certificate_that_was_written_and_said_to_have_failed_is_found_and_used(tmp_path: Path) -> None:
    """OpenSC writes the certificate, finds no room for its subject beside the key, and says GeneralError."""
    if why := pcscd.why_not():
        pytest.skip(f"opensc-pcscd: {why}")
    async with open_card_bank(tmp_path / "bank", roomy=False) as cards:
        old = await cards.bank.credential()
        outcome = await cards.bank.visit(ScriptedDesk())
        assert outcome.problem is None
        new = await cards.bank.credential()
        assert new.certificate.serial != old.certificate.serial
        states = cards.bank.states()
        assert (states[old.certificate.serial], states[new.certificate.serial]) == ("superseded", "valid")
        assert sorted(each.kind for each in (await cards.bank.inventory()).objects) == sorted(ObjectKind), "no orphan"


async def test_opensc_offers_no_elliptic_curves_with_this_card(cards: CardBank) -> None:
    """OpenSC 0.23 signs with those of an IsoApplet over SHA-1 only, so the kiosk must not choose them."""
    async with await cards.bank.open_token() as token:
        assert await token.key_kinds() == [KeyKind.RSA_2048]


async def test_a_public_key_whose_file_is_gone_stops_no_visit(cards: CardBank) -> None:
    """OpenSC 0.23 crashes where it is to remove one, and cannot read one that has no certificate beside it."""
    old = await cards.bank.credential()

    def arm(begun: SavingStep) -> None:
        if begun is SavingStep.RETIRE:
            cards.slot.cut = BesideItsList(at=0)

    cut = await cards.bank.visit(ScriptedDesk(at_step=arm))
    assert cut.problem is not None
    assert (cut.problem.code, cut.problem.changed) == (Code.OLD_CREDENTIAL_NOT_REMOVED, Changed.RENEWED)
    cards.slot.put_in(cards.card)
    new = await cards.bank.credential()
    before = child_processes()
    cleaning = ScriptedDesk()
    assert (await cards.bank.visit(cleaning)).problem is None
    assert cleaning.asked == ["pin", "cleaning", "menu"]
    left = [each for each in (await cards.bank.inventory()).objects if each.key_id == old.key_id]
    assert [(each.kind, each.public) for each in left] == [(ObjectKind.PUBLIC_KEY, None)], "the rest is gone"
    again = ScriptedDesk()
    assert (await cards.bank.visit(again)).problem is None
    assert again.asked == ["pin", "menu"], "nobody is asked about it again"
    assert await cards.bank.credential() == new
    assert child_processes() == before
    assert cards.bank.events().count(Event.CLEANING) == 1
