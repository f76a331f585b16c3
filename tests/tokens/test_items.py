"""Everything that may lie on a token, named for what it is, and what of it may go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kiosk.certificates import Certificate
from kiosk.credentials import HolderRule, enrolment_key_id, successor_key_id
from kiosk.tokens.inventory import PENDING_LABEL, Inventory, ItemKind, read_inventory
from kiosk.tokens.wire import EcPublic, ObjectKind, RsaPublic, StoredObject
from tests.cmp.pki import NOW, Identity, Pki, certificate
from tests.tokens.laid_out import Pair, written

DAY = timedelta(days=1)
HOLDER = "TKYM1408054"
OUR_PKI, THEIR_PKI = Pki(), Pki("Another ")


def ours(of: Pair, subject: str = HOLDER, **facts: object) -> Certificate:
    return OUR_PKI.issue(subject, of.half, **facts)


OLD = Pair(b"\x01")
OLD_CERTIFICATE = ours(OLD, end=NOW + 20 * DAY)
NEW = Pair(successor_key_id(OLD_CERTIFICATE), PENDING_LABEL)
NEW_CERTIFICATE = ours(NEW, end=NOW + 365 * DAY)
FIRST = Pair(enrolment_key_id(HOLDER, None), PENDING_LABEL)
FIRST_CERTIFICATE = ours(FIRST)
ELSEWHERE = Pair(bytes(range(16)), PENDING_LABEL)
ELSEWHERE_CERTIFICATE = ours(ELSEWHERE, "TKYM1408055")
STRANGER = Pair(b"\x77")
STRANGER_CERTIFICATE = THEIR_PKI.issue(HOLDER, STRANGER.half)
OTHER = Pair(b"\x02")
OTHER_CERTIFICATE = ours(OTHER, "TKYM1408055")
SAME_KEY_LATER = ours(OLD, end=NOW + 300 * DAY)


def placeholder_of(pair: Pair) -> Certificate:
    return certificate("placeholder", pair.half, signing_key=pair.key)


OLD_WHOLE = (*OLD.both(), written(OLD_CERTIFICATE, OLD.key_id))
NEW_WHOLE = (*NEW.both(), written(NEW_CERTIFICATE, NEW.key_id, PENDING_LABEL))
NEW_NAMED = (*NEW.both(), written(NEW_CERTIFICATE, NEW.key_id, "its own"))
NEW_PLACEHOLDER = written(placeholder_of(NEW), NEW.key_id)
ROOT = written(OUR_PKI.root.certificate, b"", "root")
THEIR_ROOT = written(THEIR_PKI.root.certificate, b"", "root")
UNREADABLE = StoredObject(ObjectKind.CERTIFICATE, b"\x09", "broken", der=OLD_CERTIFICATE.der[:-9])
EMPTY = StoredObject(ObjectKind.CERTIFICATE, b"\x09", "empty")
MUTE = Pair(b"\x0a").private(tells=False)
NONSENSE = StoredObject(ObjectKind.PRIVATE_KEY, b"\x0b", "", public=RsaPublic(b"\x04", b"\x01"))


def is_issued_by(pki: Pki) -> Callable[[Certificate], bool]:
    issuers = {pki.issuing.certificate.subject_der, pki.root.certificate.subject_der}
    return lambda each: each.issuer_der in issuers


def look(*objects: StoredObject) -> Inventory:
    return read_inventory(objects, HolderRule()).trusted(is_issued_by(OUR_PKI))


K = ItemKind


@dataclass(frozen=True)
class Case:
    """What lies there, and what each thing is: kind, how many objects, whether it is ours."""

    what: str
    objects: tuple[StoredObject, ...]
    items: tuple[tuple[ItemKind, int, bool], ...]
    debris: tuple[StoredObject, ...] = ()


CASES = (
    Case("nothing", (), ()),
    Case("a credential", OLD_WHOLE, ((K.CREDENTIAL, 3, True),)),
    Case(
        "a credential of another ID of ours",
        (*OTHER.both(), written(OTHER_CERTIFICATE, b"\x02")),
        ((K.CREDENTIAL, 3, True),),
    ),
    Case(
        "a credential whose certificate has another ID",
        (*OLD.both(), written(OLD_CERTIFICATE, b"\x55")),
        ((K.CREDENTIAL, 3, True),),
    ),
    Case(
        "a credential whose private key tells no public half",
        (OLD.private(tells=False), OLD.public(), written(OLD_CERTIFICATE, b"\x01")),
        ((K.CREDENTIAL, 3, True),),
    ),
    Case(
        "a credential of which only the certificate tells the public half",
        (OLD.private(tells=False), OLD.public(tells=False), written(OLD_CERTIFICATE, b"\x01")),
        ((K.CREDENTIAL, 3, True),),
    ),
    Case(
        "a credential without public key object",
        (OLD.private(), written(OLD_CERTIFICATE, b"\x01")),
        ((K.CREDENTIAL, 2, True),),
    ),
    Case(
        "one key with two certificates of ours",
        (*OLD_WHOLE, written(SAME_KEY_LATER, b"\x01")),
        ((K.CREDENTIAL, 3, True), (K.CREDENTIAL, 1, True)),
    ),
    Case(
        "a renewal that has only made its key",
        (*OLD_WHOLE, *NEW.both()),
        ((K.CREDENTIAL, 3, True), (K.SUCCESSOR_KEY, 2, True)),
    ),
    Case(
        "a renewal's key whose public half was lost",
        (*OLD_WHOLE, NEW.private()),
        ((K.CREDENTIAL, 3, True), (K.SUCCESSOR_KEY, 1, True)),
    ),
    Case(
        "a renewal's key with a placeholder",
        (*OLD_WHOLE, *NEW.both(), NEW_PLACEHOLDER),
        ((K.CREDENTIAL, 3, True), (K.SUCCESSOR_KEY, 2, True), (K.PLACEHOLDER, 1, True)),
    ),
    Case(
        "a renewal's public key alone",
        (*OLD_WHOLE, NEW.public()),
        ((K.CREDENTIAL, 3, True), (K.PUBLIC_KEY_ALONE, 1, True)),
        (NEW.public(),),
    ),
    Case(
        "a renewal that has written its certificate",
        (*OLD_WHOLE, *NEW_WHOLE),
        ((K.CREDENTIAL, 3, True), (K.SUCCESSOR, 3, True)),
    ),
    Case("the same, with its own label", (*OLD_WHOLE, *NEW_NAMED), ((K.CREDENTIAL, 3, True), (K.SUCCESSOR, 3, True))),
    Case(
        "an old credential of which the private key is gone",
        (*OLD_WHOLE[1:], *NEW_NAMED),
        ((K.CERTIFICATE_ALONE, 2, True), (K.CREDENTIAL, 3, True)),
        OLD_WHOLE[1:],
    ),
    Case(
        "an old credential of which only the certificate is left",
        (OLD_WHOLE[2], *NEW_NAMED),
        ((K.CERTIFICATE_ALONE, 1, True), (K.CREDENTIAL, 3, True)),
        OLD_WHOLE[2:],
    ),
    Case(
        "the same where labels do not change",
        (OLD_WHOLE[2], *NEW_WHOLE),
        ((K.CERTIFICATE_ALONE, 1, True), (K.CREDENTIAL, 3, True)),
        OLD_WHOLE[2:],
    ),
    Case("a successor whose old credential is gone", NEW_NAMED, ((K.CREDENTIAL, 3, True),)),
    Case(
        "a successor beside a placeholder for its key",
        (*NEW_NAMED, OLD_WHOLE[2], NEW_PLACEHOLDER),
        ((K.CREDENTIAL, 3, True), (K.PLACEHOLDER, 1, True), (K.CERTIFICATE_ALONE, 1, True)),
        (NEW_PLACEHOLDER, OLD_WHOLE[2]),
    ),
    Case("an enrolment that has only made its key", FIRST.both(), ((K.PENDING_KEY, 2, True),)),
    Case(
        "an enrolment that has written its certificate",
        (*FIRST.both(), written(FIRST_CERTIFICATE, FIRST.key_id, PENDING_LABEL)),
        ((K.ENROLMENT, 3, True),),
    ),
    Case(
        "an enrolment that has ended",
        (*FIRST.both(), written(FIRST_CERTIFICATE, FIRST.key_id, "its own")),
        ((K.CREDENTIAL, 3, True),),
    ),
    Case(
        "an enrolment cut between its two labels",
        (
            *FIRST.both(),
            written(FIRST_CERTIFICATE, FIRST.key_id, PENDING_LABEL),
            written(FIRST_CERTIFICATE, FIRST.key_id, "its own"),
        ),
        ((K.CREDENTIAL, 3, True), (K.DUPLICATE, 1, True)),
        (written(FIRST_CERTIFICATE, FIRST.key_id, PENDING_LABEL),),
    ),
    Case(
        "a renewal out of another store",
        (*ELSEWHERE.both(), written(ELSEWHERE_CERTIFICATE, ELSEWHERE.key_id, PENDING_LABEL)),
        ((K.PENDING_CREDENTIAL, 3, True),),
    ),
    Case(
        "somebody's certificate of another issuer",
        (*STRANGER.both(), written(STRANGER_CERTIFICATE, b"\x77")),
        ((K.FOREIGN, 3, False),),
    ),
    Case(
        "a certificate of another issuer without key",
        (written(STRANGER_CERTIFICATE, b"\x77"),),
        ((K.FOREIGN, 1, False),),
    ),
    Case(
        "a stranger's that is labelled like ours",
        (*STRANGER.both(), written(STRANGER_CERTIFICATE, b"\x77", PENDING_LABEL)),
        ((K.FOREIGN, 3, False),),
    ),
    Case(
        "a stranger's successor by our own rule",
        (
            *STRANGER.both(),
            written(STRANGER_CERTIFICATE, b"\x77"),
            *Pair(successor_key_id(STRANGER_CERTIFICATE)).both(),
        ),
        ((K.FOREIGN, 3, False), (K.PRIVATE_KEY_ALONE, 2, False)),
    ),
    Case(
        "a placeholder with its key",
        (*STRANGER.both(), written(placeholder_of(STRANGER), b"\x77")),
        ((K.PLACEHOLDER, 3, False),),
    ),
    Case("a placeholder without key", (written(placeholder_of(STRANGER), b"\x77"),), ((K.PLACEHOLDER, 1, False),)),
    Case("CA certificates", (ROOT, THEIR_ROOT), ((K.AUTHORITY, 1, True), (K.AUTHORITY, 1, False))),
    Case("a certificate of ours without key, and nothing else", (OLD_WHOLE[2],), ((K.CERTIFICATE_ALONE, 1, True),)),
    Case(
        "the same beside another ID's credential",
        (OLD_WHOLE[2], *OTHER.both(), written(OTHER_CERTIFICATE, b"\x02")),
        ((K.CERTIFICATE_ALONE, 1, True), (K.CREDENTIAL, 3, True)),
    ),
    Case(
        "a key pair begun elsewhere, whose public half alone is labelled so",
        (ELSEWHERE.private(label=HOLDER), ELSEWHERE.public()),
        ((K.PENDING_KEY, 2, True),),
    ),
    Case(
        "a private key beside somebody else's public half with our label",
        (STRANGER.private(), Pair(b"\x77", PENDING_LABEL).public()),
        ((K.PRIVATE_KEY_ALONE, 1, False), (K.PUBLIC_KEY_ALONE, 1, False)),
    ),
    Case("a private key alone", (STRANGER.private(),), ((K.PRIVATE_KEY_ALONE, 1, False),)),
    Case("a key pair alone", STRANGER.both(), ((K.PRIVATE_KEY_ALONE, 2, False),)),
    Case("a short ID with our label", (Pair(b"\x01", PENDING_LABEL).private(),), ((K.PRIVATE_KEY_ALONE, 1, False),)),
    Case("a public key alone", (STRANGER.public(),), ((K.PUBLIC_KEY_ALONE, 1, False),)),
    Case("the same certificate twice", (*OLD_WHOLE, OLD_WHOLE[2]), ((K.CREDENTIAL, 3, True), (K.DUPLICATE, 1, True))),
    Case(
        "the same private key twice",
        (*OLD_WHOLE, OLD.private(label="again")),
        ((K.CREDENTIAL, 3, True), (K.DUPLICATE, 1, False)),
    ),
    Case("an unreadable certificate", (UNREADABLE,), ((K.DAMAGED, 1, False),)),
    Case("an empty certificate", (EMPTY,), ((K.DAMAGED, 1, False),)),
    Case("a private key that tells nothing", (MUTE,), ((K.DAMAGED, 1, False),)),
    Case("a key that tells nonsense", (NONSENSE,), ((K.DAMAGED, 1, False),)),
    Case(
        "keys without ID are not each other's",
        (StoredObject(ObjectKind.PRIVATE_KEY, b"", ""), Pair(b"").public()),
        ((K.PUBLIC_KEY_ALONE, 1, False), (K.DAMAGED, 1, False)),
    ),
    Case(
        "debris beside a private key that tells nothing",
        (*OLD_WHOLE[1:], *NEW_NAMED, MUTE),
        ((K.CERTIFICATE_ALONE, 2, True), (K.CREDENTIAL, 3, True), (K.DAMAGED, 1, False)),
    ),
    Case(
        "debris beside what is left of a private key whose making was killed",
        (*OLD_WHOLE[1:], *NEW_NAMED, StoredObject(ObjectKind.PRIVATE_KEY, b"", "")),
        ((K.CERTIFICATE_ALONE, 2, True), (K.CREDENTIAL, 3, True), (K.DAMAGED, 1, False)),
        debris=OLD_WHOLE[1:],
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_each_thing_is_named_for_what_it_is(case: Case) -> None:
    for objects in (case.objects, case.objects[::-1]):
        inventory = look(*objects)
        named = Counter((each.kind, len(each.objects), each.ours) for each in inventory.items)
        assert named == Counter(case.items)
        assert Counter(inventory.debris(NOW)) == Counter(case.debris)


def test_every_kind_is_in_the_table() -> None:
    assert {kind for case in CASES for kind, _, _ in case.items} == set(ItemKind)


def test_where_nobody_has_checked_nothing_is_ours_and_nothing_is_debris() -> None:
    for case in CASES:
        unchecked = read_inventory(case.objects, HolderRule())
        assert not any(each.ours for each in unchecked.items)
        assert unchecked.debris(NOW) == ()


def test_the_private_key_comes_first_and_the_certificate_last() -> None:
    for case in CASES:
        order = [ObjectKind.PRIVATE_KEY, ObjectKind.PUBLIC_KEY, ObjectKind.CERTIFICATE]
        for item in look(*case.objects[::-1]).items:
            places = [order.index(each.kind) for each in item.objects]
            assert places == sorted(places)


def test_a_certificate_without_key_stays_while_nothing_in_date_has_taken_its_place() -> None:
    expired = (*NEW.both(), written(ours(NEW, end=NOW - DAY), NEW.key_id))
    assert look(OLD_WHOLE[2], *expired).debris(NOW) == ()
    assert look(OLD_WHOLE[2], *NEW_NAMED).debris(NOW + 364 * DAY) == OLD_WHOLE[2:]
    assert look(OLD_WHOLE[2], *NEW_NAMED).debris(NOW + 366 * DAY) == ()


def test_what_could_not_be_told_apart_when_it_is_removed_is_left() -> None:
    assert look(OLD_WHOLE[2], OLD_WHOLE[2], *NEW_NAMED).debris(NOW) == ()


def test_only_an_earlier_certificate_for_the_same_key_is_outdated() -> None:
    stored = [written(ours(NEW, begin=NOW - days * DAY), NEW.key_id, PENDING_LABEL) for days in (2, 1)]
    inventory = look(*NEW.both(), *stored)
    earlier, later = inventory.credentials
    assert inventory.outdated_by(later) == stored[:1]
    assert inventory.outdated_by(earlier) == []


def test_a_placeholder_beside_a_begun_key_is_no_certificate_of_its() -> None:
    begun = read_inventory((*OLD_WHOLE, *NEW.both(), NEW_PLACEHOLDER), HolderRule())
    trusted = begun.trusted_or_begun(is_issued_by(OUR_PKI))
    assert [each.certificate for each in trusted.credentials] == [OLD_CERTIFICATE]


def test_of_two_keys_alike_a_certificate_has_the_one_with_its_id() -> None:
    copy = Pair(b"\x05", key=OLD.key)
    for objects in ((copy.private(), *OLD_WHOLE), (*OLD_WHOLE, copy.private())):
        (credential,) = look(*objects).credentials
        assert credential.key_id == OLD.key_id


def test_a_certificate_that_lies_there_twice_is_one_credential() -> None:
    assert len(look(*OLD_WHOLE, written(OLD_CERTIFICATE, OLD.key_id, "again")).credentials) == 1


_DERS = [
    OLD_CERTIFICATE.der,
    NEW_CERTIFICATE.der,
    STRANGER_CERTIFICATE.der,
    FIRST_CERTIFICATE.der,
    ELSEWHERE_CERTIFICATE.der,
    placeholder_of(OLD).der,
    placeholder_of(NEW).der,
    OUR_PKI.root.certificate.der,
    b"",
    b"\x30\x03\x02\x01\x00",
]
_IDS = [b"", OLD.key_id, NEW.key_id, FIRST.key_id, ELSEWHERE.key_id, STRANGER.key_id]
_HALVES = [each.private().public for each in (OLD, NEW, FIRST, ELSEWHERE, STRANGER)]
_curve = bytes.fromhex("06082a8648ce3d030107")

_halves = (
    st.sampled_from([None, *_HALVES])
    | st.builds(RsaPublic, st.binary(max_size=300), st.binary(max_size=9))
    | st.builds(EcPublic, st.just(_curve) | st.binary(max_size=12), st.binary(max_size=70))
)
_objects = st.builds(
    StoredObject,
    st.sampled_from(ObjectKind),
    st.sampled_from(_IDS) | st.binary(max_size=40),
    st.sampled_from(["", PENDING_LABEL, "a label"]) | st.text(max_size=20),
    st.sampled_from(_DERS) | st.binary(max_size=40),
    _halves,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_objects, max_size=25))
def test_whatever_lies_there_each_object_is_named_once_and_no_key_is_debris(objects: list[StoredObject]) -> None:
    inventory = look(*objects)
    assert Counter(each for item in inventory.items for each in item.objects) == Counter(objects)
    debris = inventory.debris(NOW)
    named_ours = {each for item in inventory.items if item.ours for each in item.objects}
    assert set(debris) <= named_ours
    assert not any(each.kind is ObjectKind.PRIVATE_KEY for each in debris)
    left = list(objects)
    for each in debris:
        left.remove(each)
    held = {each.certificate.der for each in look(*left).credentials}
    assert held == {each.certificate.der for each in inventory.credentials}


def test_a_token_as_full_as_a_message_can_be_is_read_as_well() -> None:
    """However they are alike: thousands with one ID, one key or one certificate, each looked at once."""
    many = 3000
    alike = [written(OLD_CERTIFICATE, OLD.key_id, str(number)) for number in range(many)]
    alike += [OLD.private(label=str(number)) for number in range(many)]
    alike += [StoredObject(ObjectKind.PUBLIC_KEY, bytes([1, *number.to_bytes(2, "big")]), "") for number in range(many)]
    assert len(look(*alike).items) == 3 * many - 1


def test_somebody_who_calls_himself_like_our_ca_is_not_self_signed() -> None:
    impostor = Identity(STRANGER.key, certificate("Issuing", STRANGER.half, signing_key=STRANGER.key))
    named_alike = certificate("Issuing", OTHER.half, impostor)
    (item,) = look(OTHER.private(), written(named_alike, b"\x02")).items
    assert item.kind is not ItemKind.PLACEHOLDER
