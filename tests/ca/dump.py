"""What stands in a ledger, to be compared before and after."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CERTIFICATES, METADATA, CertificateState

COUNTERS = frozenset({"ended_transactions", "tries"})
"""Tables that a refusal must change: who has tried what, and which transaction ids are spent."""


def dump(book: Ledger, without: Collection[str] = COUNTERS) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but these."""
    with book.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in METADATA.sorted_tables
            if table.name not in without
        }


def certificates(book: Ledger) -> set[bytes]:
    """The DER of every one that was ever issued."""
    with book.read() as connection:
        return set(connection.execute(select(CERTIFICATES.c.der)).scalars())


def revocations(book: Ledger) -> set[bytes]:
    """The DER of every one that was revoked."""
    revoked = select(CERTIFICATES.c.der).where(CERTIFICATES.c.state == CertificateState.REVOKED)
    with book.read() as connection:
        return set(connection.execute(revoked).scalars())
