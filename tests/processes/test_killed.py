"""A CA process that is killed at any of its commits: whoever asks anew ends with what he asked for."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from sqlalchemy import select

from kiosk.ca import codes, holders, promises, succession
from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.responder import Responder
from kiosk.ca.schema import CERTIFICATES, CODES, CertificateState, CodeState, PromiseKind
from kiosk.ca.web import create_app
from kiosk.certificates import Certificate
from kiosk.clock import system_clock
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import Refused, TransferError
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.signing import Signer
from kiosk.cmp.transfer import open_http_client
from kiosk.credentials import HolderKind
from tests.ca.bank import new_key, settle, subject
from tests.postgres import Postgres
from tests.processes.dying import WHENS
from tests.processes.entering import enter
from tests.processes.offices import write_policy
from tests.ready_ca import ready_ca

VALID, REVOKED, SUPERSEDED = CertificateState.VALID, CertificateState.REVOKED, CertificateState.SUPERSEDED
URL = "http://ca.invalid/.well-known/cmp"


@dataclass
class Ca:
    """One with a directory of its own, whose server comes and goes."""

    authority: Authority
    directory: Path
    policy: Policy

    def enter(self, name: str) -> Signer:
        with self.beside() as book:
            (holder,) = enter(book, self.authority, name)
        return holder

    def make_code(self, name: str) -> SharedSecret:
        now, life = system_clock(), self.policy.code_life
        with self.beside() as book, book.begin() as connection:
            holders.ensure(connection, name, HolderKind.USER, subject(f"{name} 1"))
            made, _ = codes.make(connection, self.authority.vault, name, life, self.authority.random, now)
        return SharedSecret(reference=name.encode(), secret=made.secret, iterations=100)

    async def approve(self, _: float) -> None:
        """What a teller does while a client waits."""
        with self.beside() as book, book.begin() as connection:
            for each in promises.waiting(connection, system_clock()):
                succession.decide(connection, each.id, approve=True, now=system_clock())

    def beside(self) -> Ledger:
        return Ledger.open_beside(self.directory)

    def client(self, http: httpx.AsyncClient, url: str) -> CmpClient:
        waits = itertools.count()
        trust = Trust((self.authority.root,))
        return CmpClient(http, url, trust, sleep=self.approve, monotonic=lambda: float(next(waits)))

    @asynccontextmanager
    async def dying(self, when: str, number: int) -> AsyncIterator[CmpClient]:
        with ready_ca(self.directory, self.directory / "log", "--http", dies=(when, number)) as ca:
            async with open_http_client(None) as http:
                yield self.client(http, ca.url)

    @asynccontextmanager
    async def begun_anew(self) -> AsyncIterator[CmpClient]:
        with Ledger.open(self.directory) as book:
            app = create_app(Responder(self.authority, book, self.policy))
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
                yield self.client(http, URL)

    def states(self, name: str) -> dict[bytes, str]:
        with self.beside() as book, book.read() as connection:
            rows = connection.execute(select(CERTIFICATES).where(CERTIFICATES.c.holder == name)).all()
        return {row.der: row.state for row in rows}


class Errand(Protocol):
    """What somebody wants of the CA, who asks anew until it is done."""

    def __init__(self, ca: Ca, name: str) -> None: ...

    async def ask(self, client: CmpClient) -> None: ...

    def check(self) -> None: ...


class Renewal:
    """Also one that waits for a teller, where the policy says so."""

    def __init__(self, ca: Ca, name: str) -> None:
        self._ca, self._name = ca, name
        self._old, self._key = ca.enter(name), new_key()
        self._new: Certificate | None = None

    async def ask(self, client: CmpClient) -> None:
        issued = await client.update(self._old, self._key)
        self._new = issued.certificate
        await client.confirm(issued)

    def check(self) -> None:
        assert self._new is not None
        assert self._ca.states(self._name) == {self._old.certificate.der: SUPERSEDED, self._new.der: VALID}


class Enrolment:
    """By a one-time code; what it has brought is kept, as on a token."""

    def __init__(self, ca: Ca, name: str) -> None:
        self._ca, self._name = ca, name
        self._code, self._key = ca.make_code(name), new_key()
        self._new: Certificate | None = None

    async def ask(self, client: CmpClient) -> None:
        if self._new is not None and await self._is_taken(client, self._new):
            return
        issued = await client.enrol(self._code, self._key)
        self._new = issued.certificate
        await client.confirm(issued)

    async def _is_taken(self, client: CmpClient, certificate: Certificate) -> bool:
        """Whether only the acknowledgement was lost."""
        try:
            await client.general(Signer(self._key, certificate, (self._ca.authority.issuing,)))
        except Refused:
            return False
        return True

    def check(self) -> None:
        assert self._new is not None
        assert self._ca.states(self._name) == {self._new.der: VALID}
        with self._ca.beside() as book, book.read() as connection:
            states = connection.execute(select(CODES.c.state).where(CODES.c.holder == self._name)).scalars()
            assert list(states) == [CodeState.USED]


class Revocation:
    def __init__(self, ca: Ca, name: str) -> None:
        self._ca, self._name = ca, name
        self._old = ca.enter(name)

    async def ask(self, client: CmpClient) -> None:
        try:
            await client.revoke(self._old, self._old.certificate, 1)
        except Refused as refused:
            if refused.fail_info != {"certRevoked"}:
                raise

    def check(self) -> None:
        assert self._ca.states(self._name) == {self._old.certificate.der: REVOKED}


ERRANDS: dict[str, tuple[type[Errand], Policy, int]] = {
    # who comes : by which rules, and how many commits the CA makes at least
    "renewal": (Renewal, Policy(), 2),
    "renewal with a teller": (Renewal, Policy(approval=frozenset({PromiseKind.UPDATE})), 3),
    "enrolment": (Enrolment, Policy(), 6),
    "revocation": (Revocation, Policy(), 1),
}


@pytest.fixture(scope="module")
def living_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """By this machine's clock."""
    return create_authority(tmp_path_factory.mktemp("authority") / "ca")


