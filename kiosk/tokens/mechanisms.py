"""How a token signs: chosen from the mechanisms that its slot offers, the oldest first.

Nearly every token has the plain ones, where the digest is computed here: RSA_PKCS over the DigestInfo, ECDSA over the
digest (field notes §4). The others, which hash by themselves, are next; RSASSA-PSS is where nothing else is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pkcs11 import MGF, Mechanism

from kiosk.tokens.wire import Digest, SignatureKind

_DIGEST_INFO = {
    Digest.SHA256: bytes.fromhex("3031300d060960864801650304020105000420"),
    Digest.SHA384: bytes.fromhex("3041300d060960864801650304020205000430"),
    Digest.SHA512: bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""What stands before a digest in a PKCS#1 v1.5 signature (RFC 8017 §9.2, note 1)."""

_PLAIN = {
    SignatureKind.RSA_PKCS1: Mechanism.RSA_PKCS,
    SignatureKind.RSA_PSS: Mechanism.RSA_PKCS_PSS,
    SignatureKind.ECDSA: Mechanism.ECDSA,
}
"""Mechanisms that take the digest."""

_HASHING = {
    (SignatureKind.RSA_PKCS1, Digest.SHA256): Mechanism.SHA256_RSA_PKCS,
    (SignatureKind.RSA_PKCS1, Digest.SHA384): Mechanism.SHA384_RSA_PKCS,
    (SignatureKind.RSA_PKCS1, Digest.SHA512): Mechanism.SHA512_RSA_PKCS,
    (SignatureKind.RSA_PSS, Digest.SHA256): Mechanism.SHA256_RSA_PKCS_PSS,
    (SignatureKind.RSA_PSS, Digest.SHA384): Mechanism.SHA384_RSA_PKCS_PSS,
    (SignatureKind.RSA_PSS, Digest.SHA512): Mechanism.SHA512_RSA_PKCS_PSS,
    (SignatureKind.ECDSA, Digest.SHA256): Mechanism.ECDSA_SHA256,
    (SignatureKind.ECDSA, Digest.SHA384): Mechanism.ECDSA_SHA384,
    (SignatureKind.ECDSA, Digest.SHA512): Mechanism.ECDSA_SHA512,
}
"""Mechanisms that take the data."""

_PSS_PARTS = {
    Digest.SHA256: (Mechanism.SHA256, MGF.SHA256, 32),
    Digest.SHA384: (Mechanism.SHA384, MGF.SHA384, 48),
    Digest.SHA512: (Mechanism.SHA512, MGF.SHA512, 64),
}
"""Hash, mask and length of the salt in bytes, which is that of the hash (RFC 4055 §3.1)."""


@dataclass(frozen=True, slots=True)
class SigningWay:
    """A mechanism, and what it is given."""

    kind: SignatureKind
    digest: Digest
    mechanism: Mechanism
    parameter: Any = None

    def input_of(self, data: bytes) -> bytes:
        """What the token is given to sign `data`."""
        if self.mechanism is not _PLAIN[self.kind]:
            return data
        digest = hashlib.new(self.digest.value, data).digest()
        return _DIGEST_INFO[self.digest] + digest if self.kind is SignatureKind.RSA_PKCS1 else digest


def signing_way(kind: SignatureKind, digest: Digest, offered: Collection[int]) -> SigningWay | None:
    """How to sign so with what is `offered`; None where it cannot be done."""
    parameter = _PSS_PARTS[digest] if kind is SignatureKind.RSA_PSS else None
    for mechanism in (_PLAIN[kind], _HASHING[kind, digest]):
        if mechanism in offered:
            return SigningWay(kind, digest, mechanism, parameter)
    return None


def signature_kinds(offered: Collection[int]) -> list[SignatureKind]:
    """The ways in which a token signs with SHA-256, by the mechanisms that its slot offers."""
    return [kind for kind in SignatureKind if signing_way(kind, Digest.SHA256, offered)]
