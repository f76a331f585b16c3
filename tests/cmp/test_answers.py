"""Every field of a good answer, spoiled in turn: each is refused for its own reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import Distrust, Refused, UntrustedAnswer
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import BodyType, FailInfo
from tests.cmp.conftest import URL
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import NOW, Pki
from tests.cmp.spoiled_answers import (
    ASKINGS,
    CRL,
    NEWER_CRL,
    Asking,
    Case,
    crl,
    on_wire,
    rows,
    spoiling_ca,
    strip_protection,
)

ClientOf = Callable[[FakeCa], CmpClient]
ROWS = rows()


def test_the_table_is_complete() -> None:
    """Every reason for distrust has a row, and every type of answer all that can be wrong with any."""
    counted = Counter(asking.name for asking, _ in ROWS)
    print(f"{len(ROWS)} spoiled answers for {len(Distrust)} reasons: {dict(counted)}")
    assert {case.reason for _, case in ROWS} == set(Distrust)
    assert set(counted) == {asking.name for asking in (*ASKINGS, CRL, NEWER_CRL)}
    assert len({(asking.name, case.name) for asking, case in ROWS}) == len(ROWS)


@pytest.mark.parametrize("asking", [*ASKINGS, CRL], ids=lambda asking: asking.name)
async def test_what_is_not_spoiled_counts(asking: Asking, pki: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki, **{"crl": crl(pki, pki), **asking.facts})
    if "body" in asking.facts:
        with pytest.raises(Refused) as caught:
            await asking.ask(client_of(ca), pki)
        assert caught.value.proven
    else:
        await asking.ask(client_of(ca), pki)
    assert asking.spoiled in {message.body_type for message in ca.asked}


@pytest.mark.parametrize(("asking", "case"), ROWS, ids=[f"{asking.name}: {case.name}" for asking, case in ROWS])
async def test_a_spoiled_answer_is_refused(
    asking: Asking, case: Case, pki: Pki, foreign: Pki, client_of: ClientOf
) -> None:
    with pytest.raises(UntrustedAnswer) as caught:
        await asking.ask(client_of(spoiling_ca(asking, case, pki, foreign)), pki)
    assert caught.value.reason is case.reason


def erring(_: int, __: bytes) -> tuple[int, bytes]:
    return BodyType.ERROR, write_error(rejection([FailInfo.SYSTEM_FAILURE], "down"))


async def test_a_protected_error_is_a_proven_refusal(pki: Pki, client_of: ClientOf) -> None:
    with pytest.raises(Refused) as caught:
        await client_of(FakeCa(pki, body=erring)).general(pki.customer)
    assert (set(caught.value.fail_info), caught.value.text, caught.value.proven) == ({"systemFailure"}, "down", True)
    assert caught.value.message_time == NOW


async def test_an_unprotected_error_proves_nothing(pki: Pki, foreign: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki, body=erring, **on_wire(strip_protection)(pki, foreign))
    with pytest.raises(Refused) as caught:
        await client_of(ca).general(pki.customer)
    assert not caught.value.proven
    assert caught.value.message_time is None


async def test_an_error_by_another_customer_does_not_count(pki: Pki, client_of: ClientOf) -> None:
    with pytest.raises(UntrustedAnswer):
        await client_of(FakeCa(pki, body=erring, signer=pki.other_customer)).general(pki.customer)


async def test_a_pinned_signer_counts_only_in_date(pki: Pki) -> None:
    late = pki.signer("Late", end=NOW - timedelta(seconds=1))
    trust = Trust((pki.root.certificate,), pinned_signers=(late.certificate,))
    http = httpx.AsyncClient(transport=httpx.MockTransport(FakeCa(pki, signer=late)))
    with pytest.raises(UntrustedAnswer) as caught:
        await CmpClient(http, URL, trust, clock=lambda: NOW).general(pki.customer)
    assert caught.value.reason is Distrust.SIGNER_PATH
