"""Keys that sign messages, wherever they live, and whoever protects a message with one (RFC 9483 §3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.algorithms import Algorithm, SignatureScheme, UnsupportedSignature, scheme_of_key

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
        (RFC 9481 §3). A key that signs otherwise keeps `HasScheme` too.
        """
        ...


@runtime_checkable
class HasScheme(Protocol):
    """A key that says itself how it signs."""

    @property
    def scheme(self) -> SignatureScheme:
        """How."""
        ...


def scheme_of(key: SigningKey) -> SignatureScheme:
    """How this key signs.

    Raises:
        UnsupportedSignature: an elliptic curve nobody here signs with.
    """
    return key.scheme if isinstance(key, HasScheme) else scheme_of_key(key.public_key)


@dataclass(frozen=True, slots=True)
class Signer:
    """Whoever protects a message: a key, its certificate, and the certificates between that and the root."""

    key: SigningKey = field(repr=False)
    certificate: Certificate
    chain: tuple[Certificate, ...] = ()

    @property
    def sender(self) -> bytes:
        """DER of the name that the header gives: the subject (RFC 9483 §3.1)."""
        return self.certificate.subject_der

    @property
    def key_id(self) -> bytes | None:
        """The senderKID."""
        return self.certificate.subject_key_identifier

    @property
    def algorithm(self) -> Algorithm:
        """The protectionAlg.

        Raises:
            UnsupportedSignature: the key is of a kind nobody here signs with.
        """
        return scheme_of(self.key).algorithm

    @property
    def extra_certificates(self) -> tuple[bytes, ...]:
        """DER of its own certificate, first, and of those up to the root (RFC 9483 §3.3)."""
        return tuple(each.der for each in (self.certificate, *self.chain))

    async def protect(self, data: bytes) -> bytes:
        """The signature over header and body."""
        return await self.key.sign(data)


class SoftwareKey:
    """A `SigningKey` in memory, for the CA and for tests."""

    def __init__(self, private_key: PrivateKey, scheme: SignatureScheme | None = None) -> None:
        """`scheme` where it is not to sign as `SigningKey.sign` has it: with RSASSA-PSS, for one."""
        self._private_key = private_key
        self._public_key = private_key.public_key()
        self._scheme = scheme or scheme_of_key(self._public_key)

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    @property
    def scheme(self) -> SignatureScheme:
        """How it signs."""
        return self._scheme

    async def sign(self, data: bytes) -> bytes:
        """Sign by its scheme."""
        key = self._private_key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(data)
        if self._scheme.digest is None:
            raise UnsupportedSignature(self._scheme.algorithm.identifier)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, self._scheme.padding(), self._scheme.digest)
        return key.sign(data, ec.ECDSA(self._scheme.digest))
