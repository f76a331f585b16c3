"""Sample facts for screens: always the same ones, with the manual's subject."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kiosk.certificates import Certificate, read_certificate
from kiosk.clock import one_year_before
from kiosk.credentials import Credential, HolderRule

NOW = datetime(2026, 11, 23, 5, 5, tzinfo=UTC)
"""14:05 in Japan."""
OLD_END = datetime(2026, 12, 13, 14, 59, 59, tzinfo=UTC)
NEW_END = datetime(2027, 11, 23, 14, 59, 59, tzinfo=UTC)
SERIAL = 0x60345F5605E87A853A2E85271AE8724E
SUBJECT = (
    (NameOID.COUNTRY_NAME, "JP"),
    (NameOID.ORGANIZATION_NAME, "The Shinkin Banks Information System Center Co.,Ltd"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Shinkin Internet Banking Intermediate CA"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "USER/PE - 2"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "CERT/SUEDNUM - 3"),
    (NameOID.COMMON_NAME, "TKYM1408054 1403"),
)


def fixed_clock() -> datetime:
    """A clock that stands still."""
    return NOW


@cache
def certificate(
    end: datetime = OLD_END,
    serial: int = SERIAL,
    common_name: str = "TKYM1408054 1403",
) -> Certificate:
    """A certificate of the manual's customer, signed by nobody in particular."""
    key = ec.derive_private_key(7, ec.SECP256R1())
    names = [(oid, common_name if oid == NameOID.COMMON_NAME else value) for oid, value in SUBJECT]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(one_year_before(end) + timedelta(seconds=1))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return read_certificate(built.public_bytes(Encoding.DER))


def credential(of: Certificate | None = None) -> Credential:
    """The sample certificate as it lies on the token."""
    found = of or certificate()
    return Credential(certificate=found, key_id=b"\x01" * 16, holder=HolderRule().holder_of(found))


def new_certificate() -> Certificate:
    """The successor of the sample certificate."""
    return certificate(NEW_END)
