"""What the kiosk does before a renewal when it is told, or not told, whether the certificate is revoked."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.ocsp import OCSPCertStatus

from kiosk.ca.authority import Authority, load_authority
from kiosk.clock import system_clock
from kiosk.cmp.vocabulary import BodyType
from kiosk.errors import Changed, Code
from kiosk.journal import Event, Journal
from kiosk.revocation.check import RevocationCheck
from kiosk.tokens.wire import KeyKind
from kiosk.visit import Outcome
from tests.bank import Bank, child_processes
from tests.cmp.pki import Identity
from tests.flows.test_other_cas import Branch, branch, small_bank
from tests.revocation.teller import OcspTeller, serve
from tests.scripted_desk import ScriptedDesk

OCSP = "http://status.invalid/ocsp"
HOUR = timedelta(hours=1)


@pytest.fixture
async def bank(tmp_path: Path) -> Bank:
    return await small_bank(tmp_path / "bank", KeyKind.EC_P256)


class Counter:
    """A branch whose CA takes the certificate, and a counter where its status is told."""

    def __init__(self, bank: Bank) -> None:
        self.at: Branch = branch(bank)
        self.authority: Authority = load_authority(bank.directory / "ca")

    def ocsp(self, **told: object) -> OcspTeller:
        """The CA's own signer, and what it says."""
        now = system_clock().replace(microsecond=0)
        facts = {"this_update": now, "next_update": now + HOUR} | told
        own = Identity(self.authority.ocsp_key, self.authority.ocsp)
        return OcspTeller(pki=self.at.house, signer=own, **facts)  # type: ignore[arg-type]

    def check(self, told: OcspTeller) -> RevocationCheck:
        return self.check_by(httpx.MockTransport(serve(told)))

    def check_by(self, transport: httpx.MockTransport) -> RevocationCheck:
        http = httpx.AsyncClient(transport=transport)
        return RevocationCheck(http=http, authorities=(self.authority.issuing, self.authority.root), ocsp_url=OCSP)

    async def visit(self, check: RevocationCheck, desk: ScriptedDesk | None = None) -> Outcome:
        return await self.at.bank.visit(desk or ScriptedDesk(), through=self.at.talk_to_the_other_ca, revocation=check)

    def told(self, event: Event) -> list[str]:
        with Journal(Path(self.at.bank.settings.journal)) as journal:
            return [each.detail for each in journal.entries() if each.event == event]


async def test_a_revoked_certificate_stops_before_anything_is_changed(bank: Bank) -> None:
    """Also where the CA has taken it a moment before."""
    counter, before, desk = Counter(bank), await bank.inventory(), ScriptedDesk()
    told = counter.ocsp(status=OCSPCertStatus.REVOKED, reason=x509.ReasonFlags.key_compromise)
    outcome = await counter.visit(counter.check(told), desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CERTIFICATE_NOT_ACCEPTED, Changed.NOTHING)
    assert outcome.problem.detail.startswith("ocsp: revoked keyCompromise since")
    assert desk.asked == ["pin", "notice", "preprocessing", "problem"]
    assert set(counter.at.ca.kinds) == {BodyType.GENM}
    assert await bank.inventory() == before
    assert counter.told(Event.PROBLEM) == [outcome.problem.detail]


async def test_the_cas_time_counts_not_the_kiosks(bank: Bank) -> None:
    """Three minutes are more than the tolerance, and less than what stops a renewal."""
    ahead = timedelta(minutes=3)
    counter = Counter(bank)
    counter.at.ca.clock = lambda: system_clock() + ahead
    moment = (system_clock() + ahead).replace(microsecond=0)
    told = counter.ocsp(this_update=moment, next_update=moment + HOUR)
    await counter.visit(counter.check(told))
    assert counter.told(Event.STATUS_TOLD) == ["ocsp: good"]


async def test_a_visit_that_waits_for_an_answer_can_be_left(bank: Bank) -> None:
    begun = asyncio.Event()

    async def never(_: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    counter, children = Counter(bank), child_processes()
    visit = asyncio.create_task(counter.visit(counter.check_by(httpx.MockTransport(never))))
    await begun.wait()
    visit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit
    assert child_processes() <= children
