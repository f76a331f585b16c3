"""The list of what is revoked, made from the ledger and signed by the issuing CA (RFC 5280 §5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Row, select

from kiosk.ca import audit
from kiosk.ca.authority import Authority
from kiosk.ca.database import is_postgres
from kiosk.ca.ledger import REVOKED_STATES, Ledger, issuer_hash
from kiosk.ca.policy import Policy
from kiosk.ca.schema import CERTIFICATES, CRLS, Act

_UNSPECIFIED = x509.ReasonFlags.unspecified
_NEWEST = select(CRLS)


@dataclass(frozen=True, slots=True)
class Crl:
    """One CRL."""

    number: int
    this_update: datetime
    next_update: datetime
    der: bytes


def up_to_date(book: Ledger, authority: Authority, policy: Policy, now: datetime) -> Crl:
    """`current`, in a transaction of its own: one that only looks, as long as nothing is to be made."""
    with book.read() as connection:
        seen = connection.execute(_NEWEST).one()
    if _holds(seen, policy, now):
        return _of(seen)
    with book.begin() as connection:
        return current(connection, authority, policy, now)


def current(connection: Connection, authority: Authority, policy: Policy, now: datetime) -> Crl:
    """The newest one; made anew after a revocation, and after half its time. The connection must be one that writes."""
    now = now.replace(microsecond=0)
    seen = connection.execute(_NEWEST).one()
    if _holds(seen, policy, now):
        return _of(seen)
    # Of all who have seen that, one makes it; who has waited for the row takes what the one has made.
    newest = connection.execute(_NEWEST.with_for_update()).one() if is_postgres(connection) else seen
    if newest.number > seen.number:
        if not newest.outdated:
            return _of(newest)
        now = max(now, newest.this_update)
    made = _make(connection, authority, policy, newest.number + 1, now)
    audit.enter(connection, Act.CRL_MADE, now, detail=f"number {made.number}")
    changed = {
        "number": made.number,
        "outdated": False,
        "this_update": made.this_update,
        "next_update": made.next_update,
        "der": made.der,
    }
    connection.execute(CRLS.update().values(changed))
    return made


def _holds(row: Row[tuple[object, ...]], policy: Policy, now: datetime) -> bool:
    is_young: bool = row.this_update <= now < row.this_update + policy.crl_life / 2
    return is_young and not row.outdated


def _of(row: Row[tuple[object, ...]]) -> Crl:
    return Crl(row.number, row.this_update, row.next_update, row.der)


def _make(connection: Connection, authority: Authority, policy: Policy, number: int, now: datetime) -> Crl:
    next_update = now + policy.crl_life
    # An entry has to be on one list that was made after the certificate's end (RFC 5280 §3.3).
    wanted = (
        CERTIFICATES.c.issuer == issuer_hash(authority.issuing.subject_der),
        CERTIFICATES.c.state.in_(REVOKED_STATES),
        CERTIFICATES.c.not_after >= now - policy.crl_life,
    )
    columns = (CERTIFICATES.c.serial, CERTIFICATES.c.reason, CERTIFICATES.c.changed_at)
    rows = connection.execute(select(*columns).where(*wanted).order_by(CERTIFICATES.c.id))
    entries = [_entry(int(serial, 16), reason, revoked_at) for serial, reason, revoked_at in rows]
    key = authority.issuing_key.public_key()
    # All entries at once: `add_revoked_certificate` copies those before it each time, two seconds for 50,000.
    signed = (
        x509.CertificateRevocationListBuilder(revoked_certificates=entries)
        .issuer_name(authority.issuing.x509.subject)
        .last_update(now)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key), critical=False)
        .sign(authority.issuing_key, hashes.SHA256())
    )
    return Crl(number, now, next_update, signed.public_bytes(Encoding.DER))


def _entry(serial: int, reason: str | None, revoked_at: datetime) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked_at.replace(microsecond=0))
    flag = _UNSPECIFIED if reason is None else x509.ReasonFlags(reason)
    # One that says nothing is left out (RFC 5280 §5.3.1).
    if flag is not _UNSPECIFIED:
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    return builder.build()
