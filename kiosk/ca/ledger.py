"""The ledger: who holds which certificate, in one durable database.

One CA process serves it; tellers' commands look into it and change it beside that, each in one short transaction.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, Row, String, bindparam, create_engine, event, func, insert, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry

from kiosk.ca import audit
from kiosk.ca.schema import CERTIFICATES, CRLS, METADATA, CertificateState
from kiosk.certificates import Certificate, PublicKey, read_certificate
from kiosk.cmp.requests import public_key_der

_BUSY_SECONDS = 10
_READS_ONLY = "kiosk_reads_only"
_VERSION = 3
"""Of the tables; a ledger of another one is not touched."""


REVOKED_STATES = (CertificateState.REVOKED, CertificateState.SUPERSEDED)
"""States of certificates that are on the CRL."""


# Statements that every renewal needs are made once: making one costs as much as running it.
_BY_FINGERPRINT = select(CERTIFICATES).where(CERTIFICATES.c.fingerprint == bindparam("wanted"))
_RECORD = insert(CERTIFICATES).returning(CERTIFICATES.c.id)
_CHANGE = (
    CERTIFICATES.update()
    .where(
        CERTIFICATES.c.id == bindparam("number"),
        CERTIFICATES.c.state == func.coalesce(bindparam("only_from", type_=String), CERTIFICATES.c.state),
    )
    .values(state=bindparam("to_state"), reason=bindparam("why"), changed_at=bindparam("now"))
)
_OUTDATE = CRLS.update().where(~CRLS.c.outdated).values(outdated=True)
_WITH_KEY = select(CERTIFICATES.c.id).where(CERTIFICATES.c.key_hash == bindparam("wanted")).limit(1)
_IN_DATE = (
    select(func.count())
    .select_from(CERTIFICATES)
    .where(
        CERTIFICATES.c.holder == bindparam("wanted"),
        CERTIFICATES.c.issuer == bindparam("by"),
        CERTIFICATES.c.not_after >= bindparam("now"),
    )
)
_BY_NUMBER = select(CERTIFICATES).where(CERTIFICATES.c.id == bindparam("wanted"))


class LedgerInUse(Exception):
    """Another CA process has this ledger open."""


class LedgerDamaged(Exception):
    """The ledger's file cannot be used."""


class LedgerOutdated(LedgerDamaged):
    """The ledger was made by another version of this program."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate as the ledger knows it."""

    id: int
    certificate: Certificate
    holder: str
    state: CertificateState
    reason: str | None


