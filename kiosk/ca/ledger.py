"""The ledger: who holds which certificate, in one durable database.

In SQLite one CA process serves it, in PostgreSQL any number of them. Tellers' commands look into it and change it
beside that, each in one short transaction.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, DateTime, Engine, Row, String, bindparam, func, insert, select

from kiosk.ca import audit, database, opening
from kiosk.ca.database import LedgerAway as LedgerAway  # what a ledger raises is found where it is
from kiosk.ca.database import LedgerDamaged as LedgerDamaged
from kiosk.ca.database import LedgerInUse as LedgerInUse
from kiosk.ca.database import LedgerOutdated as LedgerOutdated
from kiosk.ca.database import Overtaken as Overtaken
from kiosk.ca.profile import read_own
from kiosk.ca.schema import CERTIFICATES, CRLS, HOLDERS, CertificateState
from kiosk.certificates import Certificate, PublicKey
from kiosk.clock import Clock, system_clock
from kiosk.cmp.requests import public_key_der

REVOKED_STATES = (CertificateState.REVOKED, CertificateState.SUPERSEDED)
"""States of certificates that are on the CRL."""


# Statements that every renewal needs are made once: making one costs as much as running it.
_ENTRY = select(*(CERTIFICATES.c[name] for name in ("id", "der", "holder", "state", "reason")))
_BY_FINGERPRINT = _ENTRY.where(CERTIFICATES.c.fingerprint == bindparam("wanted"))
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
_IN_DATE = (
    select(func.count())
    .select_from(CERTIFICATES)
    .where(
        CERTIFICATES.c.holder == bindparam("wanted"),
        CERTIFICATES.c.issuer == bindparam("by"),
        CERTIFICATES.c.not_after >= bindparam("now"),
    )
)
_BY_NUMBER = _ENTRY.where(CERTIFICATES.c.id == bindparam("wanted"))
_STATE = select(CERTIFICATES.c.state, CERTIFICATES.c.reason).where(
    CERTIFICATES.c.id == bindparam("wanted"), CERTIFICATES.c.fingerprint == bindparam("known_as")
)
_LOCK_HOLDER = select(HOLDERS.c.id).where(HOLDERS.c.id == bindparam("wanted")).with_for_update(key_share=True)
_LOCK_CRL = select(CRLS.c.number).with_for_update()
# Not now(), which is when the transaction began, and so may be long before it came by a lock.
_CLOCK = select(func.clock_timestamp(type_=DateTime(timezone=True)))


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate as the ledger knows it."""

    id: int
    certificate: Certificate
    holder: str
    state: CertificateState
    reason: str | None


