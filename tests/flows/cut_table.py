"""One case of the cut table: a visit on a way that fails once, what it tells, and another one where that is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from kiosk.ca import office, promises, succession
from kiosk.clock import system_clock
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.envelope import read_message
from kiosk.cmp.retry import Retry
from kiosk.cmp.transfer import Limits, open_http_client, tls_context
from kiosk.cmp.vocabulary import BodyType
from kiosk.credentials import Credential
from kiosk.desk import SavingStep
from kiosk.errors import Changed, Code
from kiosk.journal import Event, Journal
from kiosk.services import read_anchors
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.wire import ObjectKind
from kiosk.visit import Outcome
from tests.bank import Bank, open_bank
from tests.cutting import Cut, CutWay, Fault, cut_way
from tests.flows.test_conversation import Counterfeit, cut_at
from tests.flows.test_conversation import Cut as KioskCut
from tests.keeping import Drop, KeptWay, Parting, kept_way
from tests.ready_ca import running_ready_ca
from tests.scripted_desk import ScriptedDesk

LONG, SHORT = 60.0, 2.0
"""Seconds for an exchange; the short time is for those that something holds up for ever."""
HOLDS_UP = (Fault.STALL, Fault.FLIP)
"""A length that is another has the other side wait for bytes that never come."""
ONLY_SLOW = (Fault.DRIP, Fault.PAUSE)
"""Everything arrives."""
UNNOTICED = (Parting.CLOSE, Parting.RESET)
"""A connection that is known to be gone is not used any more."""

NETWORK = {Code.CA_NOT_REACHED, Code.CA_TOO_SLOW, Code.CA_OUT_OF_ORDER, Code.CA_BUSY, Code.CONNECTION_NOT_TRUSTED}
ANSWERS = {
    Code.REFUSED_BY_CA,
    Code.CERTIFICATE_NOT_ACCEPTED,
    Code.ANSWER_NOT_TRUSTED,
    Code.ANSWER_NOT_UNDERSTOOD,
    Code.NEW_CERTIFICATE_WRONG,
    Code.REFUSAL_NOT_PROVEN,
}
"""What a flipped bit may come to where no TLS finds it."""
IN_VAIN = {Code.EXPIRED, Code.CODE_NOT_ACCEPTED}
"""With a code: what is left to whoever gives it up, and what a MAC says that fits another message."""
GENM, KUR, IR, CERTCONF, POLLREQ = (
    each.name for each in (BodyType.GENM, BodyType.KUR, BodyType.IR, BodyType.CERTCONF, BodyType.POLLREQ)
)


@dataclass(frozen=True)
class Errand:
    """What the customer has come for, and which exchanges that takes."""

    name: str
    days_left: int = 20
    policy: str = ""
    by_code: bool = False
    begun: SavingStep | None = None
    """An earlier visit was cut before this step."""
    rejects: bool = False
    """The kiosk takes the certificate for another one than was asked for, and has the CA revoke it."""
    only: frozenset[str] = frozenset()
    """The exchanges that are cut; all of them where none is named, since those of another errand are the same."""

    def cuts(self, exchange: str) -> bool:
        return not self.only or exchange in self.only


RENEWAL = Errand("renewal")
APPROVED = Errand("renewal with a teller", policy='approval = ["update"]\n')
REJECTED = Errand("renewal that is rejected", rejects=True, only=frozenset({CERTCONF}))
RESUMED = Errand("renewal that goes on", begun=SavingStep.WRITE)
WRITTEN = Errand("renewal that goes on with what is written", begun=SavingStep.CONFIRM, only=frozenset({GENM}))
ENROLMENT = Errand("enrolment", -1, by_code=True)
APPROVED_ENROLMENT = replace(
    ENROLMENT, name="enrolment with a teller", policy='approval = ["code"]\n', only=frozenset({IR, POLLREQ})
)
RESUMED_ENROLMENT = replace(ENROLMENT, name="enrolment that goes on", begun=SavingStep.WRITE)
ERRANDS = (RENEWAL, ENROLMENT, APPROVED, REJECTED, RESUMED, WRITTEN, APPROVED_ENROLMENT, RESUMED_ENROLMENT)


class Way(Protocol):
    """To the CA; it fails once."""

    url: str

    @property
    def is_done(self) -> bool:
        """Whether it has failed."""

    async def announce(self, exchange: str) -> bool:
        """This exchange begins now; answers whether the way may fail in it."""


@dataclass
class Visitor:
    """A customer of `bank`, on such ways."""

    bank: Bank
    errand: Errand
    original: Inventory
    """What was on the token when he first came."""
    old: Credential
    code: str | None = None
    slept: list[float] = field(default_factory=list)

    async def begins(self) -> None:
        """An earlier visit, at a kiosk that ended in the middle of it."""
        assert self.errand.begun is not None
        with pytest.raises(ExceptionGroup) as raised:
            await self.bank.visit(self._desk(at_step=cut_at(self.errand.begun)))
        assert raised.group_contains(KioskCut)

    async def comes(self, way: Way, seconds: float = LONG, *, keeps: bool = False, rejects: bool = False) -> Outcome:
        """`keeps` connections between exchanges, as kiosks do; without that each exchange has one of its own."""
        limits = Limits(connect_seconds=seconds, total_seconds=seconds)
        async with self._http(limits, keeps=keeps) as http:
            http.event_hooks = {"request": [self._announcing(way)]}
            client = self._client(http, way.url, limits)
            real = Counterfeit(client) if rejects else client
            return await self.bank.visit(self._desk(), through=lambda _: real, retry=self._retry)

    @property
    def has_asked_again(self) -> bool:
        return Event.ASKING_AGAIN in self.bank.events()

    @property
    def _has_rejected_in_vain(self) -> bool:
        with Journal(Path(self.bank.settings.journal)) as journal:
            return any(each.detail == "not rejected" for each in journal.entries())

    async def ends_well(self, outcome: Outcome, before: Inventory, *, may_fail: bool) -> None:
        """The visit has, or has told the truth of what it has left, and the next one does."""
        if outcome.completion is None:
            assert may_fail, f"not got over: {outcome.problem}"
            assert outcome.problem is not None
            assert outcome.problem.code in NETWORK | ANSWERS | (IN_VAIN if self.errand.by_code else set())
            told_truly(outcome, before, await self.bank.inventory(), self.original)
            if self.errand.rejects:
                in_vain = outcome.problem.changed is Changed.UNFINISHED
                assert self._has_rejected_in_vain == in_vain, "the key goes where the CA has agreed, and only there"
            async with cut_way(self.bank.settings.ca.url) as way:
                outcome = await self.comes(way)
        assert outcome.completion is not None, f"not finished by the next visit: {outcome.problem}"
        new = await self.bank.credential()
        assert new.certificate == outcome.completion.certificate
        assert sorted(each.kind for each in (await self.bank.inventory()).objects) == sorted(ObjectKind), "no orphan"
        states = self.bank.states()
        assert states.pop(new.certificate.serial) == "valid"
        assert states.pop(self.old.certificate.serial) == ("valid" if self.errand.by_code else "superseded")
        assert set(states.values()) <= {"revoked"}, "what was rejected on the way"

    def _desk(self, at_step: Callable[[SavingStep], None] = lambda _: None) -> ScriptedDesk:
        return ScriptedDesk(enrols=self.errand.by_code, codes=[self.code, None], at_step=at_step)

    @property
    def _retry(self) -> Retry:
        return Retry(uniform=lambda _, most: most, sleep=self._sleep, monotonic=lambda: sum(self.slept))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _announcing(self, way: Way) -> Callable[[httpx.Request], Awaitable[None]]:
        async def announce(request: httpx.Request) -> None:
            exchange = BodyType(read_message(request.content).body_type).name
            may_fail = await way.announce(exchange)
            if exchange == POLLREQ and not may_fail:
                self._approve()

        return announce

    def _http(self, limits: Limits, *, keeps: bool) -> httpx.AsyncClient:
        roots = Path(self.bank.settings.ca.tls_roots)
        if keeps:
            return open_http_client(roots, limits)
        return httpx.AsyncClient(
            verify=tls_context(roots),
            trust_env=False,
            timeout=httpx.Timeout(limits.total_seconds),
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def _client(self, http: httpx.AsyncClient, url: str, limits: Limits) -> CmpClient:
        ca = self.bank.settings.ca
        anchors = read_anchors(Path(ca.roots))
        trust = Trust(anchors.roots, anchors.intermediates)
        return CmpClient(http, url, trust, peer=ca.peer, sleep=self._sleep, limits=limits)

    def _approve(self) -> None:
        """The teller does, where nothing is to befall the answer that says so."""
        with office.opened(self.bank.directory / "ca") as counter, counter.book.begin() as connection:
            for each in promises.waiting(connection, system_clock()):
                succession.decide(connection, each.id, approve=True, now=system_clock())


@asynccontextmanager
async def visitor_of(directory: Path, errand: Errand, *, tls: bool) -> AsyncIterator[Visitor]:
    """Whoever comes on this errand to a bank of his own; what an earlier visit has begun is begun."""
    run_ca = partial(running_ready_ca, options=() if tls else ("--http",))
    async with open_bank(directory, days_left=errand.days_left, ca_policy=errand.policy, run_ca=run_ca) as bank:
        code = bank.code() if errand.by_code else None
        visitor = Visitor(bank, errand, await bank.inventory(), await bank.credential(), code)
        if errand.begun:
            await visitor.begins()
        yield visitor


async def cut_visit(directory: Path, errand: Errand, cut: Cut | None, *, tls: bool) -> CutWay:
    """A visit on a way that is cut at one place of the bytes, or nowhere."""
    async with visitor_of(directory, errand, tls=tls) as visitor:
        before = await visitor.bank.inventory()
        async with cut_way(visitor.bank.settings.ca.url, cut) as way:
            seconds = SHORT if cut is not None and cut.fault in HOLDS_UP else LONG
            outcome = await visitor.comes(way, seconds, rejects=errand.rejects)
        assert way.is_done, "the cut was never met"
        if cut is None or cut.fault in ONLY_SLOW:
            assert not visitor.has_asked_again, "everything has arrived"
            assert outcome.problem is None or outcome.problem.changed is Changed.NOTHING, "the CA has agreed"
        await visitor.ends_well(outcome, before, may_fail=_may_fail(cut, errand, tls=tls))
    return way


async def kept_visit(directory: Path, errand: Errand, drop: Drop | None, *, tls: bool) -> KeptWay:
    """A visit on a way that keeps its connection, but for one time between two exchanges."""
    async with visitor_of(directory, errand, tls=tls) as visitor:
        before = await visitor.bank.inventory()
        async with kept_way(visitor.bank.settings.ca.url, drop) as way:
            seconds = SHORT if drop is not None and drop.parting is Parting.FORGET else LONG
            outcome = await visitor.comes(way, seconds, keeps=True, rejects=errand.rejects)
        assert way.is_done, "the connection was not dropped"
        unnoticed = drop is None or drop.parting in UNNOTICED
        assert drop or way.connections == 1, "it is kept"
        assert not (unnoticed and visitor.has_asked_again), "nothing was sent in vain"
        by_code = errand.by_code and drop is not None and way.exchanges[drop.before] == GENM
        await visitor.ends_well(outcome, before, may_fail=errand.rejects or (by_code and not unnoticed))
    return way


def _may_fail(cut: Cut | None, errand: Errand, *, tls: bool) -> bool:
    """What asking again does not hide: an answer that is none, and a code that is not tried twice by itself."""
    if errand.rejects:
        return True
    if cut is None or cut.fault in ONLY_SLOW:
        return False
    flipped = cut.fault is Fault.FLIP and not tls
    return flipped or (errand.by_code and cut.exchange == GENM)


def told_truly(outcome: Outcome, before: Inventory, after: Inventory, original: Inventory) -> None:
    """What the customer is told of the certificate is what lies on the token.

    `before` this visit something may have been begun already that was not there in the `original`.
    """
    assert outcome.problem is not None
    match outcome.problem.changed:
        case Changed.NOTHING:
            assert after in (before, original), "what had begun stays, or has gone with the customer's yes"
        case Changed.UNFINISHED | Changed.ENROLLING:  # the certificate may be there, while no certConf has gone out
            assert len(after.credentials) - len(original.credentials) in (0, 1)
            assert len(after.objects) > len(original.objects)
        case Changed.STORED:
            assert len(after.credentials) == len(original.credentials) + 1
        case other:
            raise AssertionError(f"no fault of the way leaves a certificate {other}")
