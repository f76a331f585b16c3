"""Cards with places for keys: no key is ever made where one is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kiosk.credentials import HolderRule
from kiosk.enrolment import Enrolment
from kiosk.errors import Changed, Code, KioskError
from kiosk.one_time_code import read
from kiosk.pin import Pin
from kiosk.renewal import Renewal
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN
from kiosk.tokens.errors import TokenError
from kiosk.tokens.inventory import PENDING_LABEL, Inventory, read_inventory
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.slots import fixed_key_ids
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import FailureKind, KeyKind, ObjectKind, StoredObject, TokenFacts
from tests.bank import Bank, open_bank
from tests.cmp.pki import LATER, NOW, Pki
from tests.flows.test_enrolment import Standing
from tests.tokens.laid_out import Pair, written

FIRST, SECOND, THIRD = b"\x01", b"\x05", b"\x06"
PLACES = (FIRST, SECOND, THIRD)
ID = "TKYM1408054"


@pytest.mark.parametrize(
    ("manufacturer", "label", "first"),
    [
        ("Yubico (www.yubico.com)", "YubiKey PIV #12345", FIRST),
        ("piv_II", "PIV_II (PIV Card Holder pin)", FIRST),
        ("OpenPGP project", "OpenPGP card (User PIN)", b"\x03"),
        ("ZeitControl", "OpenPGP card (User PIN)", b"\x03"),
        ("SoftHSM project", "SHINKIN-USB", None),
        ("", "", None),
    ],
)
def test_cards_with_places_are_known_by_what_they_say_of_themselves(
    manufacturer: str, label: str, first: bytes | None
) -> None:
    facts = TokenFacts(0, "1", label, manufacturer, "PKCS#15 emulated", *[False] * 6)
    places = fixed_key_ids(facts)
    assert (places[0] if places else None) == first
    assert not {b"\x02", b"\x04"} & set(places), "neither the key that wants its PIN each time, nor one that wants none"


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
    assert look(*OLD_WHOLE, *STRANGER.both()).successor_id(old) == THIRD


class Card(Token):
    """A software token that behaves as if it had places."""

    places: tuple[bytes, ...] = PLACES

    @property
    def slots(self) -> tuple[bytes, ...]:
        return self.places


@asynccontextmanager
async def opened(bank: Bank, places: tuple[bytes, ...] = PLACES) -> AsyncIterator[Card]:
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    async with Card(bank.settings.token, process, facts, HolderRule()) as card:
        card.places = places
        await card.log_in(Pin(bytearray(DEMO_PIN, "ascii")))
        yield card


async def renew(bank: Bank, *, until: str = "", places: tuple[bytes, ...] = PLACES) -> None:
    async with opened(bank, places) as card, open_services(bank.settings) as services:
        (old,) = (await card.inventory()).current(services.clock())
        record, standing = services.journal.begin_visit(card.facts.serial), Standing()
        renewal = Renewal(card, old, services, record, standing)
        try:
            await renewal.prepare()
            for step in ("make_key", "request", "write", "prove", "confirm", "retire_old"):
                if step == until:
                    return
                await getattr(renewal, step)()
        except KioskError:
            assert standing.changed is Changed.NOTHING
            raise


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """The customer's key is in the first place."""
    async with open_bank(tmp_path / "bank") as bank:
        assert {each.key_id for each in (await bank.inventory()).objects} == {FIRST}
        yield bank


@pytest.mark.parametrize("until", ["", "request", "write", "prove", "confirm", "retire_old"])
async def test_a_renewal_takes_a_free_place_also_when_it_was_cut(bank: Bank, until: str) -> None:
    (old,) = (await bank.inventory()).credentials
    if until:
        await renew(bank, until=until)
    await renew(bank)
    (new,) = (await bank.inventory()).credentials
    assert (new.key_id, new.holder) == (SECOND, old.holder)
    assert len((await bank.inventory()).objects) == 3
    assert bank.states() == {old.certificate.serial: "superseded", new.certificate.serial: "valid"}


async def test_without_a_free_place_nothing_is_begun(bank: Bank) -> None:
    token, ledger = (await bank.inventory()).objects, bank.ledger()
    with pytest.raises(KioskError) as raised:
        await renew(bank, places=(FIRST,))
    assert raised.value.problem.code is Code.NO_FREE_SLOT
    assert ((await bank.inventory()).objects, bank.ledger()) == (token, ledger)


async def test_without_a_free_place_no_certificate_is_obtained(bank: Bank) -> None:
    async with opened(bank, (FIRST,)) as card, open_services(bank.settings) as services:
        enrolment = Enrolment(card, ID, services, services.journal.begin_visit(card.facts.serial), Standing())
        with pytest.raises(KioskError) as raised:
            await enrolment.prepare(read(bank.code()))
    assert raised.value.problem.code is Code.NO_FREE_SLOT


async def test_no_token_process_makes_a_key_where_one_is(bank: Bank) -> None:
    before = (await bank.inventory()).objects
    async with await bank.open_token() as token:
        with pytest.raises(TokenError) as raised:
            await token.make_key_pair(KeyKind.EC_P256, FIRST, "over it")
        assert raised.value.kind is FailureKind.OCCUPIED
    assert (await bank.inventory()).objects == before


async def test_a_public_key_that_a_cut_visit_left_is_no_obstacle(bank: Bank) -> None:
    await renew(bank, until="request", places=())
    async with await bank.open_token() as token:
        inventory = await token.inventory()
        (private,) = (
            each for each in inventory.objects if each.kind is ObjectKind.PRIVATE_KEY and each.key_id != FIRST
        )
        assert await token.remove(private)
    await renew(bank, places=())
    await bank.credential()
    assert len((await bank.inventory()).objects) == 3
