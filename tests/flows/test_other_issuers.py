"""Certificates of other issuers with the customer's own ID, where they could be taken for ours: nothing comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from kiosk.ca.authority import load_authority
from kiosk.certificates import Certificate
from kiosk.clock import system_clock
from kiosk.credentials import Credential, enrolment_key_id
from kiosk.demo_bank import Customer, make_software_token, manual_subject
from kiosk.desk import CleaningQuestion, Errand, SavingStep
from kiosk.services import Anchors
from kiosk.tokens.wire import KeyKind, StoredObject
from tests.bank import Bank, open_bank
from tests.cmp.pki import NOW, Pki, new_key
from tests.flows.test_conversation import Cut, cut_at
from tests.scripted_desk import ScriptedDesk
from tests.tokens.test_slots import FIRST, PLACES, SECOND, THIRD, with_places

ID = Customer().holder_id
IN_DATE, EXPIRED = timedelta(days=900), timedelta(days=-2)


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank") as bank:
        yield bank


@pytest.fixture
async def expired(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        yield bank


async def put_others_on(bank: Bank, key_id: bytes, ends_in: timedelta) -> frozenset[StoredObject]:
    """A whole credential of another CA, which ends then; its objects."""
    before, now = set((await bank.inventory()).objects), system_clock()
    async with await bank.open_token() as token:
        key = await token.make_key_pair(KeyKind.EC_P256, key_id, "other")
        begin, end = now - timedelta(days=400), now + ends_in
        certificate = Pki("Another ").issue(f"{ID} 1402", key.public_key, begin=begin, end=end)
        await token.write_certificate(certificate, key_id, "other")
    return frozenset((await bank.inventory()).objects) - before


async def certify_elsewhere(bank: Bank, ours: Credential, ends_in: timedelta) -> Certificate:
    """Another CA's certificate for a key of ours, which ends then."""
    begin, end = system_clock() - timedelta(days=400), system_clock() + ends_in
    others = Pki("Another ").issue(f"{ID} 1402", ours.certificate.public_key, begin=begin, end=end)
    async with await bank.open_token() as token:
        await token.write_certificate(others, ours.key_id, "other")
    return others


async def test_on_a_card_with_places_it_is_no_successor(bank: Bank) -> None:
    """It ends later, and nothing else tells a successor there."""
    others = await put_others_on(bank, SECOND, IN_DATE)
    assert (await with_places(bank, *PLACES).visit(ScriptedDesk())).completion is not None
    content = await bank.inventory()
    assert others < set(content.objects)
    assert {each.key_id for each in content.credentials} == {SECOND, THIRD}


async def test_one_for_the_new_key_itself_stays(bank: Bank) -> None:
    """Ours for the same key that were issued before go; the CA has revoked those."""
    with pytest.RaisesGroup(Cut):
        await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.RETIRE)))
    new = max((await bank.inventory()).credentials, key=lambda each: each.certificate.not_after)
    others = await certify_elsewhere(bank, new, IN_DATE)
    outcome = await bank.visit(ScriptedDesk())
    assert outcome.completion is not None
    assert {each.certificate for each in (await bank.inventory()).credentials} == {new.certificate, others}


async def test_an_expired_one_is_not_removed_with_ours(expired: Bank) -> None:
    others = await put_others_on(expired, b"other", EXPIRED)
    desk = ScriptedDesk(enrols=True, codes=[expired.code()])
    outcome = await expired.visit(desk)
    assert outcome.completion is not None
    content = await expired.inventory()
    assert others < set(content.objects)
    assert len(content.credentials) == 2, "the new one, and the other CA's"


async def test_a_key_that_is_certified_elsewhere_as_well_outlasts_a_renewal(bank: Bank) -> None:
    old = await bank.credential()
    others = await certify_elsewhere(bank, old, IN_DATE)
    outcome = await bank.visit(ScriptedDesk())
    assert outcome.completion is not None
    async with await bank.open_token() as token:
        content = await token.inventory()
        left = {each.certificate: each for each in content.credentials}
        assert set(left) == {others, outcome.completion.certificate}
        assert await token.proves(left[others])


@pytest.mark.parametrize("ends_in", [IN_DATE, EXPIRED])
async def test_and_an_enrolment(expired: Bank, ends_in: timedelta) -> None:
    others = await certify_elsewhere(expired, await expired.credential(), ends_in)
    assert (await expired.visit(ScriptedDesk(enrols=True, codes=[expired.code()]))).completion is not None
    assert (await expired.inventory()).credential_of(others) is not None


