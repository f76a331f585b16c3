"""What the kiosk does before a renewal when it is told, or not told, whether the certificate is revoked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.x509.ocsp import OCSPCertStatus

from kiosk.ca.authority import Authority, load_authority
from kiosk.clock import system_clock
from kiosk.cmp.retry import NEVER, Retry
from kiosk.cmp.vocabulary import BodyType
from kiosk.errors import Changed, Code
from kiosk.journal import Event, Journal
from kiosk.revocation.check import RevocationCheck, RevocationRule
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

    def check_by(
        self, transport: httpx.MockTransport, rule: RevocationRule = RevocationRule.REQUIRED
    ) -> RevocationCheck:
        http = httpx.AsyncClient(transport=transport)
        authorities = (self.authority.issuing, self.authority.root)
        return RevocationCheck(http=http, authorities=authorities, rule=rule, ocsp_url=OCSP)

    async def visit(self, check: RevocationCheck, desk: ScriptedDesk | None = None, retry: Retry = NEVER) -> Outcome:
        through = self.at.talk_to_the_other_ca
        return await self.at.bank.visit(desk or ScriptedDesk(), through=through, revocation=check, retry=retry)

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


class Line:
    """To where status is told: first it says each of `faults`, and then what there is to be told."""

    def __init__(self, *faults: httpx.Response | Exception, told: OcspTeller) -> None:
        self._faults = list(faults)
        self._told = serve(told)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        fault = self._faults.pop(0) if self._faults else None
        if isinstance(fault, Exception):
            raise fault
        return fault or self._told(request)

    @property
    def retry(self) -> Retry:
        """Whose pauses alone move its clock."""
        return Retry(uniform=lambda _, most: most, sleep=self._sleep, monotonic=lambda: sum(self.slept))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_whoever_tells_of_revocation_is_asked_again(bank: Bank) -> None:
    counter, desk = Counter(bank), ScriptedDesk()
    busy = httpx.Response(503, headers={"Retry-After": "9"})
    line = Line(httpx.ReadTimeout("slow"), busy, httpx.ConnectError("nobody"), told=counter.ocsp())
    await counter.visit(counter.check_by(httpx.MockTransport(line)), desk, line.retry)
    assert counter.told(Event.STATUS_TOLD) == ["ocsp: good"]
    assert line.slept == [1.0, 9.0 + 2.0, 4.0]
    assert [each.is_busy for each in desk.pauses_seen] == [False] * 3, "it is not the CA that is busy"
    assert len({each.content for each in line.asked}) == 4, "each time with a nonce of its own"
    assert len(counter.told(Event.ASKING_AGAIN)) == 3


async def test_nobody_who_tells_of_revocation_is_waited_for_longer_than_a_ca(bank: Bank) -> None:
    counter, before = Counter(bank), await bank.inventory()
    line = Line(*[httpx.ReadTimeout("slow")] * 100, told=counter.ocsp())
    outcome = await counter.visit(counter.check_by(httpx.MockTransport(line)), retry=line.retry)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.STATUS_NOT_TOLD, Changed.NOTHING)
    assert len(line.asked) > 3
    assert sum(line.slept) < line.retry.total
    assert await bank.inventory() == before


@pytest.mark.parametrize("fault", [httpx.Response(404), httpx.Response(500)])
async def test_what_will_be_said_again_is_not_asked_again(bank: Bank, fault: httpx.Response) -> None:
    counter = Counter(bank)
    line = Line(fault, told=counter.ocsp())
    outcome = await counter.visit(counter.check_by(httpx.MockTransport(line)), retry=line.retry)
    assert outcome.problem is not None
    assert (outcome.problem.code, len(line.asked)) == (Code.STATUS_NOT_TOLD, 1)


async def test_nobody_is_kept_waiting_for_what_policy_can_do_without(bank: Bank) -> None:
    counter, desk = Counter(bank), ScriptedDesk()
    line = Line(httpx.ReadTimeout("slow"), told=counter.ocsp())
    check = counter.check_by(httpx.MockTransport(line), RevocationRule.IF_REACHABLE)
    await counter.visit(check, desk, line.retry)
    assert counter.told(Event.STATUS_NOT_TOLD) == ["ocsp: time-out"]
    assert (line.slept, desk.pauses_seen) == ([], [])
    assert "destination" in desk.asked, "it goes on"


@pytest.mark.parametrize("gives_up_at", ["pause", "answer"])
async def test_the_customer_may_stop_waiting_for_it(bank: Bank, gives_up_at: str) -> None:
    counter, desk, before = Counter(bank), ScriptedDesk(), await bank.inventory()

    async def never(_: httpx.Request) -> httpx.Response:
        desk.gives_up.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def for_ever(_: float) -> None:
        desk.gives_up.set()
        await asyncio.Event().wait()

    line = Line(*[httpx.ConnectError("nobody")] * 100, told=counter.ocsp())
    transport = httpx.MockTransport(never if gives_up_at == "answer" else line)
    outcome = await counter.visit(counter.check_by(transport), desk, replace(line.retry, sleep=for_ever))
    assert (outcome.problem, outcome.completion) == (None, None)
    assert desk.asked[-2:] == ["preprocessing", "menu"]
    assert await bank.inventory() == before


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
