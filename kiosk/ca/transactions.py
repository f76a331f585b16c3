"""Transactions: what ties the messages of one request together (RFC 9483 §3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, Table, bindparam, delete, insert, or_, select, union_all

from kiosk.ca.policy import Policy
from kiosk.ca.promises import PENDING
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import ENDED_TRANSACTIONS, PROMISES, TRANSACTIONS
from kiosk.cmp.vocabulary import PKCS10_REQUEST_ID, BodyType, FailInfo

# Made once, as in `kiosk.ca.ledger`.
_BY_ID = select(TRANSACTIONS).where(TRANSACTIONS.c.id == bindparam("wanted"))
_ENTER = insert(TRANSACTIONS)
_GO_ON = (
    TRANSACTIONS.update()
    .where(TRANSACTIONS.c.id == bindparam("wanted"))
    .values(nonce=bindparam("last_nonce"), certificate=bindparam("issued"))
)
_CLOSE = TRANSACTIONS.update().where(TRANSACTIONS.c.id == bindparam("wanted")).values(closed=True)
_USED = union_all(
    select(ENDED_TRANSACTIONS.c.id).where(ENDED_TRANSACTIONS.c.id == bindparam("wanted")),
    select(TRANSACTIONS.c.id).where(TRANSACTIONS.c.id == bindparam("wanted")),
)
_END = insert(ENDED_TRANSACTIONS)
_SIGNER_OF = select(PROMISES.c.by_certificate).where(
    TRANSACTIONS.c.id == bindparam("wanted"), TRANSACTIONS.c.promise == PROMISES.c.id
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One whose first message was granted, or waits for a teller."""

    id: bytes
    promise: int
    certificate: int | None
    """Whose confirmation is waited for; None before one was issued."""
    body_type: BodyType
    """Of the first message."""
    modified: bool
    """Whether the certificate will lack something that was asked for."""
    implicit: bool
    """Whether it is to count as confirmed as soon as it is issued."""
    nonce: bytes
    """What the next message has to return."""
    closed: bool = False

    @property
    def request_id(self) -> int:
        """The certReqId of the one request."""
        return PKCS10_REQUEST_ID if self.body_type is BodyType.P10CR else 0

    @property
    def request_ids(self) -> frozenset[int]:
        """Those that a client may name: 0 as well where it has asked in PKCS #10, as older OpenSSL does."""
        return frozenset({self.request_id, 0})


def check_unused(connection: Connection, transaction_id: bytes) -> None:
    """A first message must bring an id nobody has used: a recorded request, sent again, stops here.

    Raises:
        Refusal: it is in use, or was.
    """
    if connection.execute(_USED, {"wanted": transaction_id}).first() is not None:
        raise Refusal(FailInfo.TRANSACTION_ID_IN_USE, "the transaction id has been used")


def enter(connection: Connection, transaction: Transaction, now: datetime) -> None:
    """Remember what was granted, to whom, and the nonce that the next message has to return."""
    row = {
        "id": transaction.id,
        "promise": transaction.promise,
        "certificate": transaction.certificate,
        "body_type": transaction.body_type,
        "modified": transaction.modified,
        "implicit": transaction.implicit,
        "nonce": transaction.nonce,
        "closed": transaction.closed,
        "opened_at": now,
    }
    connection.execute(_ENTER, row)


def go_on(connection: Connection, transaction_id: bytes, nonce: bytes, certificate: int | None) -> None:
    """An answer went out that another message may follow, with this certificate, if any."""
    connection.execute(_GO_ON, {"wanted": transaction_id, "last_nonce": nonce, "issued": certificate})


def remember_ended(connection: Connection, transaction_id: bytes, now: datetime) -> None:
    """Remember the id of a request that has had its last answer: a recording of it must not succeed on a better day."""
    connection.execute(_END, {"id": transaction_id, "ended_at": now})


def forget(connection: Connection, policy: Policy, now: datetime) -> None:
    """Forget what began twice the time window ago and waits for nothing.

    A recording of it is stopped by its message time from now on. Who was told to wait hears the decision, however late,
    for as long again as it may have taken.
    """
    before, long_before = now - 2 * policy.time_window, now - 2 * policy.approval_time
    awaited = select(PROMISES.c.id).where(PROMISES.c.id == TRANSACTIONS.c.promise, PROMISES.c.state.in_(PENDING))
    told = or_(TRANSACTIONS.c.closed, TRANSACTIONS.c.certificate.is_not(None), TRANSACTIONS.c.opened_at < long_before)
    _delete(connection, TRANSACTIONS, TRANSACTIONS.c.opened_at < before, ~awaited.exists(), told)
    _delete(connection, ENDED_TRANSACTIONS, ENDED_TRANSACTIONS.c.ended_at < before)


def find(connection: Connection, transaction_id: bytes) -> Transaction | None:
    """The transaction with this id, open or closed."""
    row = connection.execute(_BY_ID, {"wanted": transaction_id}).one_or_none()
    return None if row is None else _read(row)


def signer_of(connection: Connection, transaction_id: bytes) -> int | None:
    """The certificate that began a transaction, if one did."""
    number: int | None = connection.execute(_SIGNER_OF, {"wanted": transaction_id}).scalar_one_or_none()
    return number


def close(connection: Connection, transaction_id: bytes) -> None:
    """No further message belongs to it."""
    connection.execute(_CLOSE, {"wanted": transaction_id})


def _delete(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> None:
    """Delete rows, but for those that others are deleting or changing: two who forget must not wait for each other."""
    old = select(table.c.id).where(*conditions).with_for_update(of=table, skip_locked=True)
    connection.execute(delete(table).where(table.c.id.in_(old)))


def _read(row: Row[tuple[object, ...]]) -> Transaction:
    return Transaction(
        id=row.id,
        promise=row.promise,
        certificate=row.certificate,
        body_type=BodyType(row.body_type),
        modified=row.modified,
        implicit=row.implicit,
        nonce=row.nonce,
        closed=row.closed,
    )
