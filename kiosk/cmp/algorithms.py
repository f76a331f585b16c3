"""Signature algorithms: what protects a message and proves possession (RFC 9481 §3).

SHA-1 is not here, so it is never accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from kiosk.certificates import PublicKey
from kiosk.cmp import der
from kiosk.cmp.errors import CmpError, MalformedMessage
from kiosk.cmp.messages import PssParameters

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


class Family(StrEnum):
    """Ways of protecting a message, as a policy names them."""

    RSA_PKCS1 = "rsa-pkcs1"
    RSA_PSS = "rsa-pss"
    ECDSA = "ecdsa"
    ED25519 = "ed25519"
    PBM = "pbm"
    PBMAC1 = "pbmac1"


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """One signature algorithm with its hash (none for Ed25519, which brings its own)."""

    algorithm: Algorithm
    key_kind: type
    digest: hashes.HashAlgorithm | None
    salt_length: int | None = None
    """Bytes of the salt of RSASSA-PSS; None for PKCS #1 v1.5 and for every other kind."""

    def padding(self) -> padding.AsymmetricPadding:
        """Of an RSA signature."""
        if self.salt_length is None or self.digest is None:
            return padding.PKCS1v15()
        return padding.PSS(padding.MGF1(self.digest), self.salt_length)


NULL = b"\x05\x00"
PBM = "1.2.840.113533.7.66.13"
"""id-PasswordBasedMac (RFC 9481 §6.1.1)."""
PBMAC1 = "1.2.840.113549.1.5.14"
"""id-PBMAC1 (RFC 9481 §6.1.2)."""
_RSA = rsa.RSAPublicKey
_EC = ec.EllipticCurvePublicKey
_RSA_PSS = "1.2.840.113549.1.1.10"
_MGF1 = "1.2.840.113549.1.1.8"

DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
"""The hashes that count here (RFC 9481 §2.1)."""

_SCHEMES = (
    SignatureScheme(Algorithm("1.2.840.113549.1.1.11", NULL), _RSA, hashes.SHA256()),
    SignatureScheme(Algorithm("1.2.840.113549.1.1.12", NULL), _RSA, hashes.SHA384()),
    SignatureScheme(Algorithm("1.2.840.113549.1.1.13", NULL), _RSA, hashes.SHA512()),
    SignatureScheme(Algorithm("1.2.840.10045.4.3.2"), _EC, hashes.SHA256()),
    SignatureScheme(Algorithm("1.2.840.10045.4.3.3"), _EC, hashes.SHA384()),
    SignatureScheme(Algorithm("1.2.840.10045.4.3.4"), _EC, hashes.SHA512()),
    SignatureScheme(Algorithm("1.3.101.112"), ed25519.Ed25519PublicKey, None),
)
# OpenSSL 3.0 leaves the NULL of RSA out, which RFC 4055 §5 tells verifiers to bear with.
_BY_ALGORITHM = {scheme.algorithm: scheme for scheme in _SCHEMES} | {
    Algorithm(scheme.algorithm.identifier): scheme for scheme in _SCHEMES
}
_FAMILIES = {scheme.algorithm.identifier: Family.RSA_PKCS1 for scheme in _SCHEMES if scheme.key_kind is _RSA}
_FAMILIES |= {scheme.algorithm.identifier: Family.ECDSA for scheme in _SCHEMES if scheme.key_kind is _EC}
_FAMILIES |= {
    _SCHEMES[-1].algorithm.identifier: Family.ED25519,
    _RSA_PSS: Family.RSA_PSS,
    PBM: Family.PBM,
    PBMAC1: Family.PBMAC1,
}
_EC_DIGESTS = {"secp256r1": hashes.SHA256, "secp384r1": hashes.SHA384, "secp521r1": hashes.SHA512}


def family_of(algorithm: Algorithm) -> Family | None:
    """The family an algorithm belongs to; None for one that is never accepted."""
    return _FAMILIES.get(algorithm.identifier)


def pss_scheme(digest: hashes.HashAlgorithm) -> SignatureScheme:
    """RSASSA-PSS with this hash of `DIGESTS`, MGF1 over the same, and a salt as long as it (RFC 4055 §3.1)."""
    identifier = next(each for each, known in DIGESTS.items() if known.name == digest.name)
    hashing = Algorithm(identifier, NULL).items()
    parameters = PssParameters(
        digest=hashing,
        mask=Algorithm(_MGF1, der.write_items(hashing)).items(),
        salt_length=digest.digest_size,
    )
    return SignatureScheme(Algorithm(_RSA_PSS, der.encode(parameters)), _RSA, digest, digest.digest_size)


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
    scheme = _scheme(algorithm)
    if not isinstance(key, scheme.key_kind):
        raise UnsupportedSignature(algorithm.identifier)
    check_strength(key)
    try:
        _verify(scheme, key, signature, data)
    # ValueError: a salt for which this key has no room.
    except (InvalidSignature, ValueError) as error:
        raise WrongSignature(algorithm.identifier) from error


def _scheme(algorithm: Algorithm) -> SignatureScheme:
    known = _BY_ALGORITHM.get(algorithm)
    if known is not None:
        return known
    if algorithm.identifier != _RSA_PSS or algorithm.parameters is None:
        raise UnsupportedSignature(algorithm.identifier)
    try:
        return _read_pss(algorithm, algorithm.parameters)
    except MalformedMessage as error:
        raise UnsupportedSignature("RSASSA-PSS with parameters that cannot be read") from error


def _read_pss(algorithm: Algorithm, parameters: bytes) -> SignatureScheme:
    """A hash of ours, the same within MGF1, and a salt not shorter than it (RFC 9481 §3.1, RFC 4055 §3.1)."""
    raw = der.decode(PssParameters, parameters)
    mask = Algorithm.read(raw.mask or [])
    digest = _digest(Algorithm.read(raw.digest or []))
    same = mask.identifier == _MGF1 and mask.parameters is not None
    if not same or _digest(Algorithm.read(der.read_items(mask.parameters or b""))).name != digest.name:
        raise UnsupportedSignature("RSASSA-PSS with another mask than MGF1 over the same hash")
    salt_length = raw.salt_length or 0
    if not digest.digest_size <= salt_length <= LONGEST_RSA_KEY // 8 or raw.trailer not in (None, 1):
        raise UnsupportedSignature("RSASSA-PSS with this salt or trailer")
    return SignatureScheme(algorithm, _RSA, digest, salt_length)


def _digest(algorithm: Algorithm) -> hashes.HashAlgorithm:
    digest = DIGESTS.get(algorithm.identifier)
    if digest is None or algorithm.parameters not in (None, NULL):
        raise UnsupportedSignature(algorithm.identifier)
    return digest


def _verify(scheme: SignatureScheme, key: PublicKey, signature: bytes, data: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, data)
    elif scheme.digest is None:
        raise UnsupportedSignature(scheme.algorithm.identifier)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, scheme.padding(), scheme.digest)
    else:
        key.verify(signature, data, ec.ECDSA(scheme.digest))
