"""Private keys in the card: made there, used there."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.tokens.virtual_card.apdu import NOT_SUPPORTED, WRONG_DATA, Refused, tlv

RSA_2048 = 0xF3
"""IsoApplet's reference of the algorithm with which a key is made."""

RSA_PKCS1 = 0x11
"""And of the one with which it signs."""

_PUBLIC_KEY, _MODULUS, _EXPONENT = 0x7F49, 0x81, 0x82

_DIGEST_INFOS: Mapping[bytes, hashes.HashAlgorithm] = {
    bytes.fromhex("3031300d060960864801650304020105000420"): hashes.SHA256(),
    bytes.fromhex("3041300d060960864801650304020205000430"): hashes.SHA384(),
    bytes.fromhex("3051300d060960864801650304020305000440"): hashes.SHA512(),
}
"""What stands before a digest that is to be signed (RFC 8017 §9.2, note 1)."""

Key = rsa.RSAPrivateKey


def make_key(algorithm: int) -> Key:
    """A new key.

    Raises:
        Refused: of a kind this card does not make.
    """
    if algorithm != RSA_2048:
        raise Refused(NOT_SUPPORTED)
    return rsa.generate_private_key(65537, 2048)


def public_template(key: Key) -> bytes:
    """The public half as GENERATE ASYMMETRIC KEY PAIR answers it (ISO 7816-8 §5.1, table 3)."""
    numbers = key.public_key().public_numbers()
    modulus, exponent = numbers.n.to_bytes(256, "big"), numbers.e.to_bytes(3, "big")
    return tlv(_PUBLIC_KEY, tlv(_MODULUS, modulus) + tlv(_EXPONENT, exponent))


def sign(key: Key, digest_info: bytes) -> bytes:
    """PKCS#1 v1.5 over a DigestInfo, which the host has made.

    Raises:
        Refused: it is not a DigestInfo.
    """
    for head, algorithm in _DIGEST_INFOS.items():
        digest = digest_info[len(head) :]
        if digest_info.startswith(head) and len(digest) == algorithm.digest_size:
            return key.sign(digest, padding.PKCS1v15(), Prehashed(algorithm))
    raise Refused(WRONG_DATA)
