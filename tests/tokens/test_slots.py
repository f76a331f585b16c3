"""Cards with places for keys: no key is ever made where one is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from kiosk.credentials import HolderRule
from kiosk.demo_bank import DemoBank
from kiosk.desk import Errand, SavingStep
from kiosk.errors import Code, Problem
from kiosk.tokens.errors import TokenError
from kiosk.tokens.inventory import PENDING_LABEL, Inventory, read_inventory
from kiosk.tokens.modules import Known
from kiosk.tokens.wire import FailureKind, KeyKind, StoredObject
from tests.bank import Bank, open_bank
from tests.cmp.pki import LATER, NOW, Pki
from tests.flows.test_conversation import cut_at
from tests.scripted_desk import ScriptedDesk
from tests.tokens.laid_out import Pair, written

FIRST, SECOND, THIRD = b"\x01", b"\x05", b"\x06"
PLACES = (FIRST, SECOND, THIRD)
ID = "TKYM1408054"


OLD, NEW, STRANGER = Pair(FIRST), Pair(SECOND), Pair(SECOND)
PKI = Pki()
OLD_WHOLE = (*OLD.both(), written(PKI.issue(ID, OLD.half), FIRST))
NEW_WHOLE = (*NEW.both(), written(PKI.issue(ID, NEW.half, end=LATER), SECOND))
STRANGERS = (*STRANGER.both(), written(PKI.issue("Somebody", STRANGER.half), SECOND))


def look(*objects: StoredObject, places: tuple[bytes, ...] = PLACES) -> Inventory:
    return read_inventory(objects, HolderRule(), places)


def test_the_successor_goes_where_nothing_is() -> None:
    (old,) = look(*OLD_WHOLE).credentials
    assert look(*OLD_WHOLE).successor_id(old) == SECOND
    assert look(*OLD_WHOLE, *STRANGERS).successor_id(old) == THIRD
    for part in STRANGERS:
        assert look(*OLD_WHOLE, part).successor_id(old) == THIRD, "also one part alone takes a place"
    assert look(*OLD_WHOLE, *STRANGERS, places=PLACES[:2]).successor_id(old) is None
    assert not look(*OLD_WHOLE, *STRANGERS).has_successor_key(old)


def test_what_ends_later_beside_the_old_one_is_its_unfinished_successor() -> None:
    everything = look(*OLD_WHOLE, *NEW_WHOLE)
    old, new = everything.credentials
    assert everything.current(NOW) == (old,)
    assert (everything.has_successor_key(old), everything.successor_id(old)) == (True, SECOND)
    assert everything.successor(old) == new
    assert everything.successor(new) is None
    assert look(*NEW_WHOLE).current(NOW) == (new,)


def test_a_key_without_certificate_is_the_begun_one_only_by_its_label() -> None:
    (old,) = look(*OLD_WHOLE).credentials
    begun = Pair(SECOND, PENDING_LABEL)
    with_begun = look(*OLD_WHOLE, *begun.both())
    assert (with_begun.has_successor_key(old), with_begun.successor_id(old)) == (True, SECOND)
    named = look(*OLD_WHOLE, begun.private(label="TKYM1408054 1403"), begun.public())
    assert (named.has_successor_key(old), named.successor_id(old)) == (True, SECOND), "its public half tells"
    assert look(*OLD_WHOLE, begun.public()).successor_id(old) == THIRD, "without its private key it is nothing begun"
    assert look(*OLD_WHOLE, *STRANGER.both()).successor_id(old) == THIRD


def with_places(bank: Bank, *places: bytes) -> Bank:
    """The same bank, whose software token is known as a card with these places."""
    known = Known(manufacturer="SoftHSM*", key_ids=tuple(each.hex() for each in places))
    token = msgspec.structs.replace(bank.settings.token, known=(known,))
    return Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, token=token)))


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """The customer's key is in the first place."""
    async with open_bank(tmp_path / "bank") as bank:
        assert {each.key_id for each in (await bank.inventory()).objects} == {FIRST}
        yield bank


async def test_a_renewal_takes_a_free_place(bank: Bank) -> None:
    (old,) = (await bank.inventory()).credentials
    assert (await with_places(bank, *PLACES).visit(ScriptedDesk())).completion is not None
    new = await bank.credential()
    assert (new.key_id, new.holder) == (SECOND, old.holder)
    assert len((await bank.inventory()).objects) == 3
    assert bank.states() == {old.certificate.serial: "superseded", new.certificate.serial: "valid"}


@pytest.mark.tokens
@pytest.mark.parametrize("step", [each for each in SavingStep if each is not SavingStep.KEY])
async def test_one_that_was_cut_goes_on_in_its_place(bank: Bank, step: SavingStep) -> None:
    card = with_places(bank, *PLACES)
    with pytest.raises(ExceptionGroup):
        await card.visit(ScriptedDesk(at_step=cut_at(step)))
    assert (await card.visit(ScriptedDesk())).completion is not None
    new = await bank.credential()
    assert new.key_id == SECOND
    assert len((await bank.inventory()).objects) == 3
    assert sorted(bank.states().values()) == ["superseded", "valid"], "there was one new certificate only"


async def test_without_a_free_place_nothing_is_begun(bank: Bank) -> None:
    token, ledger = (await bank.inventory()).objects, bank.ledger()
    desk = ScriptedDesk()
    outcome = await with_places(bank, FIRST).visit(desk)
    assert outcome.problem == Problem(Code.NO_FREE_SLOT)
    assert desk.asked == ["pin", "notice", "preprocessing", "problem"], "before the first question of the renewal"
    assert ((await bank.inventory()).objects, bank.ledger()) == (token, ledger)


@pytest.mark.tokens
async def test_without_a_free_place_no_certificate_is_obtained(bank: Bank) -> None:
    token = (await bank.inventory()).objects
    desk = ScriptedDesk(enrolment_ids=[ID], codes=[bank.code()])
    outcome = await with_places(bank, FIRST).visit(desk, errand=Errand.ENROLMENT)
    assert outcome.problem == Problem(Code.NO_FREE_SLOT)
    assert desk.asked == ["pin", "enrolment-id", "code", "preprocessing", "problem"]
    assert (await bank.inventory()).objects == token


@pytest.mark.tokens
async def test_a_certificate_is_obtained_into_a_free_place(bank: Bank) -> None:
    desk = ScriptedDesk(enrolment_ids=[ID], codes=[bank.code()])
    outcome = await with_places(bank, *PLACES).visit(desk, errand=Errand.ENROLMENT)
    assert outcome.completion is not None
    assert {each.key_id for each in (await bank.inventory()).credentials} == {FIRST, SECOND}


async def test_no_token_process_makes_a_key_where_one_is(bank: Bank) -> None:
    before = (await bank.inventory()).objects
    async with await with_places(bank, *PLACES).open_token() as token:
        with pytest.raises(TokenError) as raised:
            await token.make_key_pair(KeyKind.EC_P256, FIRST, "over it")
        assert raised.value.kind is FailureKind.OCCUPIED
    assert (await bank.inventory()).objects == before
