"""Which database the ledger is in, and how either kind is opened and used.

SQLite in the CA's directory is for one CA process. A PostgreSQL that `ledger.toml` names is for any number of them, on
any number of machines: `url = "postgresql://HOST/DATABASE"`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from kiosk.toml_files import NOT_UNDERSTOOD

SETTINGS_FILE = "ledger.toml"
"""Its name in the CA's directory; where there is none the ledger is in SQLite."""

READS_ONLY = "kiosk_reads_only"
"""The execution option of transactions that only read."""

APPLICATION = "kiosk ca"
"""By which PostgreSQL knows connections of CA processes and commands."""

_BUSY_SECONDS = 10
_POOL_SECONDS = 5

_LIBPQ = {
    "connect_timeout": 5,
    # A machine that is gone says nothing: whoever waits for it must notice.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Parameters of connections (PostgreSQL's manual, "Parameter Key Words"), where the URL has no others."""

_DRIVERS = ("postgresql", "postgresql+psycopg")
_SESSION = {
    # Whoever waits for a row waits for somebody who holds it for milliseconds; longer means that he has been lost.
    "lock_timeout": "5s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "10s",
}
_PATIENT = ("statement_timeout", "idle_in_transaction_session_timeout")
_TAKE_TIME = text("SELECT " + ", ".join(f"set_config('{name}', '10min', true)" for name in _PATIENT))
_BEGIN_SESSION = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items())
_BE_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"

_OVERTAKEN = ("23505", "40001", "40P01")
"""unique_violation, serialization_failure, deadlock_detected: somebody else was a moment faster."""
_AWAY = ("08", "25006", "25P03", "53300", "55P03", "57")
"""Connections lost, refused or too many, a standby, a lock that nobody gives back, an operator who intervenes."""
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


class LedgerInUse(Exception):
    """Another CA process has this ledger open."""


class LedgerDamaged(Exception):
    """The ledger cannot be used; the message says why, and never a password."""


class LedgerOutdated(LedgerDamaged):
    """The ledger was made by another version of this program; the message says what to do."""


class LedgerAway(LedgerDamaged):
    """The database does not answer now; what was under way has not happened, or, at the very end of it, perhaps has."""


class Overtaken(LedgerAway):
    """Somebody else was a moment faster, so nothing has happened: asked again at once, it may go well."""


class _Settings(msgspec.Struct, forbid_unknown_fields=True):
    url: str


def configured_url(directory: Path) -> URL | None:
    """The PostgreSQL that `ledger.toml` in a CA's directory names; None where there is no such file.

    Raises:
        LedgerDamaged: the file is not understood; the message repeats nothing of what stands in it.
        OSError: it cannot be read.
    """
    path = directory / SETTINGS_FILE
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=_Settings)
    except FileNotFoundError:
        return None
    except NOT_UNDERSTOOD as error:
        raise LedgerDamaged(f"{path} is not understood: {error}") from error
    url = _read_url(settings.url)
    if url is None or url.drivername not in _DRIVERS:
        raise LedgerDamaged(f'{path} is not understood: url has to be like "postgresql://HOST/DATABASE"')
    return url.set(drivername=_DRIVERS[-1])


def _read_url(text: str) -> URL | None:
    """None where it is none; what is wrong with it is not told, because the password may be."""
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        return None


def shown(url: URL) -> str:
    """A URL as far as it may be told: without a password, wherever one may stand in it."""
    return url.set(drivername=_DRIVERS[0], password=None, query={}).render_as_string()


def sqlite_engine(path: Path, *, enforcing: bool = True) -> Engine:
    """SQLite that is durable, has one writer, and keeps to foreign keys unless told otherwise."""

    def configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        # The driver's own idea of when a transaction begins is switched off; `_begin_in_sqlite` begins it.
        connection.isolation_level = None
        for setting in ("journal_mode=WAL", "synchronous=FULL", f"foreign_keys={int(enforcing)}"):
            connection.execute(f"PRAGMA {setting}")

    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _BUSY_SECONDS},
        hide_parameters=True,
        # The connection used last still has its pages in mind; taken in turn, each would read anew what another wrote.
        pool_use_lifo=True,
    )
    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", _begin_in_sqlite)
    return engine


def postgres_engine(url: URL) -> Engine:
    """PostgreSQL whose commits are durable, and whose connections are looked at before they are used.

    What a transaction reads is what has been committed when it reads: whoever decides by it locks first.
    """
    engine = create_engine(
        url,
        # Whatever the URL says: by its name `kiosk ca migrate` knows whether a CA process is at work.
        connect_args={name: value for name, value in _LIBPQ.items() if name not in url.query}
        | {"application_name": APPLICATION},
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=_POOL_SECONDS,
    )
    event.listen(engine, "connect", _configure_postgres)
    return engine


def reading(engine: Engine) -> Engine:
    """The same database, for transactions that only read and see one moment of it."""
    if is_postgres(engine):
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine.execution_options(**{READS_ONLY: True})


def is_postgres(database: Engine | Connection) -> bool:
    """Whether others may write while a transaction does."""
    return database.dialect.name == "postgresql"


def take_time(connection: Connection) -> None:
    """Let this transaction take minutes: for who reads a whole file or ledger, and has locked no holder."""
    if is_postgres(connection):
        connection.execute(_TAKE_TIME)


@contextmanager
def told_apart() -> Iterator[None]:
    """Give names of their own to what is only a matter of trying again.

    Raises:
        Overtaken: a transaction was undone only because another one came first.
        LedgerAway: the database could not be reached, or was too busy.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        if isinstance(error, DBAPIError) and _sqlstate(error) in _OVERTAKEN:
            raise Overtaken("somebody else was a moment faster; please try again") from error
        if _is_away(error):
            raise LedgerAway(f"the ledger's database does not answer: {said(error)}") from error
        raise


def said(error: DBAPIError | PoolTimeout) -> str:
    """What a database said, in one line and without what it was asked."""
    return " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())


def _is_away(error: DBAPIError | PoolTimeout) -> bool:
    if isinstance(error, PoolTimeout) or error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return str(getattr(error.orig, "sqlite_errorname", "")).startswith(_BUSY)
    state = _sqlstate(error)
    # Before there is a session there is no code either.
    return isinstance(error, OperationalError) if state is None else state.startswith(_AWAY)


def _sqlstate(error: DBAPIError) -> str | None:
    """What PostgreSQL says that it was (its manual, appendix A)."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def _begin_in_sqlite(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get(READS_ONLY, False)
    connection.exec_driver_sql("BEGIN DEFERRED" if reads_only else "BEGIN IMMEDIATE")


def _configure_postgres(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(_BEGIN_SESSION)
    cursor.execute(_BE_DURABLE)
    cursor.close()
    connection.commit()
