"""Protection by a shared secret: right, wrong, and asking for too much."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.cmp import der
from kiosk.cmp.algorithms import NULL, PBM, PBMAC1, Algorithm
from kiosk.cmp.envelope import Header, read_message, write_protected
from kiosk.cmp.mac import (
    LONGEST_SALT,
    MOST_ITERATIONS,
    MacKind,
    SharedSecret,
    UnsupportedMac,
    WrongMac,
    compute_mac,
    is_mac,
    read_mac_parameters,
    verify_mac,
)
from kiosk.cmp.messages import Pbkdf2Parameters, Pbmac1Parameters, PbmParameters
from kiosk.cmp.vocabulary import BodyType
from tests.cmp.pki import NOW

SECRET = b"12345678901234560"
SALT = b"salt" * 4
HMAC_SHA1 = Algorithm("1.3.6.1.5.5.8.1.2", NULL)
HMAC_SHA256 = Algorithm("1.2.840.113549.2.9", NULL)
HMAC_SHA512 = Algorithm("1.2.840.113549.2.11")
SHA1 = Algorithm("1.3.14.3.2.26", NULL)
SHA256 = Algorithm("2.16.840.1.101.3.4.2.1")
SHA512 = Algorithm("2.16.840.1.101.3.4.2.3", NULL)
PBKDF2 = "1.2.840.113549.1.5.12"


def pbm(
    salt: bytes = SALT, iterations: int = 500, one_way: Algorithm = SHA256, mac: Algorithm = HMAC_SHA256
) -> Algorithm:
    parameters = PbmParameters(salt=salt, one_way=one_way.items(), iterations=iterations, mac=mac.items())
    return Algorithm(PBM, der.encode(parameters))


def pbmac1(
    salt: bytes = SALT,
    iterations: int = 500,
    key_length: int | None = 32,
    pseudo_random: Algorithm | None = HMAC_SHA256,
    mac: Algorithm = HMAC_SHA256,
    derivation: str = PBKDF2,
) -> Algorithm:
    pbkdf2 = Pbkdf2Parameters(
        salt=salt,
        iterations=iterations,
        key_length=key_length,
        pseudo_random=None if pseudo_random is None else pseudo_random.items(),
    )
    parameters = Pbmac1Parameters(derivation=Algorithm(derivation, der.encode(pbkdf2)).items(), mac=mac.items())
    return Algorithm(PBMAC1, der.encode(parameters))


def test_pbm_is_what_the_rfc_says() -> None:
    key = SECRET + SALT
    for _ in range(500):
        key = hashlib.sha512(key).digest()
    expected = hmac.new(key, b"data", "sha256").digest()
    verify_mac(pbm(one_way=SHA512), SECRET, expected, b"data")


def test_pbmac1_is_what_the_rfc_says() -> None:
    key = hashlib.pbkdf2_hmac("sha512", SECRET, SALT, 500, 48)
    expected = hmac.new(key, b"data", "sha256").digest()
    verify_mac(pbmac1(key_length=48, pseudo_random=HMAC_SHA512), SECRET, expected, b"data")


def test_a_key_length_left_out_is_that_of_the_mac() -> None:
    key = hashlib.pbkdf2_hmac("sha256", SECRET, SALT, 500, 64)
    verify_mac(pbmac1(key_length=None, mac=HMAC_SHA512), SECRET, hmac.new(key, b"data", "sha512").digest(), b"data")


TOO_MUCH_OR_TOO_LITTLE = {
    "bare HMAC": HMAC_SHA256,
    "bare HMAC with SHA-1": HMAC_SHA1,
    "no parameters": Algorithm(PBM),
    "parameters that are none": Algorithm(PBM, NULL),
    "parameters that are too long": Algorithm(PBM, der.write_octets(b"\0" * 600)),
    "PBM over SHA-1": pbm(one_way=SHA1),
    "PBM with HMAC-SHA-1, OpenSSL's default": pbm(mac=HMAC_SHA1),
    "PBM, few iterations": pbm(iterations=99),
    "PBM, many iterations": pbm(iterations=MOST_ITERATIONS + 1),
    "PBM, huge iterations": pbm(iterations=1 << 2000),
    "PBM, negative iterations": pbm(iterations=-500),
    "PBM, short salt": pbm(salt=b"1234567"),
    "PBM, long salt": pbm(salt=b"s" * (LONGEST_SALT + 1)),
    "PBMAC1 without pseudo-random function, which means SHA-1": pbmac1(pseudo_random=None),
    "PBMAC1 over SHA-1": pbmac1(pseudo_random=HMAC_SHA1),
    "PBMAC1 with HMAC-SHA-1": pbmac1(mac=HMAC_SHA1),
    "PBMAC1 by another derivation": pbmac1(derivation="1.3.6.1.4.1.11591.4.11"),
    "PBMAC1, few iterations": pbmac1(iterations=1),
    "PBMAC1, many iterations": pbmac1(iterations=MOST_ITERATIONS + 1),
    "PBMAC1, short key": pbmac1(key_length=8),
    "PBMAC1, long key": pbmac1(key_length=1 << 20),
    "PBMAC1, short salt": pbmac1(salt=b""),
}


@pytest.mark.parametrize("algorithm", TOO_MUCH_OR_TOO_LITTLE.values(), ids=TOO_MUCH_OR_TOO_LITTLE)
def test_what_asks_for_too_much_or_too_little_is_refused(algorithm: Algorithm) -> None:
    with pytest.raises(UnsupportedMac):
        verify_mac(algorithm, SECRET, b"\0" * 32, b"data")


@pytest.mark.parametrize("kind", MacKind)
async def test_a_message_is_protected_by_a_secret(kind: MacKind) -> None:
    secret = SharedSecret(reference=b"TKYM1408054", secret=SECRET, kind=kind)
    header = Header(sender=None, recipient=None, message_time=NOW, transaction_id=b"t" * 16)
    message = read_message(await write_protected(header, BodyType.GENM, der.EMPTY_SEQUENCE, secret))
    assert message.header.sender == der.EMPTY_SEQUENCE
    assert message.header.sender_key_id == b"TKYM1408054"
    assert message.extra_certificates == ()
    assert message.header.protection_algorithm
    assert is_mac(message.header.protection_algorithm)
    message.verify_mac(SECRET)
    with pytest.raises(WrongMac):
        message.verify_mac(SECRET[::-1])
    with pytest.raises(WrongMac):
        replace(message, protected_part=message.protected_part + b"\0").verify_mac(SECRET)
    with pytest.raises(WrongMac):
        replace(message, protection=None).verify_mac(SECRET)
    with pytest.raises(UnsupportedMac):
        replace(message, header=replace(message.header, protection_algorithm=None)).verify_mac(SECRET)


def test_each_secret_has_a_salt_of_its_own_and_shows_nothing() -> None:
    one, other = (SharedSecret(reference=b"ID", secret=SECRET) for _ in range(2))
    assert one.algorithm != other.algorithm
    assert one.algorithm == one.algorithm
    assert "1234" not in repr(one)


@settings(max_examples=200)
@given(st.binary(max_size=120), st.sampled_from([PBM, PBMAC1]))
def test_parameters_of_any_form_are_judged(parameters: bytes, identifier: str) -> None:
    with pytest.raises(UnsupportedMac):
        read_mac_parameters(Algorithm(identifier, parameters))


@settings(max_examples=200)
@given(st.data(), st.sampled_from([pbm(), pbmac1()]))
def test_damaged_parameters_cost_nothing_out_of_bounds(data: st.DataObject, good: Algorithm) -> None:
    spoiled = bytearray(good.parameters or b"")
    spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        judged = read_mac_parameters(Algorithm(good.identifier, bytes(spoiled)))
    except UnsupportedMac:
        return
    assert judged.iterations <= MOST_ITERATIONS
    assert compute_mac(judged, SECRET, b"data")