class Ledger:
    """An open ledger. Every method of the CA that changes it does so in one `begin()`, durable when that ends."""

    def __init__(self, engine: Engine, lock: int | None) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{_READS_ONLY: True})
        self._lock = lock

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the ledger in a directory to serve it, making it where there is none.

        Raises:
            LedgerInUse: another process serves it.
            LedgerDamaged: the file is no database that can be used; the message says what the database said.
            OSError: it cannot be written.
        """
        lock = _take_lock(directory / "ledger.lock")
        try:
            return cls(_open_engine(directory / "ledger.sqlite"), lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def open_beside(cls, directory: Path) -> Self:
        """Open it for a teller's command, whether or not a server has it.

        Raises:
            LedgerDamaged: the file is no database that can be used.
            OSError: it cannot be written.
        """
        return cls(_open_engine(directory / "ledger.sqlite"), None)

    def close(self) -> None:
        """Give it back."""
        self._engine.dispose()
        if self._lock is not None:
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Look into it.

        Raises:
            DatabaseError: it does not answer.
        """
        with self.read() as connection:
            connection.execute(select(CERTIFICATES.c.id).limit(1)).all()

    @contextmanager
    def begin(self, by: str = audit.SCHEDULE) -> Iterator[Connection]:
        """One transaction: all of it is durable at the end, or none of it has happened.

        What it enters in the audit was done by `by`.
        """
        with self._engine.begin() as connection:
            yield connection.execution_options(**{audit.ACTOR: by})

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent look at it, which neither waits for whoever writes nor keeps anybody from writing."""
        with self._reading.begin() as connection:
            yield connection


def discard_outdated(directory: Path) -> None:
    """Remove a ledger that another version has made: for a demo, whose ledger nobody misses.

    Raises:
        LedgerInUse: a server has it.
        LedgerDamaged: it cannot be used for another reason.
        OSError: it cannot be removed.
    """
    try:
        Ledger.open(directory).close()
    except LedgerOutdated:
        for path in directory.glob("ledger.sqlite*"):
            path.unlink()


def key_hash(key: PublicKey) -> bytes:
    """By which the ledger knows a public key: SHA-256 over its SubjectPublicKeyInfo."""
    return hashlib.sha256(public_key_der(key)).digest()


def issuer_hash(name_der: bytes) -> bytes:
    """By which the ledger knows an issuer: SHA-256 over the DER of its name."""
    return hashlib.sha256(name_der).digest()


def find(connection: Connection, fingerprint: bytes) -> Entry | None:
    """The certificate with this SHA-256."""
    row = connection.execute(_BY_FINGERPRINT, {"wanted": fingerprint}).one_or_none()
    return None if row is None else _entry(row)


def is_certified(connection: Connection, wanted: bytes) -> bool:
    """Whether a key with this hash is in any certificate of the ledger."""
    return connection.execute(_WITH_KEY, {"wanted": wanted}).first() is not None


def count_in_date(connection: Connection, issuer: bytes, holder: str, now: datetime) -> int:
    """How many certificates of `issuer` this holder was issued that have not ended, whatever became of them."""
    number: int = connection.execute(_IN_DATE, {"wanted": holder, "by": issuer, "now": now}).scalar_one()
    return number


def find_serial(connection: Connection, issuer: bytes, serial: str) -> Entry | None:
    """The certificate of `issuer` with this serial number, written as `Certificate.serial` has it."""
    wanted = (CERTIFICATES.c.issuer == issuer, CERTIFICATES.c.serial == serial)
    row = connection.execute(select(CERTIFICATES).where(*wanted)).one_or_none()
    return None if row is None else _entry(row)


def serial_text(number: int) -> str:
    """A serial number as the ledger has it: lower-case hex, whole bytes (`Certificate.serial`)."""
    digits = f"{number:x}"
    return digits.zfill(len(digits) + len(digits) % 2)


def get(connection: Connection, number: int) -> Entry:
    """The certificate that other rows refer to by this number."""
    return _entry(connection.execute(_BY_NUMBER, {"wanted": number}).one())


def record(
    connection: Connection, certificate: Certificate, *, holder: str, state: CertificateState, now: datetime
) -> int:
    """Enter a new certificate of a known holder; answers with its number."""
    number: int = connection.execute(_RECORD, _row(certificate, holder, state, now)).scalar_one()
    return number


def record_all(
    connection: Connection, new: Iterable[tuple[Certificate, str]], *, state: CertificateState, now: datetime
) -> None:
    """Enter new certificates, each with its known holder."""
    rows = [_row(certificate, holder, state, now) for certificate, holder in new]
    if rows:
        connection.execute(insert(CERTIFICATES), rows)


def _row(certificate: Certificate, holder: str, state: CertificateState, now: datetime) -> dict[str, object]:
    return {
        "issuer": issuer_hash(certificate.issuer_der),
        "serial": certificate.serial,
        "fingerprint": certificate.fingerprint,
        "key_hash": key_hash(certificate.public_key),
        "holder": holder,
        "state": state,
        "not_after": certificate.not_after,
        "made_at": now,
        "changed_at": now,
        "der": certificate.der,
    }


def change_state(
    connection: Connection,
    number: int,
    state: CertificateState,
    *,
    reason: str | None = None,
    only_from: CertificateState | None = None,
    now: datetime,
) -> bool:
    """Mark a certificate, if it is in the state `only_from` (None: in any); answers whether it was.

    `reason` is a CRLReason of RFC 5280 §5.3.1. Whatever is revoked outdates the CRL.
    """
    values = {"number": number, "only_from": only_from, "to_state": state, "why": reason, "now": now}
    changed = connection.execute(_CHANGE, values).rowcount == 1
    if changed and state in REVOKED_STATES:
        connection.execute(_OUTDATE)
    return changed


@lru_cache(maxsize=256)
def _read_own(data: bytes) -> Certificate:
    """A certificate of the ledger; in one renewal the same two are read again and again."""
    return read_certificate(data)


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(row.id, _read_own(row.der), row.holder, CertificateState(row.state), row.reason)


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise LedgerInUse(f"another CA process has {path.parent} open") from error
    return descriptor


def _open_engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    try:
        path.touch(mode=0o600)
        with engine.begin() as connection:
            _check_version(connection, path)
            METADATA.create_all(connection)
    except BaseException as error:
        engine.dispose()
        if isinstance(error, DatabaseError):
            raise LedgerDamaged(f"{path} cannot be used: {error.orig}") from error
        raise
    return engine


def _check_version(connection: Connection, path: Path) -> None:
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version == _VERSION:
        return
    if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
        raise LedgerOutdated(f"{path} was made by another version of this program")
    connection.exec_driver_sql(f"PRAGMA user_version = {_VERSION}")


def _configure(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    # The driver's own idea of when a transaction begins is switched off; `_begin` begins it.
    connection.isolation_level = None
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get(_READS_ONLY, False)
    connection.exec_driver_sql("BEGIN DEFERRED" if reads_only else "BEGIN IMMEDIATE")
