"""One CA in several processes: each serves on a socket of its own, and all have one database."""

from __future__ import annotations

import copy
import itertools
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

import httpx
import msgspec
from sqlalchemy import make_url

from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import POLICY_FILE, Policy
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.envelope import Message, read_message
from kiosk.cmp.vocabulary import CONTENT_TYPE
from tests.ca.bank import Bank, settle
from tests.postgres import Postgres
from tests.processes.database import Database
from tests.ready_ca import ReadyCa, ready_ca


@dataclass
class Offices:
    """The directories of one CA for one database, and the processes that serve in them, two for each policy."""

    authority: Authority
    place: Path
    url: str
    database: Database
    _stack: ExitStack
    _serving: dict[Policy, tuple[ReadyCa, ...]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def under(self, policy: Policy) -> tuple[ReadyCa, ...]:
        """Both processes that go by this policy; they are started where nobody has asked for them yet."""
        if policy not in self._serving:
            self._serving[policy] = tuple(self.open(policy) for _ in range(2))
        return self._serving[policy]

    def open(self, policy: Policy, user: str | None = None) -> ReadyCa:
        """One more process, known to the database by this name."""
        directory = self.directory(policy, user)
        return self._stack.enter_context(ready_ca(directory, directory / "log", "--http"))

    def directory(self, policy: Policy, user: str | None = None) -> Path:
        """A copy of the CA's own, as another machine would have it."""
        directory = self.place / f"ca-{next(self._numbers)}"
        shutil.copytree(self.authority.directory, directory)
        url = make_url(self.url)
        settle(directory, (url if user is None else url.set(username=user)).render_as_string())
        write_policy(directory, policy)
        return directory


@contextmanager
def offices(authority: Authority, postgres: Postgres, url: str, place: Path) -> Iterator[Offices]:
    """In a database that is there already; the processes end with the block."""
    with Database.of(postgres, url) as database, ExitStack() as stack:
        yield Offices(authority, place, url, database, stack)


class SharedBank(Bank):
    """A bank whose CA is two processes over one database, each asked in turn, with a clock that is the database's."""

    def __init__(self, offices: Offices, book: Ledger, http: httpx.AsyncClient) -> None:
        self._offices = offices
        self._side = 0
        self._http = http
        super().__init__(offices.authority, book)

    @property
    def database(self) -> Database:
        return self._offices.database

    @property
    def now(self) -> datetime:
        return self.database.now

    @now.setter
    def now(self, now: datetime) -> None:
        self.database.turn(now)

    def obey(self, policy: Policy) -> None:
        """Go on at the processes that go by this policy."""
        self.policy = policy
        self._serving = self._offices.under(policy)
        self._turn_to(self._side)

    def hand_over(self) -> None:
        self._turn_to(1 - self._side)

    def at(self, side: int) -> Self:
        """The same bank, to whoever speaks with one of its processes only."""
        other = copy.copy(self)
        other._turn_to(side)
        return other

    def _turn_to(self, side: int) -> None:
        self._side = side
        self.url = self._serving[side].url
        trust = Trust((self.authority.root,))
        self.client = CmpClient(self._http, self.url, trust, clock=lambda: self.now, random=self.random)

    async def send(self, request: bytes) -> Message:
        answer = await self._http.post(self.url, content=request, headers={"Content-Type": CONTENT_TYPE})
        assert answer.status_code == httpx.codes.OK, answer.text
        return read_message(answer.content)


def write_policy(directory: Path, policy: Policy) -> None:
    """Into the CA's directory, as far as it is not the usual one."""
    usual = msgspec.to_builtins(Policy())
    rules = {name: rule for name, rule in msgspec.to_builtins(policy).items() if rule != usual[name]}
    (directory / POLICY_FILE).write_bytes(msgspec.toml.encode(rules))
