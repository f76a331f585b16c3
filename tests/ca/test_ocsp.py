"""What OCSP says of each certificate, in which form, and to whom it says nothing (RFC 6960, RFC 9654)."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponse, OCSPResponseStatus
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.ocsp import OcspAnswer, OcspResponder
from kiosk.ca.policy import Policy
from kiosk.certificates import Certificate
from tests.ca.bank import START, Bank, new_key, on_both
from tests.mutations import TRIED, ByHypothesis, mutated

TRIES = int(os.environ.get("KIOSK_SOAK", "100"))
GOOD, REVOKED, UNKNOWN = OCSPCertStatus.GOOD, OCSPCertStatus.REVOKED, OCSPCertStatus.UNKNOWN
MALFORMED, UNAUTHORIZED = OCSPResponseStatus.MALFORMED_REQUEST, OCSPResponseStatus.UNAUTHORIZED
SHA1, SHA256 = hashes.SHA1(), hashes.SHA256()  # noqa: S303


def request(
    serial: int | Certificate,
    issuer: Certificate,
    *extensions: x509.ExtensionType,
    digest: hashes.HashAlgorithm = SHA256,
    critical: bool = False,
) -> bytes:
    number = serial if isinstance(serial, int) else serial.serial_number
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(*names(issuer, digest.name), number, digest)
    for extension in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.build().public_bytes(Encoding.DER)


def names(issuer: Certificate, digest: str) -> tuple[bytes, bytes]:
    """issuerNameHash and issuerKeyHash as RFC 6960 §4.1.1 has them."""
    point = issuer.x509.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    name, key = (hashlib.new(digest, each).digest() for each in (issuer.subject_der, point))
    return name, key


def answer(bank: Bank, asked: bytes) -> OcspAnswer:
    return OcspResponder(bank.authority, bank.book, bank.policy).answer(asked)


def ask(bank: Bank, serial: int | Certificate, *extensions: x509.ExtensionType) -> OCSPResponse:
    return ocsp.load_der_ocsp_response(answer(bank, request(serial, bank.authority.issuing, *extensions)).der)


def refusal(bank: Bank, asked: bytes) -> OCSPResponseStatus:
    told = answer(bank, asked)
    assert told.next_update is None
    return ocsp.load_der_ocsp_response(told.der).response_status


@on_both
async def test_each_state_and_what_is_said_of_it(bank: Bank) -> None:
    valid, compromised, plain, old = (bank.holder(name=f"H{number}") for number in range(4))
    bank.revoke(compromised.certificate)
    await bank.client.revoke(plain, plain.certificate)
    issued = await bank.client.update(old, new_key())
    rejected = await bank.client.update(valid, new_key())
    await bank.client.reject(rejected, "no")

    def said(certificate: Certificate) -> tuple[OCSPCertStatus, x509.ReasonFlags | None]:
        told = ask(bank, certificate)
        assert (told.revocation_time_utc == bank.now) == (told.certificate_status is REVOKED)
        return told.certificate_status, told.revocation_reason

    assert said(valid.certificate) == (GOOD, None)
    assert said(compromised.certificate) == (REVOKED, x509.ReasonFlags.key_compromise)
    assert said(plain.certificate) == (REVOKED, None)
    assert said(old.certificate) == (GOOD, None)
    assert said(issued.certificate) == (GOOD, None), "not confirmed is not revoked"
    assert said(rejected.certificate) == (REVOKED, x509.ReasonFlags.cessation_of_operation)
    await bank.client.confirm(issued)
    assert said(issued.certificate) == (GOOD, None)
    assert said(old.certificate) == (REVOKED, x509.ReasonFlags.superseded)


def test_the_time_of_a_revocation_is_told_later_too(bank: Bank) -> None:
    holder = bank.holder()
    bank.revoke(holder.certificate)
    bank.now += timedelta(days=9, microseconds=7)
    told = ask(bank, holder.certificate)
    assert told.revocation_time_utc == START
    assert told.this_update_utc == bank.now.replace(microsecond=0)


def test_a_negative_serial_number_is_malformed(bank: Bank) -> None:
    asked = request(2**126, bank.authority.issuing)
    place = asked.rindex((2**126).to_bytes(16, "big"))
    spoiled = asked[:place] + bytes([asked[place] ^ 0x80]) + asked[place + 1 :]
    assert refusal(bank, spoiled) is MALFORMED


@pytest.mark.parametrize("serial", [0, 1, 2**127 + 5, 2**159 - 1, 2**4000])
def test_what_was_never_issued_is_unknown_and_kept_by_nobody(bank: Bank, serial: int) -> None:
    told = answer(bank, request(serial, bank.authority.issuing))
    assert ocsp.load_der_ocsp_response(told.der).certificate_status is UNKNOWN
    assert told.next_update is None


def test_whoever_signs_for_the_ca_is_known_though_no_holder_has_it(bank: Bank) -> None:
    for own in (bank.authority.signer.certificate, bank.authority.ocsp):
        assert ask(bank, own).certificate_status is GOOD


@pytest.mark.parametrize("digest", [SHA1, SHA256], ids=["sha1", "sha256"])
def test_an_answer_is_in_date_by_key_and_by_the_signer_alone(bank: Bank, digest: hashes.HashAlgorithm) -> None:
    bank.policy = Policy(status_life=timedelta(minutes=3))
    holder, authority = bank.holder().certificate, bank.authority
    told = answer(bank, request(holder, authority.issuing, digest=digest))
    response = ocsp.load_der_ocsp_response(told.der)
    assert response.response_status is OCSPResponseStatus.SUCCESSFUL
    assert (response.serial_number, response.hash_algorithm.name) == (holder.serial_number, digest.name)
    assert (response.issuer_name_hash, response.issuer_key_hash) == names(authority.issuing, digest.name)
    assert (response.this_update_utc, response.next_update_utc) == (START, START + timedelta(minutes=3))
    assert (told.this_update, told.next_update) == (response.this_update_utc, response.next_update_utc)
    assert [each.public_bytes(Encoding.DER) for each in response.certificates] == [authority.ocsp.der]
    assert response.responder_name is None
    assert response.responder_key_hash == authority.ocsp.subject_key_identifier
    key = authority.ocsp.public_key
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(SHA256))


def test_the_signer_is_authorised_by_the_issuing_ca_for_this_alone(authority: Authority) -> None:
    signer = authority.ocsp.x509
    signer.verify_directly_issued_by(authority.issuing.x509)
    assert authority.ocsp.purposes == {"1.3.6.1.5.5.7.3.9"}
    assert signer.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert authority.ocsp.public_key_der not in {authority.issuing.public_key_der, authority.root.public_key_der}


@pytest.mark.parametrize("length", [1, 16, 32, 128])
def test_a_nonce_comes_back_and_such_an_answer_is_kept_by_nobody(bank: Bank, length: int) -> None:
    nonce = x509.OCSPNonce(b"n" * length)
    told = answer(bank, request(bank.holder().certificate, bank.authority.issuing, nonce))
    response = ocsp.load_der_ocsp_response(told.der)
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value == nonce
    assert told.next_update is None
    assert response.next_update_utc is not None


def test_no_nonce_comes_to_whoever_sends_none(bank: Bank) -> None:
    assert len(ask(bank, bank.holder().certificate).extensions) == 0


@pytest.mark.parametrize("length", [0, 129, 1000])
def test_a_nonce_of_no_such_length_is_malformed(bank: Bank, length: int) -> None:
    nonce = x509.OCSPNonce(b"n" * length)
    assert refusal(bank, request(bank.holder().certificate, bank.authority.issuing, nonce)) is MALFORMED


@pytest.mark.parametrize(("critical", "status"), [(True, MALFORMED), (False, OCSPResponseStatus.SUCCESSFUL)])
def test_what_is_critical_and_unknown_is_not_overlooked(bank: Bank, critical: bool, status: OCSPResponseStatus) -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    asked = request(bank.holder().certificate, bank.authority.issuing, odd, critical=critical)
    assert ocsp.load_der_ocsp_response(answer(bank, asked).der).response_status is status


def test_other_cas_are_none_of_ours(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By name, by key, or by both; and our own root, whose certificates are not in the ledger."""
    other = create_authority(tmp_path_factory.mktemp("other") / "ca", clock=lambda: START).issuing
    mine, holder = bank.authority.issuing, bank.holder().certificate
    assert mine.subject_der == other.subject_der
    assert refusal(bank, request(holder, other)) is UNAUTHORIZED
    assert refusal(bank, request(holder, bank.authority.root)) is UNAUTHORIZED
    name, key = names(mine, "sha256")
    for pair in ((b"n" * 32, key), (name, b"k" * 32)):
        asked = ocsp.OCSPRequestBuilder().add_certificate_by_hash(*pair, holder.serial_number, SHA256).build()
        assert refusal(bank, asked.public_bytes(Encoding.DER)) is UNAUTHORIZED


