"""No statement on a renewal's way reads a whole table that grows, so none takes longer the more have renewed before."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext

from kiosk.ca.database import configured_url
from kiosk.ca.schema import CERTIFICATES
from kiosk.cmp.requests import write_update
from kiosk.cmp.revocations import RevocationRequest, write_revocations
from kiosk.cmp.vocabulary import BodyType, Status
from tests.ca.bank import Bank, Talk, new_key, status_of
from tests.ca.filled import fill
from tests.ca.test_ocsp import request
from tests.postgres import Postgres

BOUNDED = {
    "crls": "the newest one is all that is kept",
    "tries": "as many as `policy.most_references`, counted along an index",
}


_PATIENCE = 60.0
"""Seconds after which a test gives up."""

Parameters = tuple[object, ...]


@dataclass
class Heard:
    """Every statement that was sent to the database, with the last of its parameters."""

    statements: dict[str, Parameters] = field(default_factory=dict)

    def hear(
        self,
        _connection: Connection,
        _cursor: DBAPICursor,
        statement: str,
        parameters: Parameters,
        _context: ExecutionContext | None,
        _executemany: bool,
    ) -> None:
        self.statements[statement] = parameters


@contextmanager
def hearing() -> Iterator[Heard]:
    heard = Heard()
    event.listen(Engine, "before_cursor_execute", heard.hear)
    try:
        yield heard
    finally:
        event.remove(Engine, "before_cursor_execute", heard.hear)


async def renew(bank: Bank) -> None:
    holder = bank.holder()
    talk = Talk(bank, holder)
    body = await write_update(holder.certificate, new_key())
    assert status_of(await talk.say(BodyType.KUR, body)).status == Status.ACCEPTED
    assert (await talk.confirm()).body_type == BodyType.PKICONF


async def enrol(bank: Bank) -> None:
    talk = Talk(bank, bank.newcomer())
    assert status_of(await talk.request(BodyType.IR, new_key())).status == Status.ACCEPTED
    assert (await talk.confirm()).body_type == BodyType.PKICONF


async def revoke(bank: Bank) -> None:
    holder = bank.holder()
    body = write_revocations([RevocationRequest.of(holder.certificate, 1)])
    assert status_of(await bank.ask(holder, BodyType.RR, body)).status == Status.ACCEPTED


async def wait_in_vain(bank: Bank) -> None:
    talk = Talk(bank, bank.holder())
    assert status_of(await talk.request(BodyType.CR, new_key())).status == Status.ACCEPTED
    bank.now += 2 * bank.policy.confirmation
    await renew(bank)


async def tell_of_all(bank: Bank) -> None:
    """By OCSP, and by a CRL that is due."""
    await revoke(bank)
    await bank.status.ocsp(request(bank.holder().certificate, bank.authority.issuing))
    await bank.status.crl()


@pytest.mark.parametrize("act", [renew, enrol, revoke, wait_in_vain, tell_of_all])
async def test_no_statement_reads_a_whole_table(bank: Bank, act: Callable[[Bank], Awaitable[None]]) -> None:
    with hearing() as heard:
        await act(bank)
    # SQLite tells of the scan by which an INSERT would settle deferred foreign keys; there are none.
    asked = {each: given for each, given in heard.statements.items() if each.startswith(("SELECT", "UPDATE", "DELETE"))}
    assert len(asked) > 5
    with bank.book.begin() as connection:
        for statement, parameters in asked.items():
            read_whole = set(whole_reads(connection, statement, parameters)) - set(BOUNDED)
            assert not read_whole, statement


def whole_reads(connection: Connection, statement: str, parameters: Parameters) -> Iterator[str]:
    """The tables that a statement reads from one end to the other, though perhaps in the order of an index."""
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    for step in plan.scalars("detail"):
        act, table, *_ = step.split()
        if act == "SCAN":
            yield table


def test_a_whole_read_would_be_noticed(bank: Bank) -> None:
    with bank.book.begin() as connection:
        assert list(whole_reads(connection, "SELECT id FROM certificates WHERE reason = ?", ("",))) == ["certificates"]
        assert list(whole_reads(connection, "SELECT id FROM certificates WHERE holder = ?", ("",))) == []


@pytest.mark.parametrize("kind_of_database", ["postgres"], indirect=True)
@pytest.mark.parametrize("act", [renew, enrol, revoke, wait_in_vain])
async def test_postgres_reads_no_whole_table_of_a_full_ledger(
    bank: Bank, postgres: Postgres, place: Path, act: Callable[[Bank], Awaitable[None]]
) -> None:
    """By its own count of rows that it has read one after the other, which it publishes when a session ends."""
    fill(bank.book, bank.authority, 2_000)
    before = rows_read_in_order(bank, postgres, place)
    await act(bank)
    after = rows_read_in_order(bank, postgres, place)
    read = {table: after[table] - before[table] for table in ("certificates", "promises", "holders", "audit")}
    assert not any(read.values()), read
    with bank.book.read() as connection:
        connection.execute(select(CERTIFICATES.c.id).where(CERTIFICATES.c.reason == "x")).all()
    assert rows_read_in_order(bank, postgres, place)["certificates"] >= after["certificates"] + 2_000, "it counts"


def rows_read_in_order(bank: Bank, postgres: Postgres, place: Path) -> dict[str, int]:
    url = configured_url(place)
    assert url is not None
    bank.book.close()
    with postgres.connect(url.database or "") as connection:
        _wait_for_the_end_of_others(connection)
        return dict(connection.execute("SELECT relname, seq_tup_read FROM pg_stat_user_tables").fetchall())


def _wait_for_the_end_of_others(connection: psycopg.Connection) -> None:
    """A session that was closed here ends there a moment later, and has published its count by then."""
    give_up = time.monotonic() + _PATIENCE
    others = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    while connection.execute(others).fetchone() != (0,):
        assert time.monotonic() < give_up, "somebody is still connected"
