"""From a CA's directory to a database whose tables are those of this version of the program.

SQLite's are brought up to date by whoever serves it, since nobody else then does; PostgreSQL's by a command only,
because CA processes of the older version may be at work on other machines.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kiosk.ca import database, migrations
from kiosk.ca.database import LedgerDamaged, LedgerInUse, LedgerOutdated

SQLITE_FILE = "ledger.sqlite"
LOCK_FILE = "ledger.lock"
"""Held by whoever serves a ledger in SQLite."""

# Of this program alone in its database: 4c 65 64 67 65 72 is "Ledger".
_ALONE = text("SELECT pg_advisory_xact_lock(x'4c6564676572'::bigint)")
# Also while nothing is asked of this database, because a ledger in SQLite is brought up to date before it is copied.
_NO_LIMITS = text(
    "SELECT set_config(name, '0', true) "
    "FROM unnest(ARRAY['statement_timeout', 'idle_in_transaction_session_timeout']) AS name"
)
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = :ours AND pid <> pg_backend_pid()"
)


def take_lock(path: Path) -> int:
    """A lock that only one process has; the kernel frees it however that ends.

    Raises:
        LedgerInUse: another one has it.
        OSError: there can be none.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise LedgerInUse(f"another CA process has {path.parent} open") from error
    return descriptor


def open_sqlite(directory: Path, *, alone: bool) -> Engine:
    """A ledger in this directory, which is made where there is none; `alone` tells that nobody else serves it.

    Raises:
        LedgerOutdated: another version has made it, and it may or can not be brought up to date.
        LedgerDamaged: it cannot be used.
        OSError: it cannot be written.
    """
    path = directory / SQLITE_FILE
    if alone:
        _bring_up_to_date(path)
    elif _look_into_sqlite(path) is not None:
        try:
            upgrade(directory)
        except LedgerInUse as error:
            raise LedgerOutdated(f"a CA process of an older version has {directory} open: restart it first") from error
    return database.sqlite_engine(path)


def open_postgres(url: URL, directory: Path) -> Engine:
    """A ledger in this database, which is made where there is none: but not where one in SQLite would be forgotten.

    Raises:
        LedgerOutdated: another version has made it.
        LedgerDamaged: it cannot be used.
    """
    engine, place = database.postgres_engine(url), database.shown(url)
    with _given_back(engine), _usable(place), engine.begin() as connection:
        if migrations.revision_of(connection) is None:
            _check_none_is_forgotten(directory / SQLITE_FILE, place)
            connection.execute(_ALONE)
        if _make_or_look(connection, place) is not None:
            raise LedgerOutdated(
                f"{place} was made by an older version of this program: stop every CA process, back it up, "
                "and run kiosk ca migrate"
            )
    return engine


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done to a ledger."""

    before: str
    """The revision that it had."""
    copied: bool = False
    """Whether it is another ledger now: one in PostgreSQL, with everything that is in SQLite."""


def upgrade(directory: Path) -> Upgraded:
    """Bring the ledger of a CA's directory up to date, while nobody uses it.

    A PostgreSQL that is empty gets what is in SQLite in the directory, where there is that; it stays there, too.

    Raises:
        LedgerInUse: CA processes have it open.
        LedgerOutdated: a newer version has made it.
        LedgerDamaged: it cannot be used.
        OSError: it cannot be written.
    """
    url = database.configured_url(directory)
    if url is not None:
        return _upgrade_postgres(url, directory)
    path = directory / SQLITE_FILE
    with _served_by_nobody(directory):
        return Upgraded(_bring_up_to_date(path))


def _upgrade_postgres(url: URL, directory: Path) -> Upgraded:
    engine, place = database.postgres_engine(url), database.shown(url)
    with _closed(engine), _usable(place), engine.begin() as connection:
        connection.execute(_NO_LIMITS)
        connection.execute(_ALONE)
        if migrations.revision_of(connection) is None and (directory / SQLITE_FILE).exists():
            return _take_over(connection, directory)
        older = _make_or_look(connection, place)
        if older is None:
            return Upgraded(migrations.NEWEST)
        others: int = connection.execute(_OTHERS, {"ours": database.APPLICATION}).scalar_one()
        if others:
            raise LedgerInUse(f"CA processes have {others} connections to {place} open: stop them first")
        migrations.upgrade(connection)
        return Upgraded(older)


def _take_over(connection: Connection, directory: Path) -> Upgraded:
    """Copy a ledger in SQLite, brought up to date, into an empty PostgreSQL."""
    path = directory / SQLITE_FILE
    with _served_by_nobody(directory):
        before = _bring_up_to_date(path)
        source = database.sqlite_engine(path)
        with _closed(source), database.reading(source).begin() as reading:
            migrations.copy(reading, connection)
    return Upgraded(before, copied=True)


def _bring_up_to_date(path: Path) -> str:
    """A ledger in SQLite that nobody serves; answers with its revision before."""
    older = _look_into_sqlite(path)
    if older is not None:
        _upgrade_sqlite(path, older)
    return older or migrations.NEWEST


def _upgrade_sqlite(path: Path, older: str) -> None:
    """In one transaction, and after a copy has been laid beside it."""
    # Tables are made anew under the same name, which foreign keys would take for the end of what they refer to.
    engine = database.sqlite_engine(path, enforcing=False)
    with _closed(engine), _usable(str(path)), engine.begin() as connection:
        _copy(path, path.with_name(f"{path.name}.{older}"))
        migrations.upgrade(connection)
        if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            raise LedgerDamaged(f"{path} refers to rows that are not there, and was left as it is")


def _copy(source: Path, target: Path) -> None:
    """Whole, also where a part of it is in its write-ahead log still, and on the disk before anything is changed."""
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _served_by_nobody(directory: Path) -> Iterator[None]:
    lock = take_lock(directory / LOCK_FILE)
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _closed(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()


@contextmanager
def _given_back(engine: Engine) -> Iterator[None]:
    """No connection stays open where a ledger cannot be opened."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


@contextmanager
def _usable(place: str) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        raise LedgerDamaged(f"{place} cannot be used: {database.said(error)}") from error


def _check_none_is_forgotten(path: Path, place: str) -> None:
    """A CA that suddenly knows none of its certificates would leave everybody without one.

    Raises:
        LedgerDamaged: there is one.
    """
    if path.exists():
        raise LedgerDamaged(
            f"{place} is empty, but there is a ledger in {path}: kiosk ca migrate copies it; where it is not wanted, "
            "move it away"
        )


def _look_into_sqlite(path: Path) -> str | None:
    path.touch(mode=0o600)
    engine = database.sqlite_engine(path)
    with _closed(engine), _usable(str(path)), engine.begin() as connection:
        return _make_or_look(connection, str(path))


def _make_or_look(connection: Connection, place: str) -> str | None:
    """Make the tables where there are none; answers with their revision if it is an older one.

    Raises:
        LedgerOutdated: they are those of a newer version, or of another program.
    """
    revision = migrations.revision_of(connection)
    if revision is None:
        migrations.make(connection)
    if revision in (None, migrations.NEWEST):
        return None
    if not migrations.is_older(revision):
        raise LedgerOutdated(
            f"{place} was made by another version of this program, which this one does not know ({revision}): "
            "use that one, or a newer one"
        )
    return revision
