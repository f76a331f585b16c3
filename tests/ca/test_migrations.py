"""Ledgers of earlier versions, with everything in them, become what this version makes (`kiosk.ca.migrations`).

`ledgers` has one as each version before the revisions made it: holders, certificates in every state, codes, promises.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, select
from sqlalchemy.engine.interfaces import ReflectedIndex

from kiosk.ca import database, migrations, opening
from kiosk.ca.ledger import Ledger, LedgerDamaged, LedgerInUse, LedgerOutdated
from kiosk.ca.migrations import NEWEST, REVISION
from kiosk.ca.opening import Upgraded
from kiosk.ca.schema import CERTIFICATES, CRLS, METADATA
from kiosk.certificates import read_certificate
from tests.ca.bank import settle
from tests.ca.limits import limits_at
from tests.postgres import Postgres

LEDGERS = Path(__file__).parent / "ledgers"
EARLIER = ["0001", "0002"]
"""What there is a file of; those after them are on the way from there."""

Rows = dict[str, list[dict[str, object]]]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A CA's directory with an empty database."""
    if request.param == "sqlite":
        yield tmp_path
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        settle(tmp_path, url)
        yield tmp_path


@contextmanager
def inside(directory: Path) -> Iterator[Connection]:
    """A transaction in the database, whatever the tables are."""
    url = database.configured_url(directory)
    engine = database.sqlite_engine(directory / "ledger.sqlite") if url is None else database.postgres_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def make_in_sqlite(directory: Path, revision: str) -> None:
    with closing(sqlite3.connect(directory / "ledger.sqlite")) as connection:
        connection.executescript((LEDGERS / f"revision-{revision}.sql").read_text())


def make(directory: Path, revision: str) -> Rows:
    """A ledger of this revision; answers with what is in it."""
    if database.configured_url(directory) is None:
        make_in_sqlite(directory, revision)
    else:
        # There was none; so the tables are those that the revisions make, and the rows SQLite's.
        aside = directory / "aside"
        aside.mkdir()
        make_in_sqlite(aside, revision)
        with inside(aside) as connection:
            rows = rows_of(connection)
        with inside(directory) as connection:
            migrations.upgrade(connection, until=revision)
            for table in reflected(connection).sorted_tables:
                if rows.get(table.name):
                    connection.execute(table.insert(), rows[table.name])
    with inside(directory) as connection:
        return rows_of(connection)


def reflected(connection: Connection) -> MetaData:
    tables = MetaData()
    tables.reflect(connection)
    return tables


def rows_of(connection: Connection) -> Rows:
    return {
        table.name: [
            {name: in_utc(value) for name, value in row._mapping.items()}
            for row in connection.execute(select(table).order_by(*table.primary_key))
        ]
        for table in reflected(connection).sorted_tables
        if table.name != REVISION.name
    }


def in_utc(value: object) -> object:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def shape(connection: Connection) -> dict[str, object]:
    """Everything about the tables that matters, however they came about."""
    seen = inspect(connection)
    return {name: _shape_of(connection, name) for name in seen.get_table_names()}


def _shape_of(connection: Connection, table: str) -> tuple[object, ...]:
    seen = inspect(connection)
    columns = {each["name"]: (str(each["type"]), each["nullable"]) for each in seen.get_columns(table)}
    keys = [(each["constrained_columns"], each["referred_table"]) for each in seen.get_foreign_keys(table)]
    checks = [(each["name"], "".join(each["sqltext"].split())) for each in seen.get_check_constraints(table)]
    unique = [sorted(each["column_names"]) for each in seen.get_unique_constraints(table)]
    indexes = [
        (each["name"], each["column_names"], bool(each["unique"]), _options_of(each))
        for each in seen.get_indexes(table)
    ]
    primary = seen.get_pk_constraint(table)["constrained_columns"]
    return columns, primary, sorted(keys, key=str), sorted(checks, key=str), sorted(unique), sorted(indexes, key=str)


@pytest.mark.parametrize("revision", EARLIER)
def test_an_earlier_ledger_becomes_what_a_new_one_is(place: Path, revision: str) -> None:
    before = make(place, revision)
    assert opening.upgrade(place) == Upgraded(revision)
    with inside(place) as connection:
        assert migrations.revision_of(connection) == NEWEST
        assert compare_metadata(MigrationContext.configure(connection, opts=COMPARED), METADATA) == []
        upgraded, after = shape(connection), rows_of(connection)
        for table in reversed([*METADATA.sorted_tables, REVISION]):
            table.drop(connection)
    Ledger.open(place).close()
    with inside(place) as connection:
        assert upgraded == shape(connection)
    check_rows(before, after)


def _options_of(index: ReflectedIndex) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in index.get("dialect_options", {}).items()]


COMPARED = {"include_name": lambda name, kind, _: kind != "table" or name != REVISION.name, "compare_type": True}


def check_rows(before: Rows, after: Rows) -> None:
    """What was there is there, as it was; what is new is right."""
    assert before["certificates"]
    assert before["promises"]
    for name, rows in before.items():
        kept = [{column: row[column] for column in old} for old, row in zip(rows, after[name], strict=False)]
        assert kept == rows, name
        assert len(after[name]) == len(rows) or (name, len(after[name])) == ("crls", 1)
    for row in after["certificates"]:
        issuer = read_certificate(row["der"]).issuer_der  # type: ignore[arg-type]
        assert row["issuer"] == hashlib.sha256(issuer).digest()
    assert {row["language"] for row in after["holders"]} == {"ja"}


