"""Transactions: what ties a `certConf` to the `kup` it answers (RFC 9483 §3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import REFUSED_TRANSACTIONS, TRANSACTIONS, UPDATES, UpdateState
from kiosk.ca.succession import Grant
from kiosk.cmp.vocabulary import FailInfo


@dataclass(frozen=True, slots=True)
class Transaction:
    """One that a `kup` has opened."""

    id: bytes
    signer: int
    update: int
    certificate: int
    nonce: bytes
    closed: bool


def check_unused(connection: Connection, transaction_id: bytes) -> None:
    """A first message must bring an id nobody has used: a recorded request, sent again, stops here.

    Raises:
        Refusal: it is in use, or was.
    """
    refused = select(REFUSED_TRANSACTIONS).where(REFUSED_TRANSACTIONS.c.id == transaction_id)
    if find(connection, transaction_id) is not None or connection.execute(refused).one_or_none() is not None:
        raise Refusal(FailInfo.TRANSACTION_ID_IN_USE, "the transaction id has been used")


def open_transaction(
    connection: Connection, transaction_id: bytes, signer: int, grant: Grant, nonce: bytes, now: datetime
) -> None:
    """Remember what was granted, to whom, and the nonce that the confirmation has to return."""
    row = {
        "id": transaction_id,
        "signer": signer,
        "update": grant.update,
        "certificate": grant.certificate_id,
        "nonce": nonce,
        "closed": False,
        "opened_at": now,
    }
    connection.execute(insert(TRANSACTIONS).values(row))


def remember_refused(connection: Connection, transaction_id: bytes, now: datetime) -> None:
    """Remember the id of a request that was refused: a recording of it must not succeed on a better day."""
    connection.execute(insert(REFUSED_TRANSACTIONS).values(id=transaction_id, refused_at=now))


def forget(connection: Connection, before: datetime) -> None:
    """Forget what began before this moment, twice the time window ago, and waits for no confirmation.

    A recording of it is stopped by its message time from now on.
    """
    waiting = select(UPDATES.c.id).where(UPDATES.c.id == TRANSACTIONS.c.update, UPDATES.c.state == UpdateState.ISSUED)
    connection.execute(delete(TRANSACTIONS).where(TRANSACTIONS.c.opened_at < before, ~waiting.exists()))
    connection.execute(delete(REFUSED_TRANSACTIONS).where(REFUSED_TRANSACTIONS.c.refused_at < before))


def find(connection: Connection, transaction_id: bytes) -> Transaction | None:
    """The transaction with this id, open or closed."""
    row = connection.execute(select(TRANSACTIONS).where(TRANSACTIONS.c.id == transaction_id)).one_or_none()
    if row is None:
        return None
    return Transaction(row.id, row.signer, row.update, row.certificate, row.nonce, row.closed)


def close(connection: Connection, transaction_id: bytes) -> None:
    """No further message belongs to it."""
    connection.execute(TRANSACTIONS.update().where(TRANSACTIONS.c.id == transaction_id).values(closed=True))
