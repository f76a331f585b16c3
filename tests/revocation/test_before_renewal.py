"""What stops a renewal, with which code, and what policy lets go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.ocsp import OCSPCertStatus

from kiosk.errors import Changed, Code, KioskError, Problem
from kiosk.journal import Event, Journal
from kiosk.preparation import check_revocation
from kiosk.revocation.check import RevocationCheck, RevocationRule
from tests.cmp.pki import NOW, Pki
from tests.revocation.teller import CrlTeller, OcspTeller, delegated, serve

OCSP, CRL = "http://status.invalid/ocsp", "http://status.invalid/crl"
REVOKED = OCSPCertStatus.REVOKED
COMPROMISED, SUPERSEDED = x509.ReasonFlags.key_compromise, x509.ReasonFlags.superseded
SINCE = "since 2026-03-01T02:04:05+00:00"


@cache
def pki() -> Pki:
    return Pki()


def teller(**told: object) -> OcspTeller:
    return OcspTeller(**{"pki": pki(), "signer": delegated(pki())} | told)  # type: ignore[arg-type]


@dataclass
class Kiosk:
    """As much of one as decides."""

    journal: Journal

    async def ask(
        self,
        ocsp: OcspTeller | httpx.Response | Exception,
        *,
        rule: RevocationRule = RevocationRule.REQUIRED,
        accepted: bool = True,
        crl: CrlTeller | None = None,
    ) -> Problem | None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(serve(ocsp, crl)))
        authorities = (pki().issuing.certificate,)
        check = RevocationCheck(
            http=http, authorities=authorities, rule=rule, ocsp_url=OCSP, crl_url=CRL if crl else ""
        )
        record = self.journal.begin_visit("token")
        try:
            customer = pki().customer.certificate
            await check_revocation(lambda: check.ask(customer, NOW), rule, customer, record, accepted=accepted)
        except KioskError as error:
            return error.problem
        return None

    def told(self) -> list[tuple[str, str, str]]:
        return [(each.event, each.serial, each.detail) for each in self.journal.entries()]


@pytest.fixture
def kiosk(tmp_path: Path) -> Iterator[Kiosk]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield Kiosk(journal)


async def test_good_is_noted(kiosk: Kiosk) -> None:
    assert await kiosk.ask(teller()) is None
    assert kiosk.told() == [(Event.STATUS_TOLD, pki().customer.certificate.serial, "ocsp: good")]


def stops() -> dict[str, tuple[OcspTeller | httpx.Response | Exception, Code, str]]:
    return {
        "revoked": (
            teller(status=REVOKED, reason=COMPROMISED),
            Code.CERTIFICATE_NOT_ACCEPTED,
            f"ocsp: revoked keyCompromise {SINCE}",
        ),
        "revoked without a reason": (
            teller(status=REVOKED),
            Code.CERTIFICATE_NOT_ACCEPTED,
            f"ocsp: revoked {SINCE}",
        ),
        "unknown": (teller(status=OCSPCertStatus.UNKNOWN), Code.CERTIFICATE_UNKNOWN, "ocsp: unknown"),
        "forged": (teller(certificates=()), Code.STATUS_NOT_TRUSTED, "ocsp: signer-missing"),
        "replayed": (teller(nonce=lambda _: b"old"), Code.STATUS_NOT_TRUSTED, "ocsp: nonce"),
        "stale": (
            teller(this_update=NOW - timedelta(days=2), next_update=NOW - timedelta(days=1)),
            Code.STATUS_NOT_TRUSTED,
            "ocsp: stale",
        ),
        "out of order": (httpx.Response(500), Code.STATUS_NOT_TOLD, "ocsp: status: 500"),
        "unreachable": (httpx.ConnectError("no"), Code.STATUS_NOT_TOLD, "ocsp: unreachable: ConnectError"),
    }


async def test_what_stops_it_and_with_which_code(kiosk: Kiosk) -> None:
    for why, (told, code, detail) in stops().items():
        assert await kiosk.ask(told) == Problem(code, Changed.NOTHING, detail), why
    assert kiosk.told() == []


async def test_policy_may_go_on_only_where_nobody_tells(kiosk: Kiosk) -> None:
    for why, (told, code, detail) in stops().items():
        silent = code is Code.STATUS_NOT_TOLD
        problem = await kiosk.ask(told, rule=RevocationRule.IF_REACHABLE)
        assert (problem is None) == silent, why
        if silent:
            assert kiosk.told()[-1] == (Event.STATUS_NOT_TOLD, pki().customer.certificate.serial, detail)


async def test_policy_may_ask_nobody(kiosk: Kiosk) -> None:
    for why, (told, _, _) in stops().items():
        assert await kiosk.ask(told, rule=RevocationRule.OFF) is None, why
    assert kiosk.told() == []


async def test_one_that_its_successor_has_replaced_may_finish_if_the_ca_has_just_taken_it(kiosk: Kiosk) -> None:
    """Where only the acknowledgement was lost, the old certificate is on the CRL, and has to come to its end."""
    replaced = teller(status=REVOKED, reason=SUPERSEDED)
    assert await kiosk.ask(replaced) is None
    assert kiosk.told()[-1][2] == f"ocsp: revoked superseded {SINCE}"
    problem = await kiosk.ask(replaced, accepted=False)
    assert problem is not None
    assert problem.code is Code.CERTIFICATE_NOT_ACCEPTED


async def test_the_crl_where_ocsp_says_nothing(kiosk: Kiosk) -> None:
    listed = CrlTeller(pki=pki(), revoked={pki().customer.certificate.serial_number: COMPROMISED})
    problem = await kiosk.ask(httpx.Response(503), crl=listed)
    assert problem == Problem(Code.CERTIFICATE_NOT_ACCEPTED, Changed.NOTHING, f"crl: revoked keyCompromise {SINCE}")
    assert await kiosk.ask(httpx.Response(503), crl=CrlTeller(pki=pki())) is None
    assert kiosk.told()[-1][2] == "crl: good"
