"""The way to the CA, cut at each class of byte of each exchange: what the customer is told is true, nothing is lost.

A short form runs always; with `KIOSK_SOAK` in the environment (`make soak`) it is every fault at every place of every
part that a visit without faults has shown, in both directions, over TLS and over plain HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from kiosk.ca import office, promises, succession
from kiosk.clock import system_clock
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.envelope import read_message
from kiosk.cmp.retry import Retry
from kiosk.cmp.transfer import Limits, tls_context
from kiosk.cmp.vocabulary import BodyType
from kiosk.errors import Changed, Code
from kiosk.services import read_anchors
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.wire import ObjectKind
from kiosk.visit import Outcome
from tests.bank import Bank, open_bank
from tests.cutting import CASES, Cut, CutWay, Fault, Place, Toward, cut_way, cuts_of
from tests.ready_ca import running_ready_ca
from tests.scripted_desk import ScriptedDesk

LONG, SHORT = 60.0, 2.0
"""Seconds for an exchange; the short time is for those that something holds up for ever."""
HOLDS_UP = (Fault.STALL, Fault.FLIP)
"""A length that is another has the other side wait for bytes that never come."""

EVERY = int(os.environ.get("KIOSK_CUT_EVERY", "1"))
"""For whoever has no hours: every so-manieth case of the whole table."""

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


@dataclass
class Errand:
    """What the customer has come for, and which exchanges that takes."""

    name: str
    days_left: int
    policy: str = ""
    by_code: bool = False
    codes: list[str] = field(default_factory=list)

    def desk(self) -> ScriptedDesk:
        return ScriptedDesk(enrols=self.by_code, codes=[*self.codes, None])


RENEWAL = Errand("renewal", 20)
APPROVED = Errand("renewal with a teller", 20, 'approval = ["update"]\n')
ENROLMENT = Errand("enrolment", -1, by_code=True)
BY_CODE = {BodyType.IR.name, BodyType.GENM.name}


@dataclass
class Visitor:
    """A customer of `bank`, on a way to the CA that is cut once."""

    bank: Bank
    errand: Errand
    slept: list[float] = field(default_factory=list)

    async def comes(self, way: CutWay, seconds: float = LONG) -> Outcome:
        client, http = self._client(way, seconds)
        async with http:
            return await self.bank.visit(self.errand.desk(), through=lambda _: client, retry=self._retry)

    async def comes_again(self) -> Outcome:
        async with cut_way(self.bank.settings.ca.url) as way:
            return await self.comes(way)

    @property
    def _retry(self) -> Retry:
        return Retry(uniform=lambda _, most: most, sleep=self._sleep, monotonic=lambda: sum(self.slept))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _client(self, way: CutWay, seconds: float) -> tuple[CmpClient, httpx.AsyncClient]:
        async def announce(request: httpx.Request) -> None:
            way.exchange = BodyType(read_message(request.content).body_type).name
            if way.exchange == BodyType.POLLREQ.name and way.is_done:
                self._approve()

        ca = self.bank.settings.ca
        http = httpx.AsyncClient(
            verify=tls_context(Path(ca.tls_roots)),
            trust_env=False,
            timeout=httpx.Timeout(seconds),
            limits=httpx.Limits(max_keepalive_connections=0),
            event_hooks={"request": [announce]},
        )
        anchors = read_anchors(Path(ca.roots))
        trust = Trust(anchors.roots, anchors.intermediates)
        limits = Limits(connect_seconds=seconds, total_seconds=seconds)
        client = CmpClient(http, way.url, trust, peer=ca.peer, sleep=self._sleep, limits=limits)
        return client, http

    def _approve(self) -> None:
        """The teller does, once the way is whole again."""
        with office.opened(self.bank.directory / "ca") as counter, counter.book.begin() as connection:
            for each in promises.waiting(connection, system_clock()):
                succession.decide(connection, each.id, approve=True, now=system_clock())


async def run(directory: Path, errand: Errand, cut: Cut | None, *, tls: bool) -> CutWay:
    """One case: a visit with the fault, what it tells, and another one where that is needed."""
    run_ca = partial(running_ready_ca, options=() if tls else ("--http",))
    async with open_bank(directory, days_left=errand.days_left, ca_policy=errand.policy, run_ca=run_ca) as bank:
        if errand.by_code:
            errand = replace(errand, codes=[bank.code()])
        visitor, old = Visitor(bank, errand), await bank.credential()
        before = await bank.inventory()
        async with cut_way(bank.settings.ca.url, cut) as way:
            seconds = SHORT if cut is not None and cut.fault in HOLDS_UP else LONG
            outcome = await visitor.comes(way, seconds)
        assert way.is_done, "the cut was never met"
        if outcome.completion is None:
            assert cut is not None
            assert may_fail(cut, errand, tls=tls), f"not got over: {outcome.problem}"
            assert outcome.problem is not None
            assert outcome.problem.code in NETWORK | ANSWERS | (IN_VAIN if errand.by_code else set())
            told_truly(outcome, before, await bank.inventory())
            outcome = await visitor.comes_again()
        assert outcome.completion is not None, f"not finished by the next visit: {outcome.problem}"
        new = await bank.credential()
        assert new.certificate == outcome.completion.certificate
        assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind), "no orphan"
        states = bank.states()
        assert states.pop(new.certificate.serial) == "valid"
        assert states.pop(old.certificate.serial) == ("valid" if errand.by_code else "superseded")
        assert set(states.values()) <= {"revoked"}, "what was rejected on the way"
    return way


def may_fail(cut: Cut, errand: Errand, *, tls: bool) -> bool:
    """What asking again does not hide: an answer that is none, and a code that is not tried twice by itself."""
    flipped = cut.fault is Fault.FLIP and not tls
    return flipped or (errand.by_code and cut.exchange == BodyType.GENM.name)


def told_truly(outcome: Outcome, before: Inventory, after: Inventory) -> None:
    """What the customer is told of the certificate is what lies on the token."""
    assert outcome.problem is not None
    match outcome.problem.changed:
        case Changed.NOTHING:
            assert after == before
        case Changed.UNFINISHED | Changed.ENROLLING:  # the certificate may be there, while no certConf has gone out
            assert len(after.credentials) - len(before.credentials) in (0, 1)
            assert len(after.objects) > len(before.objects)
        case Changed.STORED:
            assert len(after.credentials) == len(before.credentials) + 1
        case other:
            raise AssertionError(f"no fault of the way leaves a certificate {other}")


GENM, KUR, IR, CERTCONF, POLLREQ = (
    each.name for each in (BodyType.GENM, BodyType.KUR, BodyType.IR, BodyType.CERTCONF, BodyType.POLLREQ)
)
CA, KIOSK = Toward
SOME: Sequence[tuple[Errand, bool, Cut]] = (
    (RENEWAL, True, Cut(GENM, KIOSK, "sealed 1", Place.MIDDLE, Fault.FLIP)),
    (RENEWAL, True, Cut(KUR, KIOSK, "sealed 4", Place.LAST, Fault.CLOSE)),
    (RENEWAL, False, Cut(KUR, CA, "the body", Place.MIDDLE, Fault.FLIP)),
    (RENEWAL, False, Cut(CERTCONF, KIOSK, "the first line", Place.FIRST, Fault.RESET)),
    (ENROLMENT, False, Cut(CERTCONF, KIOSK, "the body", Place.LAST, Fault.STALL)),
)


@pytest.mark.parametrize(("errand", "tls", "cut"), SOME, ids=[f"{a.name}-{c}" for a, _, c in SOME])
async def test_a_cut_loses_nothing(tmp_path: Path, errand: Errand, tls: bool, cut: Cut) -> None:
    CASES["cut table: cases run"] += 1
    await run(tmp_path / "bank", errand, cut, tls=tls)


@pytest.mark.skipif("KIOSK_SOAK" not in os.environ, reason="the whole table takes an hour and more: `make soak`")
@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "plain HTTP"])
@pytest.mark.parametrize("errand", [RENEWAL, ENROLMENT, APPROVED], ids=lambda errand: errand.name)
async def test_cut_anywhere(tmp_path: Path, errand: Errand, tls: bool) -> None:
    shown = await run(tmp_path / "whole", errand, None, tls=tls)
    lost: list[str] = []
    for number, cut in enumerate(cuts_of(shown.seen)):
        if number % EVERY:
            continue
        CASES["cut table: cases run"] += 1
        CASES["cut table: lost"] += 1  # until it has been found again
        try:
            await run(tmp_path / str(number), errand, cut, tls=tls)
        except Exception as error:
            lost.append(f"{cut}: {error!r}")
        else:
            CASES["cut table: lost"] -= 1
    assert not lost, "\n".join(lost)
