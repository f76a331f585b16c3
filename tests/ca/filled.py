"""A ledger as full as a bank's."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import insert, text

from kiosk.ca.authority import Authority
from kiosk.ca.database import is_postgres
from kiosk.ca.ledger import Ledger, issuer_hash
from kiosk.ca.schema import CERTIFICATES, HOLDERS, PROMISES, CertificateState, PromiseKind, PromiseState
from kiosk.certificates import Certificate
from tests.ca.bank import new_key, subject

_AT_ONCE = 5_000
"""Rows entered by one statement."""
_YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Mould:
    """A certificate of this CA from which others are cast: as long, and in all that a ledger looks at as different."""

    certificate: Certificate
    serial: bytes
    point: bytes

    @classmethod
    def of(cls, authority: Authority, now: datetime) -> Mould:
        key = new_key().public_key
        assert isinstance(key, ec.EllipticCurvePublicKey)
        certificate = authority.issue(subject(), key, now - _YEAR, now + _YEAR)
        return cls(
            certificate,
            bytes.fromhex(certificate.serial),
            key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        )

    def cast(self) -> tuple[bytes, str]:
        """The DER of another one, and its serial number. Nobody verifies it, for nobody signs by it."""
        serial = self.serial[:1] + secrets.token_bytes(len(self.serial) - 1)
        point = self.point[:1] + secrets.token_bytes(len(self.point) - 1)
        der = self.certificate.der.replace(self.serial, serial, 1).replace(self.point, point, 1)
        return der, serial.hex()


def fill(book: Ledger, authority: Authority, size: int) -> None:
    """Enter so many certificates, as a bank has them after a year in which everybody has renewed once."""
    now, count = book.now(), size // 2
    mould, names = Mould.of(authority, now), subject().public_bytes()
    issuer = issuer_hash(authority.issuing.subject_der)
    numbers = itertools.count(1)
    for begin in range(0, count, _AT_ONCE):
        holders, certificates, promises = [], [], []
        for each in range(begin, min(begin + _AT_ONCE, count)):
            name, renewed = f"FILLED{each}", now - _YEAR * (each + 1) / count
            old, new = next(numbers), next(numbers)
            states = {old: CertificateState.SUPERSEDED, new: CertificateState.VALID}
            ends = {old: renewed + timedelta(days=20), new: renewed + _YEAR}
            holders.append({"id": name, "kind": "user", "subject": names})
            for number, state in states.items():
                der, serial = mould.cast()
                row = {"id": number, "issuer": issuer, "serial": serial, "der": der, "holder": name, "state": state}
                row |= {"fingerprint": secrets.token_bytes(32), "key_hash": secrets.token_bytes(32)}
                row |= {"not_after": ends[number], "made_at": ends[number] - _YEAR, "changed_at": renewed}
                certificates.append(row | {"reason": "superseded" if number == old else None})
            promise = {"kind": PromiseKind.UPDATE, "by_certificate": old, "new": new, "state": PromiseState.CONFIRMED}
            promise |= {"key_hash": certificates[-1]["key_hash"], "key": secrets.token_bytes(91), "approved": False}
            promises.append(promise | {"deadline": ends[old], "made_at": renewed, "changed_at": renewed})
        with book.begin() as connection:
            connection.execute(insert(HOLDERS), holders)
            connection.execute(insert(CERTIFICATES), certificates)
            connection.execute(insert(PROMISES), promises)
            if is_postgres(connection):
                connection.execute(text("SELECT setval('certificates_id_seq', (SELECT max(id) FROM certificates))"))
            connection.execute(text("ANALYZE"))
