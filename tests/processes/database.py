"""One PostgreSQL database under several CA processes: its clock is turned here, and here they are made to meet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self, TypeVar

import psycopg
from psycopg import sql
from sqlalchemy import make_url, text

from kiosk.ca.ledger import Ledger, Overtaken
from kiosk.ca.schema import METADATA, fill
from tests.postgres import Postgres

Result = TypeVar("Result")
_PATIENCE = 60.0

_TURNED = """
CREATE SCHEMA turned;
CREATE TABLE turned.clock (at timestamptz NOT NULL);
INSERT INTO turned.clock VALUES (pg_catalog.clock_timestamp());
"""
_EVERY_CLOCK = ("clock_timestamp", "statement_timestamp", "transaction_timestamp", "now")
_TURN = "CREATE FUNCTION turned.{} () RETURNS timestamptz LANGUAGE sql AS 'SELECT at FROM turned.clock'"


@dataclass
class Database:
    """As tests look at it, beside the CA's own engine; each statement commits."""

    server: Postgres
    name: str
    connection: psycopg.Connection[tuple[Any, ...]]
    now: datetime = field(init=False)
    """What its clock shows, once that is turned."""

    @classmethod
    @contextmanager
    def of(cls, server: Postgres, url: str) -> Iterator[Self]:
        name = make_url(url).database or ""
        with server.connect(name) as connection:
            yield cls(server, name, connection)

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode(), values).fetchall()

    def have_a_clock_to_turn(self) -> None:
        """From now on whoever connects is told the time by a clock that tests turn.

        A schema that is looked into before PostgreSQL's own has functions of the same names.
        """
        self.connection.execute(_TURNED)
        for name in _EVERY_CLOCK:
            self.connection.execute(sql.SQL(_TURN).format(sql.Identifier(name)))
        path = "ALTER DATABASE {} SET search_path = public, turned, pg_catalog"
        self.connection.execute(sql.SQL(path).format(sql.Identifier(self.name)))

    def turn(self, now: datetime) -> None:
        self.now = now
        self.connection.execute("UPDATE turned.clock SET at = %s", [now])

    def waiting(self, user: str | None = None) -> int:
        """How many sessions (of this user) wait for a lock that another one holds."""
        (counted,) = self.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
            " AND (%s::text IS NULL OR usename = %s)",
            self.name,
            user,
            user,
        )
        return int(counted[0])

    async def meet(self, table: str, *acts: Awaitable[Result]) -> list[Result]:
        """Have them all come as far as this table, as far as they need it, and only then let them go on at once."""
        with self.server.connect(self.name) as gate, gate.transaction():
            gate.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
            tasks = [asyncio.ensure_future(act) for act in acts]
            await until(lambda: self.waiting() >= sum(not task.done() for task in tasks))
        return await asyncio.gather(*tasks)


def clear(book: Ledger) -> None:
    """Have a ledger in which nothing stands, under processes that go on, and that write a CRL when they like."""
    tables = ", ".join(table.name for table in METADATA.sorted_tables)
    while True:
        with contextlib.suppress(Overtaken), book.begin() as connection:
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
            fill(connection)
            return


async def until(reached: Callable[[], bool]) -> None:
    """Wait for what other processes do, of which nobody tells us."""
    give_up = time.monotonic() + _PATIENCE
    while not reached():
        assert time.monotonic() < give_up, "it does not come to this"
        await asyncio.sleep(0.005)