async def test_two_expired_ones_of_ours_on_one_key_go(expired: Bank) -> None:
    old, now = await expired.credential(), system_clock()
    authority = load_authority(expired.directory / "ca")
    begin, end = now - timedelta(days=500), now - timedelta(days=100)
    earlier = authority.issue(manual_subject(), old.certificate.public_key, begin, end)
    async with await expired.open_token() as token:
        await token.write_certificate(earlier, old.key_id, "earlier")
    outcome = await expired.visit(ScriptedDesk(enrols=True, codes=[expired.code()]))
    assert outcome.completion is not None
    assert (await expired.credential()).certificate == outcome.completion.certificate


async def test_what_was_begun_beside_one_is_found_again(expired: Bank) -> None:
    """The key's ID is told by the ID's newest credential: of our CA."""
    (old,) = (await expired.inventory()).credentials
    await put_others_on(expired, b"other", IN_DATE)
    code = expired.code()
    with pytest.RaisesGroup(Cut):
        await expired.visit(ScriptedDesk(enrols=True, codes=[code], at_step=cut_at(SavingStep.WRITE)))
    wanted = enrolment_key_id(ID, old.certificate)
    assert (await expired.inventory()).has_key(wanted)
    desk = ScriptedDesk(enrolment_ids=[ID], codes=[code])
    outcome = await expired.visit(desk, errand=Errand.ENROLMENT)
    assert outcome.completion is not None
    assert {each.key_id for each in (await expired.inventory()).credentials} == {wanted, b"other"}


async def test_on_a_card_with_places_it_is_no_predecessor(bank: Bank) -> None:
    """What was begun by a code would be taken for its renewal, and the code for used up."""
    await make_software_token(bank.directory, bank.settings.token)
    await put_others_on(bank, FIRST, timedelta(days=30))
    card, code = with_places(bank, *PLACES), bank.code()
    with pytest.RaisesGroup(Cut):
        desk = ScriptedDesk(enrolment_ids=[ID], codes=[code], at_step=cut_at(SavingStep.CONFIRM))
        await card.visit(desk, errand=Errand.ENROLMENT)
    outcome = await card.visit(ScriptedDesk(enrolment_ids=[ID], codes=[code]), errand=Errand.ENROLMENT)
    assert outcome.completion is not None
    assert {each.key_id for each in (await bank.inventory()).credentials} == {FIRST, SECOND}


async def test_where_a_new_key_would_be_it_stays(bank: Bank) -> None:
    """Its key has the ID that the first key by a code gets."""
    await make_software_token(bank.directory, bank.settings.token)
    others = await put_others_on(bank, enrolment_key_id(ID, None), timedelta(days=30))
    outcome = await bank.visit(ScriptedDesk(enrolment_ids=[ID], codes=[bank.code()]), errand=Errand.ENROLMENT)
    assert outcome.completion is not None
    content = await bank.inventory()
    assert others < set(content.objects)
    assert len(content.credentials) == 2


async def test_cleaning_leaves_a_key_that_is_certified_elsewhere_as_well(expired: Bank) -> None:
    old = await expired.credential()
    others = await certify_elsewhere(expired, old, EXPIRED)
    keeping = expired.with_policy(expired_credential="keep")
    assert (await keeping.visit(ScriptedDesk(enrols=True, codes=[expired.code()]))).completion is not None
    desk = ScriptedDesk()
    await expired.visit(desk)
    assert [each for each in desk.seen if isinstance(each, CleaningQuestion)]
    content = await expired.inventory()
    assert content.credential_of(others) is not None
    assert content.credential_of(old.certificate) is None


def test_by_a_slow_clock_what_is_issued_now_is_ours_all_the_same() -> None:
    pki, other = Pki(), Pki("Another ")
    anchors = Anchors((pki.root.certificate,), (pki.issuing.certificate,))
    just_issued = pki.issue(ID, new_key().public_key(), begin=NOW)
    for now in (NOW - timedelta(minutes=5), NOW, NOW + timedelta(days=101)):
        assert anchors.has_issued(just_issued, now)
        assert not anchors.has_issued(other.issue(ID, new_key().public_key()), now)
