"""Certificate revocation lists that a CA hands out in answer to `genm` (RFC 9483 §4.3.4, RFC 5280 §5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from kiosk.certificates import UNREADABLE, Certificate
from kiosk.cmp.errors import Distrust, UntrustedAnswer


@dataclass(frozen=True, slots=True)
class Crl:
    """A CRL that one of the trusted CAs has signed."""

    der: bytes = field(repr=False)
    issuer: Certificate
    this_update: datetime
    next_update: datetime | None
    revoked: frozenset[int] = field(repr=False)
    """Serial numbers."""


def read_crl(der: bytes, authorities: Iterable[Certificate], now: datetime) -> Crl:
    """Read a CRL and check that it counts: signed by one of `authorities`, made already, and not out of date.

    Raises:
        UntrustedAnswer: it cannot be read, or does not count.
    """
    try:
        found = x509.load_der_x509_crl(der)
        issuer = _issuer(found, authorities)
        crl = Crl(
            der=der,
            issuer=issuer,
            this_update=found.last_update_utc,
            next_update=found.next_update_utc,
            revoked=frozenset(each.serial_number for each in found),
        )
    except UNREADABLE as error:
        raise UntrustedAnswer(Distrust.CRL, type(error).__name__) from error
    if crl.this_update > now or (crl.next_update is not None and crl.next_update < now):
        raise UntrustedAnswer(Distrust.CRL, "not in date")
    return crl


def _issuer(crl: x509.CertificateRevocationList, authorities: Iterable[Certificate]) -> Certificate:
    name = crl.issuer.public_bytes()
    for authority in authorities:
        if authority.subject_der == name and crl.is_signature_valid(authority.public_key):
            return authority
    raise UntrustedAnswer(Distrust.CRL, "by nobody who is known")
