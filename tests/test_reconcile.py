"""What is pending and what is left over, for every state of an old credential and of its successor.

Told of a token that takes any ID, and of a card with places for keys, where no ID tells anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from kiosk.certificates import Certificate
from kiosk.credentials import Credential, HolderRule, enrolment_key_id, successor_key_id
from kiosk.reconcile import Pending, UnfinishedElsewhere, UnfinishedEnrolment, UnfinishedRenewal, left_over
from kiosk.reconcile import what_is_pending as pending_of
from kiosk.tokens.inventory import PENDING_LABEL, Inventory, read_inventory
from kiosk.tokens.wire import StoredObject
from tests.cmp.pki import LATER, NOW, Pki
from tests.tokens.laid_out import Pair, written

DAY = timedelta(days=1)
HOLDER = "TKYM1408054"
PKI = Pki()
NAMED = "its own"
IN_DATE, ENDED = NOW + 20 * DAY, NOW - DAY
OLD_STATES = ("in date", "ended", "its certificate alone", "gone")
NEW_STATES = ("none", "key", "private key", "public key", "written", "ran out, written again", "named", "without key")


@dataclass
class Laid:
    """A token with an old credential and the successor that a renewal, or 電子証明書取得, has made."""

    old: str
    new: str
    slots: tuple[bytes, ...] = ()
    by_code: bool = False

    def __post_init__(self) -> None:
        self._old = Pair(b"\x01", NAMED)
        end = ENDED if self.old == "ended" else IN_DATE
        self.old_certificate = PKI.issue(HOLDER, self._old.half, end=end)
        self._new = Pair(self._id_of_new(), NAMED if self.new == "named" else PENDING_LABEL)
        begin = NOW - timedelta(hours=1) if self.by_code else min(NOW, end) - DAY
        self.first = PKI.issue(HOLDER, self._new.half, begin=begin, end=LATER)
        self.fresh = PKI.issue(HOLDER, self._new.half, begin=begin + DAY / 48, end=LATER + DAY)

    def _id_of_new(self) -> bytes:
        if self.slots:
            return self.slots[1]
        return (
            enrolment_key_id(HOLDER, self.old_certificate) if self.by_code else successor_key_id(self.old_certificate)
        )

    @property
    def old_objects(self) -> tuple[StoredObject, ...]:
        certificate = written(self.old_certificate, self._old.key_id, NAMED)
        match self.old:
            case "gone":
                return ()
            case "its certificate alone":
                return (certificate,)
            case _:
                return (*self._old.both(), certificate)

    @property
    def new_objects(self) -> tuple[StoredObject, ...]:
        private, public = self._new.both()
        first, fresh = (written(each, self._new.key_id, self._new.label) for each in (self.first, self.fresh))
        return {
            "none": (),
            "key": (private, public),
            "private key": (self._new.private(tells=False),),
            "public key": (public,),
            "written": (private, public, first),
            "ran out, written again": (private, public, first, fresh),
            "named": (private, public, first),
            "without key": (public, first),
        }[self.new]

    @property
    def inventory(self) -> Inventory:
        issuer = PKI.issuing.certificate.subject_der
        found = read_inventory((*self.old_objects, *self.new_objects), HolderRule(), self.slots)
        return found.trusted(lambda each: each.issuer_der == issuer)


def told(laid: Laid, pending: Pending | None) -> str:
    """By which words the tables name what is pending."""

    def name(certificate: Certificate) -> str:
        return {laid.old_certificate: "old", laid.first: "first", laid.fresh: "fresh"}[certificate]

    match pending:
        case None:
            return "nothing"
        case UnfinishedRenewal(old, successor):
            return f"renewal of {name(old.certificate)}" + (f": {name(successor.certificate)}" if successor else "")
        case UnfinishedEnrolment(Credential(certificate)):
            return f"enrolment: {name(certificate)}"
        case UnfinishedElsewhere(Credential(certificate)):
            return f"elsewhere: {name(certificate)}"


def looked_at(laid: Laid, now: datetime = NOW) -> tuple[str, tuple[StoredObject, ...]]:
    """What is pending for whoever logs in, and what is left over."""
    inventory = laid.inventory
    current = inventory.current(now)
    assert len(current) <= 1
    pending = told(laid, pending_of(inventory, current[0])) if current else "nobody"
    return pending, left_over(inventory, now, keeps_expired=False)


RENEWALS = {
    # (old, new): what is pending; where one logs in with nothing, nobody asks
    ("in date", "none"): "nothing",
    ("in date", "key"): "renewal of old",
    ("in date", "private key"): "renewal of old",
    ("in date", "public key"): "nothing",
    ("in date", "written"): "renewal of old: first",
    ("in date", "ran out, written again"): "renewal of old: fresh",
    ("in date", "named"): "renewal of old: first",
    ("in date", "without key"): "nothing",
    ("ended", "none"): "nothing",
    ("ended", "key"): "renewal of old",
    ("ended", "private key"): "renewal of old",
    ("ended", "public key"): "nothing",
    ("ended", "written"): "renewal of old: first",
    ("ended", "ran out, written again"): "renewal of old: fresh",
    ("ended", "named"): "renewal of old: first",
    ("ended", "without key"): "nothing",
    ("its certificate alone", "none"): "nobody",
    ("its certificate alone", "key"): "nobody",
    ("its certificate alone", "private key"): "nobody",
    ("its certificate alone", "public key"): "nobody",
    ("its certificate alone", "written"): "nothing",
    ("its certificate alone", "ran out, written again"): "nothing",
    ("its certificate alone", "named"): "nothing",
    ("its certificate alone", "without key"): "nobody",
    ("gone", "none"): "nobody",
    ("gone", "key"): "nobody",
    ("gone", "private key"): "nobody",
    ("gone", "public key"): "nobody",
    ("gone", "written"): "elsewhere: first",
    ("gone", "ran out, written again"): "elsewhere: fresh",
    ("gone", "named"): "nothing",
    ("gone", "without key"): "nobody",
}
IN_PLACES = RENEWALS | {
    # without the old one nothing tells a renewal; the CA is asked in either case
    ("its certificate alone", "written"): "enrolment: first",
    ("its certificate alone", "ran out, written again"): "enrolment: fresh",
    ("gone", "written"): "enrolment: first",
    ("gone", "ran out, written again"): "enrolment: fresh",
}
SERVED = ("written", "ran out, written again", "named")
"""Those by which the old one has been replaced where an ID tells that; in a place only the label does."""
PLACES = (b"\x01", b"\x05", b"\x06")


def test_every_state_is_in_the_tables() -> None:
    assert set(RENEWALS) == set(IN_PLACES) == set(itertools.product(OLD_STATES, NEW_STATES))


@pytest.mark.parametrize("slots", [(), PLACES], ids=["any ID", "places"])
@pytest.mark.parametrize(("old", "new"), RENEWALS)
def test_a_renewal(old: str, new: str, slots: tuple[bytes, ...]) -> None:
    laid = Laid(old, new, slots)
    pending, left = looked_at(laid)
    assert pending == (IN_PLACES if slots else RENEWALS)[old, new]
    assert left == _left_of_renewal(laid)


def _left_of_renewal(laid: Laid) -> tuple[StoredObject, ...]:
    """The certificate that something has replaced, half a pair of ours; never what may be the only one that counts."""
    replaced = laid.new == "named" if laid.slots else laid.new in SERVED
    if laid.old == "its certificate alone" and replaced:
        return laid.old_objects
    if laid.new == "public key" and not laid.slots:
        return laid.new_objects
    return ()


BY_CODE = {
    # new: what is pending where the old one has ended, and whether that one can go
    "none": ("nothing", False),
    "key": ("nothing", False),
    "private key": ("nothing", False),
    "public key": ("nothing", False),
    "written": ("enrolment: first", False),
    "ran out, written again": ("enrolment: fresh", False),
    "named": ("nothing", True),
    "without key": ("nothing", False),
}
BY_CODE_IN_PLACES = BY_CODE | {
    # the key may be a renewal's, and the CA decides
    "key": ("renewal of old", False),
    "private key": ("renewal of old", False),
}


@pytest.mark.parametrize("slots", [(), PLACES], ids=["any ID", "places"])
@pytest.mark.parametrize("new", NEW_STATES)
def test_an_enrolment_after_the_end(new: str, slots: tuple[bytes, ...]) -> None:
    laid = Laid("ended", new, slots, by_code=True)
    pending, left = looked_at(laid)
    wanted, old_goes = (BY_CODE_IN_PLACES if slots else BY_CODE)[new]
    assert pending == wanted
    halves = laid.new_objects if new == "public key" and not slots else ()
    private, public, certificate = laid.old_objects
    assert left == ((private, public, certificate) if old_goes else halves)


def test_policy_may_keep_what_has_expired() -> None:
    inventory = Laid("ended", "named", PLACES, by_code=True).inventory
    assert left_over(inventory, NOW, keeps_expired=True) == ()
    assert left_over(inventory, NOW, keeps_expired=False) != ()


@pytest.mark.parametrize(
    ("laid", "certain"),
    [
        (Laid("in date", "key"), True),
        (Laid("in date", "written", PLACES), True),
        (Laid("in date", "key", PLACES), False),
    ],
    ids=["any ID", "written in a place", "key in a place"],
)
def test_a_key_in_a_place_may_be_of_either(laid: Laid, certain: bool) -> None:
    (old,) = laid.inventory.current(NOW)
    pending = pending_of(laid.inventory, old)
    assert isinstance(pending, UnfinishedRenewal)
    assert pending.is_certain is certain


LOST: tuple[Callable[[], Laid], ...] = (
    lambda: Laid("in date", "without key"),
    lambda: Laid("in date", "without key", PLACES),
)


@pytest.mark.parametrize("laid", LOST, ids=["any ID", "places"])
def test_a_successor_that_has_lost_its_key_is_told_and_stays(laid: Callable[[], Laid]) -> None:
    inventory = laid().inventory
    (old,) = inventory.current(NOW)
    assert inventory.has_lost_successor(old)
    assert left_over(inventory, NOW, keeps_expired=False) == ()
