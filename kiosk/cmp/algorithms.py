"""Signature algorithms: what protects a message and proves possession (RFC 9481 §3).

SHA-1 and bare HMAC are not here, so they are never accepted.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from kiosk.certificates import PublicKey
from kiosk.cmp import der
from kiosk.cmp.errors import CmpError

SHORTEST_RSA_KEY = 2048
LONGEST_RSA_KEY = 8192
"""Bits; checked before any work is done with a key."""
_SMALLEST_RSA_EXPONENT = 65537
_LONGEST_RSA_EXPONENT = 256
"""Bits. The bounds are those of FIPS 186-5 §5.4: with the exponent 1 anybody signs, and a huge one takes long."""


class UnsupportedSignature(CmpError):
    """An algorithm that is not accepted here, or one that does not go with this key."""


class WrongSignature(CmpError):
    """The signature is not by this key over these bytes."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An AlgorithmIdentifier: dotted identifier and the complete DER of its parameters, if any."""

    identifier: str
    parameters: bytes | None = None

    @classmethod
    def read(cls, items: list[asn1.TLV]) -> Algorithm:
        """From the values of the SEQUENCE.

        Raises:
            MalformedMessage: it does not begin with an object identifier, or has more than two values.
        """
        first, parameters = der.first_and_rest(items)
        identifier = der.decode(x509.ObjectIdentifier, first)
        return cls(identifier.dotted_string, parameters)

    def items(self) -> list[asn1.TLV]:
        """The values of the SEQUENCE."""
        identifier = der.any_value(der.encode(x509.ObjectIdentifier(self.identifier)))
        return [identifier] if self.parameters is None else [identifier, der.any_value(self.parameters)]


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """One signature algorithm with its hash (none for Ed25519, which brings its own)."""

    algorithm: Algorithm
    key_kind: type
    digest: hashes.HashAlgorithm | None


_NULL = b"\x05\x00"
_RSA = rsa.RSAPublicKey
_EC = ec.EllipticCurvePublicKey

_SCHEMES = (
    SignatureScheme(Algorithm("1.2.840.113549.1.1.11", _NULL), _RSA, hashes.SHA256()),
    SignatureScheme(Algorithm("1.2.840.113549.1.1.12", _NULL), _RSA, hashes.SHA384()),
    SignatureScheme(Algorithm("1.2.840.113549.1.1.13", _NULL), _RSA, hashes.SHA512()),
    SignatureScheme(Algorithm("1.2.840.10045.4.3.2"), _EC, hashes.SHA256()),
    SignatureScheme(Algorithm("1.2.840.10045.4.3.3"), _EC, hashes.SHA384()),
    SignatureScheme(Algorithm("1.2.840.10045.4.3.4"), _EC, hashes.SHA512()),
    SignatureScheme(Algorithm("1.3.101.112"), ed25519.Ed25519PublicKey, None),
)
# OpenSSL 3.0 leaves the NULL of RSA out, which RFC 4055 §5 tells verifiers to bear with.
_BY_ALGORITHM = {scheme.algorithm: scheme for scheme in _SCHEMES} | {
    Algorithm(scheme.algorithm.identifier): scheme for scheme in _SCHEMES
}
_EC_DIGESTS = {"secp256r1": hashes.SHA256, "secp384r1": hashes.SHA384, "secp521r1": hashes.SHA512}


def scheme_of_key(key: PublicKey) -> SignatureScheme:
    """The one algorithm with which a key of this kind signs here.

    Raises:
        UnsupportedSignature: an elliptic curve nobody here signs with.
    """
    if isinstance(key, rsa.RSAPublicKey):
        return _SCHEMES[0]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return _SCHEMES[-1]
    digest = _EC_DIGESTS.get(key.curve.name)
    for scheme in _SCHEMES:
        if digest is not None and scheme.key_kind is _EC and isinstance(scheme.digest, digest):
            return scheme
    raise UnsupportedSignature(f"curve {key.curve.name}")


def check_strength(key: PublicKey) -> None:
    """Check that a signature by this key would prove anything, and is not too costly to check.

    Raises:
        UnsupportedSignature: an RSA key that is too short, too long, or has an exponent it must not have.
    """
    if not isinstance(key, rsa.RSAPublicKey):
        return
    exponent = key.public_numbers().e
    if not SHORTEST_RSA_KEY <= key.key_size <= LONGEST_RSA_KEY:
        raise UnsupportedSignature(f"an RSA key of {key.key_size} bits")
    if exponent < _SMALLEST_RSA_EXPONENT or exponent.bit_length() > _LONGEST_RSA_EXPONENT or exponent % 2 == 0:
        raise UnsupportedSignature("an RSA key with this exponent")


def verify(algorithm: Algorithm, key: PublicKey, signature: bytes, data: bytes) -> None:
    """Check a signature in its X.509 form.

    Raises:
        UnsupportedSignature: the algorithm is not accepted, or is not for this key, or the key proves nothing.
        WrongSignature: it does not verify.
    """
    scheme = _BY_ALGORITHM.get(algorithm)
    if scheme is None or not isinstance(key, scheme.key_kind):
        raise UnsupportedSignature(algorithm.identifier)
    check_strength(key)
    try:
        _verify(scheme, key, signature, data)
    except InvalidSignature as error:
        raise WrongSignature(algorithm.identifier) from error


def _verify(scheme: SignatureScheme, key: PublicKey, signature: bytes, data: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, data)
    elif scheme.digest is None:
        raise UnsupportedSignature(scheme.algorithm.identifier)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), scheme.digest)
    else:
        key.verify(signature, data, ec.ECDSA(scheme.digest))
