"""Keys made in a token process, for tokens that cannot make them (`key_origin = "export"`, design decision 1).

Python cannot overwrite what it has computed with, so the process in which this runs ends right after.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType

from kiosk.tokens.templates import EC_BITS, RSA_BITS, Template, curve_parameters
from kiosk.tokens.wire import KeyKind

_PUBLIC_EXPONENT = 65537


@dataclass(frozen=True, slots=True)
class SoftwareKey:
    """A key pair as PKCS#11 writes it (PKCS#11 2.40 §2.1.3, §2.3.4): the attributes that hold its numbers."""

    key_type: KeyType
    public: Template
    private: Template = field(repr=False)


def make(kind: KeyKind) -> SoftwareKey:
    """A fresh key pair."""
    if kind in EC_BITS:
        return _make_ec(kind)
    return _make_rsa(RSA_BITS[kind])


def _make_rsa(bits: int) -> SoftwareKey:
    numbers = rsa.generate_private_key(_PUBLIC_EXPONENT, bits).private_numbers()
    public = {
        Attribute.MODULUS: _unsigned(numbers.public_numbers.n),
        Attribute.PUBLIC_EXPONENT: _unsigned(numbers.public_numbers.e),
    }
    private = {
        Attribute.PRIVATE_EXPONENT: _unsigned(numbers.d),
        Attribute.PRIME_1: _unsigned(numbers.p),
        Attribute.PRIME_2: _unsigned(numbers.q),
        Attribute.EXPONENT_1: _unsigned(numbers.dmp1),
        Attribute.EXPONENT_2: _unsigned(numbers.dmq1),
        Attribute.COEFFICIENT: _unsigned(numbers.iqmp),
    }
    return SoftwareKey(KeyType.RSA, public, public | private)


def _make_ec(kind: KeyKind) -> SoftwareKey:
    key = ec.generate_private_key(ec.SECP256R1())
    parameters = {Attribute.EC_PARAMS: curve_parameters(kind)}
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    value = key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")
    return SoftwareKey(
        KeyType.EC,
        parameters | {Attribute.EC_POINT: bytes([0x04, len(point)]) + point},
        parameters | {Attribute.VALUE: value},
    )


def _unsigned(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
