"""Holders' certificates that come from elsewhere than a renewal: the first one, and those of demos and tests."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from cryptography import x509

from kiosk.ca import audit, holders
from kiosk.ca.authority import Authority, load_authority
from kiosk.ca.ledger import Ledger, record
from kiosk.ca.schema import Act, CertificateState
from kiosk.certificates import Certificate, PublicKey
from kiosk.clock import Clock
from kiosk.credentials import HolderKind

Kind = Literal["administrator", "user"]


def enrol(
    directory: Path,
    *,
    subject: x509.Name,
    public_key: PublicKey,
    not_before: datetime,
    not_after: datetime,
    holder_id: str,
    kind: Kind,
    clock: Clock | None = None,
) -> Certificate:
    """Issue a holder's certificate and enter both in the ledger, while no server has that open.

    Raises:
        AuthorityDamaged: there is no complete authority in the directory.
        LedgerInUse: a server is running.
        LedgerDamaged: the ledger cannot be used.
    """
    authority = load_authority(directory)
    with Ledger.open(directory) as book:
        return enter(
            authority,
            book,
            subject=subject,
            public_key=public_key,
            not_before=not_before,
            not_after=not_after,
            holder_id=holder_id,
            kind=kind,
            clock=clock,
        )


def enter(
    authority: Authority,
    book: Ledger,
    *,
    subject: x509.Name,
    public_key: PublicKey,
    not_before: datetime,
    not_after: datetime,
    holder_id: str,
    kind: Kind,
    clock: Clock | None = None,
) -> Certificate:
    """`enrol`, in a ledger that is open already."""
    certificate = authority.issue(subject, public_key, not_before, not_after)
    with book.begin() as connection:
        holders.ensure(connection, holder_id, HolderKind(kind), subject)
        now = book.now(connection) if clock is None else clock()
        number = record(connection, certificate, holder=holder_id, state=CertificateState.VALID, now=now)
        audit.enter_certificate(connection, Act.ISSUED, number, now)
    return certificate
