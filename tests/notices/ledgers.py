"""Holders and certificates in a ledger, as rows: nothing about notices looks into a certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CERTIFICATES, HOLDERS, NOTICES, CertificateState, NoticeState

OURS, ANOTHERS = b"o" * 32, b"a" * 32


def enter_holder(connection: Connection, holder: str, **changes: object) -> None:
    """A user with an address, unless told otherwise."""
    usual = {"id": holder, "kind": "user", "subject": b"", "name": f"name of {holder}", "language": "ja"}
    connection.execute(insert(HOLDERS).values(usual | {"email": f"{holder}@example.co.jp"} | changes))


def enter_certificate(connection: Connection, holder: str, not_after: datetime, **changes: object) -> int:
    """A valid one, unless told otherwise; answers with its number."""
    digest = hashlib.sha256(f"{holder} {not_after} {changes}".encode())
    usual = {
        "issuer": OURS,
        "serial": digest.hexdigest()[:32],
        "fingerprint": digest.digest(),
        "key_hash": digest.digest(),
        "holder": holder,
        "state": CertificateState.VALID,
        "not_after": not_after,
        "made_at": not_after - timedelta(days=365),
        "changed_at": not_after - timedelta(days=365),
        "der": b"",
    }
    number: int = connection.execute(
        insert(CERTIFICATES).values(usual | changes).returning(CERTIFICATES.c.id)
    ).scalar_one()
    return number


def enter(book: Ledger, holder: str, not_after: datetime, **changes: object) -> int:
    """A holder with one valid certificate; `changes` are the holder's."""
    with book.begin() as connection:
        enter_holder(connection, holder, **changes)
        return enter_certificate(connection, holder, not_after)


def states(book: Ledger) -> Sequence[tuple[str, int, NoticeState]]:
    """Of every notice: whose, which day, and what became of it."""
    with book.read() as connection:
        rows = connection.execute(
            select(CERTIFICATES.c.holder, NOTICES.c.day, NOTICES.c.state)
            .join_from(NOTICES, CERTIFICATES)
            .order_by(CERTIFICATES.c.holder, NOTICES.c.day)
        ).all()
    return [(row.holder, row.day, NoticeState(row.state)) for row in rows]
