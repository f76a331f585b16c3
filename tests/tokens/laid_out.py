"""Objects as a token would show them, laid out by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from kiosk.certificates import Certificate
from kiosk.tokens.keys import wire_public
from kiosk.tokens.wire import ObjectKind, StoredObject
from tests.cmp.pki import new_key


@dataclass(frozen=True)
class Pair:
    """A key pair under an ID and a label, as the objects that a token has of it."""

    key_id: bytes
    label: str = "a label"
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    @property
    def half(self) -> ec.EllipticCurvePublicKey:
        return self.key.public_key()

    def private(self, *, tells: bool = True, label: str | None = None) -> StoredObject:
        public = wire_public(self.half) if tells else None
        return StoredObject(ObjectKind.PRIVATE_KEY, self.key_id, self.label if label is None else label, public=public)

    def public(self, *, tells: bool = True) -> StoredObject:
        public = wire_public(self.half) if tells else None
        return StoredObject(ObjectKind.PUBLIC_KEY, self.key_id, self.label, public=public)

    def both(self) -> tuple[StoredObject, StoredObject]:
        return self.private(), self.public()


def written(certificate: Certificate, key_id: bytes, label: str = "a label") -> StoredObject:
    return StoredObject(ObjectKind.CERTIFICATE, key_id, label, der=certificate.der)