@contextmanager
def ca_under(policy: Policy, authority: Authority, place: Path, postgres: Postgres | None) -> Iterator[Ca]:
    directory = place / "ca"
    shutil.copytree(authority.directory, directory)
    write_policy(directory, policy)
    if postgres is None:
        yield Ca(authority, directory, policy)
        return
    with postgres.database() as url:
        settle(directory, url)
        yield Ca(authority, directory, policy)


DATABASES = ("SQLite", "PostgreSQL")
# What PostgreSQL undoes does not depend on what it was about; `make soak` tries all the same.
SPARED = {("PostgreSQL", errand, "before") for errand in ERRANDS if errand != "renewal"}
CASES = [
    each for each in itertools.product(DATABASES, ERRANDS, WHENS) if each not in SPARED or "KIOSK_SOAK" in os.environ
]


@pytest.mark.parametrize(("database", "errand", "when"), CASES)
async def test_killed_at_any_commit_it_lets_whoever_asks_anew_finish(
    living_authority: Authority, postgres: Postgres, tmp_path: Path, database: str, errand: str, when: str
) -> None:
    begin, policy, commits = ERRANDS[errand]
    with ca_under(policy, living_authority, tmp_path, postgres if database == "PostgreSQL" else None) as ca:
        for number in itertools.count(1):
            customer = begin(ca, f"CUSTOMER{number}")
            try:
                async with ca.dying(when, number) as client:
                    await customer.ask(client)
            except TransferError:
                async with ca.begun_anew() as client:
                    await customer.ask(client)
                customer.check()
            else:
                customer.check()
                break
    print(f"{errand} in {database}: killed {when} each of {number - 1} commits")
    assert number > commits