def test_hashes_that_nobody_uses_are_not_answered(bank: Bank) -> None:
    holder = bank.holder().certificate
    assert refusal(bank, request(holder, bank.authority.issuing, digest=hashes.SHA512())) is UNAUTHORIZED


@settings(max_examples=TRIES)
@given(st.data())
def test_whatever_comes_is_answered(authority: Authority, data: st.DataObject) -> None:
    """Nothing of this reaches the ledger: it is not even there."""
    responder = OcspResponder(authority, NoLedger(), Policy())  # type: ignore[arg-type]
    good = request(authority.signer.certificate, authority.issuing, x509.OCSPNonce(b"n" * 16))
    draw = ByHypothesis(data)
    asked = draw.data(200) if draw.pick([True, False], "anything") else mutated(draw, good)
    TRIED["CA: OCSP, whole answers"] += 1
    told = responder.answer(asked)
    response = ocsp.load_der_ocsp_response(told.der)
    assert response.response_status in {OCSPResponseStatus.SUCCESSFUL, MALFORMED, UNAUTHORIZED}


class NoLedger:
    """Knows of no certificate."""

    def read(self) -> NoLedger:
        return self

    def __enter__(self) -> NoLedger:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, *_: object) -> NoLedger:
        return self

    def one_or_none(self) -> None:
        return None

    def now(self, _: object) -> datetime:
        return START