class Ledger:
    """An open ledger. Every method of the CA that changes it does so in one `begin()`, durable when that ends.

    Where it is in PostgreSQL others write meanwhile. Whoever decides about a holder locks that holder first.
    """

    def __init__(self, engine: Engine, *, lock: int | None = None, clock: Clock | None = None) -> None:
        self._engine = engine
        self._reading = database.reading(engine)
        self._lock = lock
        self._clock = system_clock if clock is None and not database.is_postgres(engine) else clock

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the ledger of a CA's directory to serve it, making it where there is none.

        In SQLite one of an older version is made a newer one, and kept beside it as it was.

        Raises:
            LedgerInUse: another process serves it, and it is in SQLite.
            LedgerOutdated: another version has made it.
            LedgerDamaged: it cannot be used; the message says what the database said.
            OSError: it cannot be written.
        """
        url = database.configured_url(directory)
        if url is not None:
            return cls(opening.open_postgres(url, directory))
        lock = opening.take_lock(directory / opening.LOCK_FILE)
        try:
            return cls(opening.open_sqlite(directory, alone=True), lock=lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def open_beside(cls, directory: Path) -> Self:
        """Open it for a teller's command, whether or not a server has it.

        Raises:
            LedgerOutdated: another version has made it.
            LedgerDamaged: it cannot be used.
            OSError: it cannot be written.
        """
        url = database.configured_url(directory)
        if url is not None:
            return cls(opening.open_postgres(url, directory))
        return cls(opening.open_sqlite(directory, alone=False))

    def told_by(self, clock: Clock) -> Self:
        """The same ledger by another clock, to be closed where this one is: for tests."""
        return type(self)(self._engine, clock=clock)

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

    def now(self, connection: Connection | None = None) -> datetime:
        """By the one clock of all who use this ledger: PostgreSQL's, or where it is in SQLite this machine's.

        Args:
            connection: The transaction for whose decision it is; None outside of any.

        Raises:
            LedgerAway: the database does not answer.
        """
        if self._clock is not None:
            return self._clock().astimezone(UTC)
        if connection is None:
            with self.read() as reading:
                return self.now(reading)
        moment: datetime = connection.execute(_CLOCK).scalar_one()
        return moment.astimezone(UTC)

    @contextmanager
    def begin(self, by: str = audit.SCHEDULE) -> Iterator[Connection]:
        """One transaction: all of it is durable at the end, or none of it has happened.

        What it enters in the audit was done by `by`.

        Raises:
            Overtaken: none of it has happened, because somebody else came first.
            LedgerAway: the database does not answer.
        """
        with database.told_apart(), self._engine.begin() as connection:
            yield connection.execution_options(**{audit.ACTOR: by})

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent look at it, which neither waits for whoever writes nor keeps anybody from writing.

        Raises:
            LedgerAway: the database does not answer.
        """
        with database.told_apart(), self._reading.begin() as connection:
            yield connection


def lock_holder(connection: Connection, holder: str) -> None:
    """Let nobody else decide about this holder before this transaction ends; to be done before anything is read.

    Nothing of a holder's certificates, codes and promises changes otherwise. SQLite has one writer at a time anyway.
    """
    if database.is_postgres(connection):
        connection.execute(_LOCK_HOLDER, {"wanted": holder}).all()


def discard_outdated(directory: Path) -> None:
    """Remove a ledger that this version cannot use: for a demo, whose ledger nobody misses.

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


def count_in_date(connection: Connection, issuer: bytes, holder: str, now: datetime) -> int:
    """How many certificates of `issuer` this holder was issued that have not ended, whatever became of them."""
    number: int = connection.execute(_IN_DATE, {"wanted": holder, "by": issuer, "now": now}).scalar_one()
    return number


def find_serial(connection: Connection, issuer: bytes, serial: str) -> Entry | None:
    """The certificate of `issuer` with this serial number, written as `Certificate.serial` has it."""
    wanted = (CERTIFICATES.c.issuer == issuer, CERTIFICATES.c.serial == serial)
    row = connection.execute(_ENTRY.where(*wanted)).one_or_none()
    return None if row is None else _entry(row)


def serial_text(number: int) -> str:
    """A serial number as the ledger has it: lower-case hex, whole bytes (`Certificate.serial`)."""
    digits = f"{number:x}"
    return digits.zfill(len(digits) + len(digits) % 2)


def get(connection: Connection, number: int) -> Entry:
    """The certificate that other rows refer to by this number."""
    return _entry(connection.execute(_BY_NUMBER, {"wanted": number}).one())


def look_again(connection: Connection, entry: Entry) -> Entry:
    """The same certificate with its state as this transaction sees it; the rest never changes."""
    row = connection.execute(_STATE, {"wanted": entry.id, "known_as": entry.certificate.fingerprint}).one()
    return replace(entry, state=CertificateState(row.state), reason=row.reason)


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
        # Whoever makes a CRL at this moment must not have read before, and mark it as up to date afterwards.
        if database.is_postgres(connection):
            connection.execute(_LOCK_CRL).all()
        connection.execute(_OUTDATE)
    return changed


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(row.id, read_own(row.der), row.holder, CertificateState(row.state), row.reason)
