"""Keys inside a token, as the rest of the house sees them."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kiosk.certificates import PublicKey
from kiosk.tokens.wire import Digest, EcPublic, Public, RsaPublic

TokenPublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_CURVES: dict[bytes, ec.EllipticCurve] = {
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
    bytes.fromhex("06052b81040023"): ec.SECP521R1(),
}
"""By CKA_EC_PARAMS: the DER of the named curve's OID."""


_DIGESTS = {"secp384r1": Digest.SHA384, "secp521r1": Digest.SHA512}


def digest_for(key: PublicKey) -> Digest:
    """What a key of this kind signs: a digest as strong as its curve, SHA-256 for every RSA key (RFC 9481 §3.2)."""
    return _DIGESTS.get(key.curve.name, Digest.SHA256) if isinstance(key, ec.EllipticCurvePublicKey) else Digest.SHA256


def public_key(public: Public) -> TokenPublicKey:
    """The key that a token described.

    Raises:
        ValueError: the description is damaged or of a curve the kiosk does not know.
    """
    match public:
        case RsaPublic(modulus, exponent):
            numbers = rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big"))
            return numbers.public_key()
        case EcPublic(parameters, point):
            curve = _CURVES.get(parameters)
            if curve is None:
                raise ValueError("unknown curve")
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, _unwrapped(point))


def wire_public(key: PublicKey) -> Public | None:
    """`key` as a token would tell it; None for a kind of key that tokens here do not hold."""
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return RsaPublic(_unsigned(numbers.n), _unsigned(numbers.e))
        case ec.EllipticCurvePublicKey():
            parameters = next((each for each, curve in _CURVES.items() if curve.name == key.curve.name), None)
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return None if parameters is None else EcPublic(parameters, _wrapped(point))
        case _:
            return None


def public_key_der(public: Public | None) -> bytes | None:
    """SubjectPublicKeyInfo of `public`; None where the token does not tell it, or tells nonsense."""
    if public is None:
        return None
    try:
        return public_key(public).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError:
        return None


def _unsigned(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _wrapped(point: bytes) -> bytes:
    """CKA_EC_POINT: an OCTET STRING (DER) around the point; that of P-521 needs the long form of the length."""
    return bytes([0x04, len(point)] if len(point) < 0x80 else [0x04, 0x81, len(point)]) + point


def _unwrapped(point: bytes) -> bytes:
    """The point itself; some modules leave the wrapping out."""
    for head in (2, 3):
        if point == _wrapped(point[head:]):
            return point[head:]
    return point
