"""Promises: one for each asker and new key, and how far it has come (design decision 7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from cryptography import x509
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Update,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    union_all,
)

from kiosk.ca.database import is_postgres
from kiosk.ca.ledger import key_hash
from kiosk.ca.schema import CERTIFICATES, CODES, HOLDERS, PROMISES, PromiseKind, PromiseState
from kiosk.certificates import PublicKey, public_key_of
from kiosk.cmp.requests import public_key_der

PENDING = (PromiseState.WAITING, PromiseState.ISSUED)
"""States out of which time alone leads."""

# Made once, as in `kiosk.ca.ledger`.
_BY_NUMBER = select(PROMISES).where(PROMISES.c.id == bindparam("wanted"))
_ENTER = insert(PROMISES).returning(PROMISES.c.id)
_WITH_KEY = union_all(
    select(PROMISES.c.id).where(PROMISES.c.key_hash == bindparam("wanted")),
    select(CERTIFICATES.c.id).where(CERTIFICATES.c.key_hash == bindparam("wanted")),
).limit(1)
_OF_CERTIFICATE = (
    select(PROMISES)
    .where(PROMISES.c.by_certificate == bindparam("certificate"), PROMISES.c.kind == bindparam("kind"))
    .order_by(PROMISES.c.id)
)
# The index is of pending promises only, and a database takes it only where it reads these states in the statement.
_IS_PENDING = PROMISES.c.state.in_([literal_column(f"'{state}'") for state in PENDING])
_OVERDUE = select(PROMISES).where(_IS_PENDING, PROMISES.c.deadline < bindparam("now"))
_WITH_HOLDER = (
    PROMISES.outerjoin(CERTIFICATES, PROMISES.c.by_certificate == CERTIFICATES.c.id)
    .outerjoin(CODES, PROMISES.c.by_code == CODES.c.id)
    .join(HOLDERS, HOLDERS.c.id == func.coalesce(CERTIFICATES.c.holder, CODES.c.holder))
)
_LOCK_OVERDUE = (
    _OVERDUE.with_only_columns(HOLDERS.c.id)
    .select_from(_WITH_HOLDER)
    .with_for_update(of=HOLDERS, key_share=True, skip_locked=True)
)
_OVERDUE_OF = _OVERDUE.select_from(_WITH_HOLDER).where(HOLDERS.c.id.in_(bindparam("holders", expanding=True)))
_HOLDER_OF = select(HOLDERS.c.id).select_from(_WITH_HOLDER).where(PROMISES.c.id == bindparam("wanted"))

_MOST_ROWS = 2**31 - 1
"""Larger numbers no row has; PostgreSQL would not even look for them."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever can be promised a certificate: an old certificate, a one-time code, or a certificate that stays."""

    kind: PromiseKind
    number: int
    """Of the certificate or code in the ledger."""
    holder: str
    subject: x509.Name
    last_second: datetime | None = None
    """Of the certificate that is replaced, where one is."""

    @property
    def columns(self) -> dict[str, int]:
        """Where the number stands in a row."""
        return {"by_code" if self.kind is PromiseKind.CODE else "by_certificate": self.number}


@dataclass(frozen=True, slots=True)
class Promise:
    """One row."""

    id: int
    kind: PromiseKind
    by_certificate: int | None
    by_code: int | None
    key_hash: bytes
    key_der: bytes
    new: int | None
    """The certificate issued last, if any was."""
    state: PromiseState
    approved: bool
    """Whether a teller has said yes to this key, once and for all."""
    deadline: datetime
    made_at: datetime

    @property
    def key(self) -> PublicKey:
        """The key that is to be certified."""
        return public_key_of(self.key_der)

    @property
    def is_pending(self) -> bool:
        """Whether something is still waited for."""
        return self.state in PENDING


def read_promise(row: Row[tuple[object, ...]]) -> Promise:
    """A row of the table."""
    return Promise(
        id=row.id,
        kind=PromiseKind(row.kind),
        by_certificate=row.by_certificate,
        by_code=row.by_code,
        key_hash=row.key_hash,
        key_der=row.key,
        new=row.new,
        state=PromiseState(row.state),
        approved=row.approved,
        deadline=row.deadline,
        made_at=row.made_at,
    )


def get(connection: Connection, number: int) -> Promise:
    """The promise that other rows refer to by this number."""
    return read_promise(connection.execute(_BY_NUMBER, {"wanted": number}).one())


def find(connection: Connection, number: int) -> Promise | None:
    """The promise with this number, if there is one."""
    if not 0 < number <= _MOST_ROWS:
        return None
    row = connection.execute(_BY_NUMBER, {"wanted": number}).one_or_none()
    return None if row is None else read_promise(row)


