"""How a token is asked to sign, for everything a slot may offer; the token is played by its arithmetic."""

from __future__ import annotations

from itertools import chain, combinations, product

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from pkcs11 import MGF, Mechanism

from kiosk.tokens.mechanisms import SigningWay, signature_kinds, signing_way
from kiosk.tokens.wire import Digest, SignatureKind

DATA = b"what is signed" * 100
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP384R1())

HASHES: dict[Digest, hashes.HashAlgorithm] = {
    Digest.SHA256: hashes.SHA256(),
    Digest.SHA384: hashes.SHA384(),
    Digest.SHA512: hashes.SHA512(),
}
PLAIN = {
    SignatureKind.RSA_PKCS1: Mechanism.RSA_PKCS,
    SignatureKind.RSA_PSS: Mechanism.RSA_PKCS_PSS,
    SignatureKind.ECDSA: Mechanism.ECDSA,
}
HASHING = {
    Mechanism.SHA256_RSA_PKCS: (SignatureKind.RSA_PKCS1, Digest.SHA256),
    Mechanism.SHA384_RSA_PKCS: (SignatureKind.RSA_PKCS1, Digest.SHA384),
    Mechanism.SHA512_RSA_PKCS: (SignatureKind.RSA_PKCS1, Digest.SHA512),
    Mechanism.SHA256_RSA_PKCS_PSS: (SignatureKind.RSA_PSS, Digest.SHA256),
    Mechanism.SHA384_RSA_PKCS_PSS: (SignatureKind.RSA_PSS, Digest.SHA384),
    Mechanism.SHA512_RSA_PKCS_PSS: (SignatureKind.RSA_PSS, Digest.SHA512),
    Mechanism.ECDSA_SHA256: (SignatureKind.ECDSA, Digest.SHA256),
    Mechanism.ECDSA_SHA384: (SignatureKind.ECDSA, Digest.SHA384),
    Mechanism.ECDSA_SHA512: (SignatureKind.ECDSA, Digest.SHA512),
}


def pss(digest: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


def signed_by_token(way: SigningWay, given: bytes) -> bytes:
    """What PKCS#11 2.40 says that the mechanism does with what it is given (mechanisms §2.1.6, §2.1.10, §2.3.6)."""
    digest = HASHES[way.digest]
    known = Prehashed(digest) if way.mechanism in PLAIN.values() else digest
    match way.kind:
        case SignatureKind.RSA_PKCS1 if way.mechanism is Mechanism.RSA_PKCS:
            size = RSA_KEY.key_size // 8
            block = b"\x00\x01" + b"\xff" * (size - 3 - len(given)) + b"\x00" + given
            numbers = RSA_KEY.private_numbers()
            return pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")
        case SignatureKind.RSA_PKCS1:
            return RSA_KEY.sign(given, padding.PKCS1v15(), known)
        case SignatureKind.RSA_PSS:
            name = type(digest).__name__
            assert way.parameter == (Mechanism[name], MGF[name], digest.digest_size)
            return RSA_KEY.sign(given, pss(digest), known)
        case SignatureKind.ECDSA:
            return EC_KEY.sign(given, ec.ECDSA(known))


def check(way: SigningWay, signature: bytes) -> None:
    digest = HASHES[way.digest]
    match way.kind:
        case SignatureKind.RSA_PKCS1:
            RSA_KEY.public_key().verify(signature, DATA, padding.PKCS1v15(), digest)
        case SignatureKind.RSA_PSS:
            RSA_KEY.public_key().verify(signature, DATA, pss(digest), digest)
        case SignatureKind.ECDSA:
            EC_KEY.public_key().verify(signature, DATA, ec.ECDSA(digest))


@pytest.mark.parametrize(("kind", "digest"), product(SignatureKind, Digest))
def test_a_signature_verifies_by_whichever_mechanism_it_is_made(kind: SignatureKind, digest: Digest) -> None:
    hashing = next(each for each, what in HASHING.items() if what == (kind, digest))
    for mechanism in (PLAIN[kind], hashing):
        way = signing_way(kind, digest, {mechanism})
        assert way is not None
        assert way.mechanism is mechanism
        check(way, signed_by_token(way, way.input_of(DATA)))
    both = signing_way(kind, digest, {PLAIN[kind], hashing})
    assert both is not None
    assert both.mechanism is PLAIN[kind], "the older one"


@pytest.mark.parametrize(("kind", "digest"), product(SignatureKind, Digest))
def test_nothing_is_signed_by_what_is_not_offered(kind: SignatureKind, digest: Digest) -> None:
    others = {*PLAIN.values(), *HASHING} - {PLAIN[kind], *(each for each, w in HASHING.items() if w == (kind, digest))}
    assert signing_way(kind, digest, others) is None


def test_what_a_slot_can_is_told_for_everything_it_may_offer() -> None:
    relevant = [*PLAIN.values(), *(each for each, (_, digest) in HASHING.items() if digest is Digest.SHA256)]
    offers = list(chain.from_iterable(combinations(relevant, count) for count in range(len(relevant) + 1)))
    assert len(offers) == 2 ** len(relevant)
    for offer in offers:
        told = signature_kinds({*offer, Mechanism.ECDSA_SHA1, 0x80000001})
        able = {kind for kind, each in PLAIN.items() if each in offer} | {HASHING[m][0] for m in offer if m in HASHING}
        assert set(told) == able
