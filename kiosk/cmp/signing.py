"""Keys that sign messages, wherever they live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.algorithms import UnsupportedSignature, scheme_of_key

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SigningKey(Protocol):
    """A private key that may be in a token, in another process, or in memory."""

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        ...

    async def sign(self, data: bytes) -> bytes:
        """Sign `data`, unhashed, and answer with the signature as X.509 has it.

        RSA: PKCS#1 v1.5 over SHA-256. P-256: DER of ECDSA over SHA-256. P-384: over SHA-384. Ed25519: plain
        (RFC 9481 §3).
        """
        ...


@dataclass(frozen=True, slots=True)
class Signer:
    """Whoever protects a message: a key, its certificate, and the certificates between that and the root."""

    key: SigningKey = field(repr=False)
    certificate: Certificate
    chain: tuple[Certificate, ...] = ()


class SoftwareKey:
    """A `SigningKey` in memory, for the CA and for tests."""

    def __init__(self, private_key: PrivateKey) -> None:
        self._private_key = private_key
        self._public_key = private_key.public_key()
        self._scheme = scheme_of_key(self._public_key)

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    async def sign(self, data: bytes) -> bytes:
        """Sign as `SigningKey.sign` has it."""
        key = self._private_key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        if self._scheme.digest is None:
            raise UnsupportedSignature(self._scheme.algorithm.identifier)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, padding.PKCS1v15(), self._scheme.digest)
        return key.sign(data, ec.ECDSA(self._scheme.digest))
