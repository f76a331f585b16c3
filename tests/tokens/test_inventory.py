"""What lies on a token, told without one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kiosk.certificates import Certificate
from kiosk.credentials import Credential, Holder, HolderKind
from kiosk.tokens.inventory import Inventory
from tests.cmp.pki import NOW, Pki, new_key
from tests.tokens.laid_out import written

DAY = timedelta(days=1)
ID = "TKYM1408054"


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


def held(*certificates: Certificate, holder: str = ID) -> tuple[Credential, ...]:
    return tuple(Credential(each, each.fingerprint[:16], Holder(holder, HolderKind.USER)) for each in certificates)


def test_only_the_ids_own_expired_credentials_are_expired_the_newest_last(pki: Pki) -> None:
    keys = [new_key().public_key() for _ in range(4)]
    ends = (NOW - DAY, NOW - 2 * DAY, NOW, NOW + DAY)
    newer, older, last_second, in_date = (
        pki.issue("Customer", key, end=end) for key, end in zip(keys, ends, strict=True)
    )
    others = held(pki.issue("Other", new_key().public_key(), end=NOW - DAY), holder="TKYM1408055")
    everything = Inventory((), (*held(newer, older, last_second, in_date), *others), 0)
    assert [each.certificate for each in everything.expired(ID, NOW)] == [older, newer]


def test_a_key_that_has_a_certificate_in_date_as_well_is_none_of_an_expired_credential(pki: Pki) -> None:
    shared = new_key().public_key()
    expired, in_date = pki.issue("Customer", shared, end=NOW - DAY), pki.issue("Customer", shared, end=NOW + DAY)
    objects = tuple(written(each, b"1") for each in (expired, in_date))
    assert Inventory(objects, held(expired, in_date), 0).expired(ID, NOW) == ()
    assert [each.certificate for each in Inventory(objects[:1], held(expired), 0).expired(ID, NOW)] == [expired]