def is_known(connection: Connection, wanted: bytes) -> bool:
    """Whether anybody has brought the key with this hash before, or it is in any certificate of the ledger."""
    return connection.execute(_WITH_KEY, {"wanted": wanted}).first() is not None


def updates_of(connection: Connection, old: int) -> tuple[Promise, ...]:
    """Every promise to replace this certificate."""
    return _of_certificate(connection, old, PromiseKind.UPDATE)


def promises_of(connection: Connection, asker: Asker) -> tuple[Promise, ...]:
    """Every promise to this asker."""
    if asker.kind is PromiseKind.CODE:
        return _select(connection, PROMISES.c.by_code == asker.number)
    return _of_certificate(connection, asker.number, asker.kind)


def holder_of(connection: Connection, promise: Promise) -> str:
    """To whom it was made."""
    holder: str = connection.execute(_HOLDER_OF, {"wanted": promise.id}).scalar_one()
    return holder


def is_any_overdue(connection: Connection, now: datetime) -> bool:
    """Whether there is one for which nothing came in time; to be asked by who only reads."""
    return connection.execute(_OVERDUE, {"now": now}).first() is not None


def overdue(connection: Connection, now: datetime) -> tuple[Promise, ...]:
    """Those for which nothing came in time; where others write too, of the holders about whom nobody else decides now.

    Those holders are then this transaction's to decide about. Whoever has another one ends such promises himself.
    """
    values: dict[str, object] = {"now": now}
    if not is_postgres(connection):
        return tuple(read_promise(row) for row in connection.execute(_OVERDUE, values))
    holders = set(connection.execute(_LOCK_OVERDUE, values).scalars())
    if not holders:
        return ()
    # Read again: what was read on the way to a lock is from before it.
    rows = connection.execute(_OVERDUE_OF, values | {"holders": sorted(holders)})
    return tuple(read_promise(row) for row in rows)


def of_code(connection: Connection, code: int) -> Promise | None:
    """The one promise to a one-time code."""
    return next(iter(_select(connection, PROMISES.c.by_code == code)), None)


def of_key(connection: Connection, wanted: bytes) -> Promise | None:
    """The one promise for the key with this hash."""
    return next(iter(_select(connection, PROMISES.c.key_hash == wanted)), None)


def waiting(connection: Connection, now: datetime) -> tuple[Promise, ...]:
    """Those about which a teller has not decided, and still can."""
    undecided = (PROMISES.c.state == PromiseState.WAITING, ~PROMISES.c.approved)
    return _select(connection, *undecided, PROMISES.c.deadline >= now)


def enter(
    connection: Connection,
    asker: Asker,
    key: PublicKey,
    *,
    state: PromiseState,
    deadline: datetime,
    now: datetime,
    new: int | None = None,
) -> int:
    """A new row; answers with its number."""
    row = {
        **asker.columns,
        "kind": asker.kind,
        "key_hash": key_hash(key),
        "key": public_key_der(key),
        "new": new,
        "state": state,
        "approved": False,
        "deadline": deadline,
        "made_at": now,
        "changed_at": now,
    }
    number: int = connection.execute(_ENTER, row).scalar_one()
    return number


def move(connection: Connection, promise: Promise, state: PromiseState, now: datetime, **values: object) -> bool:
    """Change a row as long as it still is as `promise` has it; answers whether it was.

    The one place where a state changes: one UPDATE, so that of two who want different things one finds nothing.
    """
    still = {"number": promise.id, "was": promise.state, "had": promise.new}
    becomes = {"state": state, "changed_at": now, **values}
    change = connection.execute(_move(frozenset(becomes)), still | {f"to_{name}": becomes[name] for name in becomes})
    return change.rowcount == 1


@cache
def _move(columns: frozenset[str]) -> Update:
    still = (
        PROMISES.c.id == bindparam("number"),
        PROMISES.c.state == bindparam("was"),
        PROMISES.c.new.is_not_distinct_from(bindparam("had", type_=Integer)),
    )
    return PROMISES.update().where(*still).values({name: bindparam(f"to_{name}") for name in sorted(columns)})


def _of_certificate(connection: Connection, number: int, kind: PromiseKind) -> tuple[Promise, ...]:
    rows = connection.execute(_OF_CERTIFICATE, {"certificate": number, "kind": kind})
    return tuple(read_promise(row) for row in rows)


def _select(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[Promise, ...]:
    wanted = select(PROMISES).where(*conditions).order_by(PROMISES.c.id)
    return tuple(read_promise(row) for row in connection.execute(wanted))