def test_the_revisions_are_one_line_that_ends_with_the_schema() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_heads() == [NEWEST]
    numbers = [script.revision for script in scripts.walk_revisions()]
    assert numbers == sorted(numbers, reverse=True)
    assert set(EARLIER) < set(numbers)


def test_an_older_ledger_in_sqlite_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    before = make(tmp_path, "0001")
    with Ledger.open_beside(tmp_path) as book, book.read() as connection:
        assert connection.execute(select(CRLS.c.number)).scalars().all() == [0]
    copy = tmp_path / "ledger.sqlite.0001"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    copy.replace(tmp_path / "ledger.sqlite")
    for path in (tmp_path / "ledger.sqlite-wal", tmp_path / "ledger.sqlite-shm"):
        path.unlink(missing_ok=True)
    with inside(tmp_path) as connection:
        assert migrations.revision_of(connection) == "0001"
        assert rows_of(connection) == before


def test_no_older_ledger_is_changed_while_somebody_serves_it(tmp_path: Path) -> None:
    before = make(tmp_path, "0001")
    with opened_by_a_server(tmp_path):
        with pytest.raises(LedgerOutdated, match="restart it first"):
            Ledger.open_beside(tmp_path)
        with pytest.raises(LedgerInUse):
            opening.upgrade(tmp_path)
    with inside(tmp_path) as connection:
        assert rows_of(connection) == before


@contextmanager
def opened_by_a_server(directory: Path) -> Iterator[None]:
    lock = opening.take_lock(directory / opening.LOCK_FILE)
    try:
        yield
    finally:
        os.close(lock)


def test_a_ledger_that_contradicts_itself_is_left_as_it_is(tmp_path: Path) -> None:
    make(tmp_path, "0001")
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection:
        connection.execute("DELETE FROM holders")
        connection.commit()
    with pytest.raises(LedgerDamaged, match="was left as it is"):
        Ledger.open(tmp_path)
    with inside(tmp_path) as connection:
        assert migrations.revision_of(connection) == "0001"


def test_an_older_ledger_in_postgres_is_upgraded_by_command_only(postgres: Postgres, tmp_path: Path) -> None:
    with postgres.database() as url:
        settle(tmp_path, url)
        before = make(tmp_path, "0002")
        for open_ in (Ledger.open, Ledger.open_beside):
            with pytest.raises(LedgerOutdated, match="kiosk ca migrate"):
                open_(tmp_path)
        with inside(tmp_path) as connection:
            assert rows_of(connection) == before
        assert opening.upgrade(tmp_path) == Upgraded("0002")
        assert opening.upgrade(tmp_path) == Upgraded(NEWEST)
        Ledger.open(tmp_path).close()


@pytest.mark.parametrize("revision", EARLIER)
def test_a_ledger_in_sqlite_is_copied_into_an_empty_database(postgres: Postgres, tmp_path: Path, revision: str) -> None:
    with postgres.database() as url:
        before = make(tmp_path, revision)
        settle(tmp_path, url)
        with opened_by_a_server(tmp_path), pytest.raises(LedgerInUse):
            opening.upgrade(tmp_path)
        assert opening.upgrade(tmp_path) == Upgraded(revision, copied=True)
        with inside(tmp_path) as connection:
            check_rows(before, rows_of(connection))
        with Ledger.open(tmp_path) as book, book.begin() as connection:
            numbers = connection.execute(select(CERTIFICATES.c.id)).scalars().all()
            values = connection.execute(select(CERTIFICATES).limit(1)).mappings().one()
            another = {**values, "fingerprint": b"another", "serial": "another"}
            del another["id"]
            connection.execute(CERTIFICATES.insert(), another)
            (new,) = set(connection.execute(select(CERTIFICATES.c.id)).scalars()) - set(numbers)
            assert new == max(numbers) + 1
        assert opening.upgrade(tmp_path) == Upgraded(NEWEST)


def test_to_copy_a_large_ledger_may_take_any_time(postgres: Postgres, tmp_path: Path) -> None:
    """Also to bring one in SQLite up to date, while PostgreSQL has nothing to do."""
    with postgres.database() as url:
        make(tmp_path, "0001")
        settle(tmp_path, url)
        with limits_at("INSERT INTO holders") as limits:
            opening.upgrade(tmp_path)
    assert limits == {("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")}


def test_no_ledger_in_postgres_is_changed_while_somebody_is_connected(postgres: Postgres, tmp_path: Path) -> None:
    with postgres.database() as url:
        settle(tmp_path, url)
        before = make(tmp_path, "0002")
        with inside(tmp_path) as connection:
            connection.execute(select(1))
            with pytest.raises(LedgerInUse, match="stop them first"):
                opening.upgrade(tmp_path)
            assert rows_of(connection) == before


def test_a_newer_ledger_is_refused_by_everybody(place: Path) -> None:
    Ledger.open(place).close()
    with inside(place) as connection:
        connection.execute(REVISION.update().values(number="9999"))
    tries = [Ledger.open, Ledger.open_beside, opening.upgrade]
    for open_ in tries:
        with pytest.raises(LedgerOutdated, match=r"does not know \(9999\)"):
            open_(place)
    with inside(place) as connection:
        assert migrations.revision_of(connection) == "9999"
        assert connection.execute(select(CERTIFICATES.c.id)).all() == []


def test_a_database_that_is_somebody_elses_is_left_alone(place: Path) -> None:
    with inside(place) as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(LedgerOutdated, match="another version"):
        Ledger.open(place)
    with inside(place) as connection:
        assert inspect(connection).get_table_names() == ["theirs"]
