"""What is written is read again, byte for byte; what is damaged is refused, and nothing else happens."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kiosk.certificates import UnreadableCertificate, public_key_of, read_certificate
from kiosk.cmp import der
from kiosk.cmp.algorithms import (
    DIGESTS,
    NULL,
    Algorithm,
    Family,
    SignatureScheme,
    UnsupportedSignature,
    WrongSignature,
    family_of,
    pss_scheme,
    scheme_of_key,
    verify,
)
from kiosk.cmp.envelope import Header, read_message, write_protected
from kiosk.cmp.errors import LONGEST_TEXT, MalformedMessage, bounded_text
from kiosk.cmp.general import (
    CrlStatus,
    read_crl_statuses,
    read_general,
    read_list,
    read_template,
    write_crl_statuses,
    write_general,
    write_list,
    write_template,
)
from kiosk.cmp.infos import Info
from kiosk.cmp.messages import (
    CertificationRequest,
    CertRepMessage,
    CertReqMsg,
    CertReqTemplateContent,
    CertRequest,
    CertStatus,
    CertTemplate,
    ErrorMsgContent,
    Extension,
    PkiHeader,
    PkiMessage,
    PssParameters,
    RevDetails,
    RevRepContent,
    SubjectPublicKeyInfo,
    TypeAndValue,
)
from kiosk.cmp.polling import PollAnswer, read_poll_answer, read_poll_request, write_poll_answer, write_poll_request
from kiosk.cmp.requests import (
    public_key_der,
    read_pkcs10,
    read_requests,
    write_pkcs10,
    write_request,
    write_update,
)
from kiosk.cmp.responses import (
    CertificateResponse,
    CertificateResponses,
    Confirmation,
    certificate_hash,
    read_confirmations,
    read_responses,
    write_confirmation,
    write_responses,
)
from kiosk.cmp.revocations import (
    RevocationRequest,
    read_revocation_answer,
    read_revocations,
    write_revocation_answer,
    write_revocations,
)
from kiosk.cmp.signing import PrivateKey, SoftwareKey
from kiosk.cmp.status import StatusInfo, read_error, write_error
from kiosk.cmp.vocabulary import CRL_REASON, RSA_LENGTH_CONTROL, BodyType, FailInfo
from tests.cmp.pki import NOW, Pki, name, new_key

octets = st.binary(max_size=40)
times = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC))
values = st.one_of(octets.map(der.write_octets), st.just(b"\x05\x00"))
oids = st.sampled_from(["1.3.6.1.5.5.7.4.17", "2.5.4.3", "1.2.3.4.5.6"])
infos = st.builds(Info, oids, st.none() | values)
names = st.sampled_from([name(each).public_bytes() for each in ("あ", "Demo CA", "x" * 64)] + [b"\x30\x00"])
statuses = st.builds(
    StatusInfo,
    st.integers(0, 6),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=3).map(tuple),
    st.frozensets(st.sampled_from(FailInfo)),
)
headers = st.builds(
    Header,
    pvno=st.integers(0, 5),
    sender=st.none(),
    recipient=names,
    message_time=st.none() | times,
    transaction_id=st.none() | octets,
    sender_nonce=st.none() | octets,
    recipient_nonce=st.none() | octets,
    general_info=st.lists(infos, max_size=3).map(tuple),
)
responses = st.builds(
    CertificateResponses,
    responses=st.lists(
        st.builds(CertificateResponse, request_id=st.integers(), status=statuses, certificate=st.none() | values),
        max_size=3,
    ).map(tuple),
    ca_pubs=st.lists(values, max_size=2).map(tuple),
)
quickly = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quickly
@given(header=headers, body=values, body_type=st.sampled_from(BodyType))
def test_a_message_is_read_as_it_was_written(pki: Pki, header: Header, body: bytes, body_type: BodyType) -> None:
    signer = pki.customer
    message = read_message(asyncio.run(write_protected(header, body_type, body, signer)))
    assert replace(message.header, sender=None, sender_key_id=None, protection_algorithm=None) == header
    assert message.header.sender == signer.certificate.subject_der
    assert message.header.sender_key_id == signer.certificate.subject_key_identifier
    assert (message.body_type, message.body) == (body_type, body)
    assert message.extra_certificates == tuple(each.der for each in (signer.certificate, *signer.chain))
    message.verify_protection(signer.certificate.public_key)


@quickly
@given(statuses)
def test_errors_round_trip(status: StatusInfo) -> None:
    written = write_error(status)
    assert read_error(written) == status
    assert der.encode(der.decode(ErrorMsgContent, written)) == written


@quickly
@given(responses)
def test_responses_round_trip(content: CertificateResponses) -> None:
    written = write_responses(content)
    assert read_responses(written) == content
    assert der.encode(der.decode(CertRepMessage, written)) == written


hash_algorithms = st.none() | st.builds(Algorithm, st.sampled_from([*DIGESTS, "1.3.14.3.2.26"]), st.none() | values)


@quickly
@given(
    st.builds(
        Confirmation,
        cert_hash=octets,
        request_id=st.integers(),
        status=st.none() | statuses,
        hash_algorithm=hash_algorithms,
    )
)
def test_confirmations_round_trip(confirmation: Confirmation) -> None:
    written = write_confirmation(confirmation)
    assert read_confirmations(written) == (confirmation,)
    (one,) = der.read_items(written)
    assert der.sequence_of([der.encode(der.decode(CertStatus, der.value_bytes(one)))]) == written


@quickly
@given(st.lists(infos, max_size=4))
def test_general_messages_round_trip(told: list[Info]) -> None:
    assert read_general(write_general(told)) == tuple(told)


@quickly
@given(st.frozensets(st.sampled_from(["rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"])))
def test_templates_round_trip(kinds: frozenset[str]) -> None:
    assert read_template(write_template(kinds)).key_kinds == kinds


@quickly
@given(st.lists(values, max_size=4))
def test_certificate_lists_round_trip(certificates: list[bytes]) -> None:
    assert read_list(write_list(certificates)) == tuple(certificates)


crl_statuses = st.builds(CrlStatus, names, st.none() | times)


@quickly
@given(st.lists(crl_statuses, max_size=3))
def test_crl_statuses_round_trip(statuses: list[CrlStatus]) -> None:
    assert read_crl_statuses(write_crl_statuses(statuses)) == tuple(statuses)


@quickly
@given(st.lists(st.integers(), max_size=3))
def test_poll_requests_round_trip(numbers: list[int]) -> None:
    assert read_poll_request(write_poll_request(numbers)) == tuple(numbers)


texts = st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=2).map(tuple)


@quickly
@given(st.lists(st.builds(PollAnswer, st.integers(), st.integers(), texts), max_size=3))
def test_poll_answers_round_trip(answers: list[PollAnswer]) -> None:
    assert read_poll_answer(write_poll_answer(answers)) == tuple(answers)


revocations = st.builds(
    RevocationRequest, st.none() | names, st.none() | st.integers(), st.none() | st.integers(0, 255)
)


@quickly
@given(st.lists(revocations, max_size=3))
def test_revocations_round_trip(requests: list[RevocationRequest]) -> None:
    assert read_revocations(write_revocations(requests)) == tuple(requests)


@quickly
@given(st.lists(statuses, max_size=3), st.booleans())
def test_revocation_answers_round_trip(pki: Pki, told: list[StatusInfo], named: bool) -> None:
    written = write_revocation_answer(told, [pki.customer.certificate] * len(told) if named else [])
    assert read_revocation_answer(written) == tuple(told)
    assert der.encode(der.decode(RevRepContent, written)) == written


@pytest.mark.parametrize("value", [b"", b"\x0a\x02\x00\x01", b"\x02\x01\x01", b"\x0a\x01"])
def test_a_reason_that_is_none_is_malformed(value: bytes) -> None:
    entry = [Extension(kind=x509.ObjectIdentifier(CRL_REASON), critical=False, value=value)]
    details = RevDetails(certificate=CertTemplate(serial_number=1), entry=entry)
    with pytest.raises(MalformedMessage):
        read_revocations(der.sequence_of([der.encode(details)]))


@quickly
@given(times)
def test_times_round_trip(moment: datetime) -> None:
    assert der.read_time(der.write_time(moment)) == moment


async def test_an_update_round_trips(pki: Pki) -> None:
    key = SoftwareKey(new_key())
    written = await write_update(pki.customer.certificate, key)
    (request,) = read_requests(written)
    assert request.public_key_der == public_key_der(key.public_key)
    (one,) = der.read_items(written)
    message = der.decode(CertReqMsg, der.value_bytes(one))
    assert der.sequence_of([der.encode(message)]) == written
    inner = der.value_bytes(message.request)
    assert der.encode(der.decode(CertRequest, inner)) == inner == request.request_der


async def test_a_first_request_round_trips(pki: Pki) -> None:
    key = SoftwareKey(new_key())
    for subject in (None, b"\x30\x00", pki.customer.certificate.subject_der):
        (request,) = read_requests(await write_request(key, subject_der=subject))
        assert (request.subject_der, request.old_certificate, request.request_id) == (subject, None, 0)
        assert request.public_key_der == public_key_der(key.public_key)
        request.verify_proof(request.public_key())


async def test_a_request_in_pkcs10_is_what_others_read(pki: Pki) -> None:
    subject = pki.customer.certificate.subject_der
    for private_key in KEYS:
        key = SoftwareKey(private_key)
        written = await write_pkcs10(key, subject)
        theirs = x509.load_der_x509_csr(written)
        assert theirs.is_signature_valid
        assert theirs.subject.public_bytes() == subject
        ours = read_pkcs10(written)
        assert (ours.subject_der, ours.public_key_der) == (subject, public_key_der(key.public_key))
        ours.verify_proof(ours.public_key())
        assert der.encode(der.decode(CertificationRequest, written)) == written


def test_a_request_in_pkcs10_by_others_is_read(pki: Pki) -> None:
    key = new_key()
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("あ"))
    plain = read_pkcs10(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    builder = builder.add_attribute(x509.ObjectIdentifier("1.2.840.113549.1.9.7"), b"challenge")
    challenged = read_pkcs10(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    extended = read_pkcs10(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    assert [each.has_extensions for each in (plain, challenged, extended)] == [False, False, True]
    for request in (plain, challenged, extended):
        request.verify_proof(request.public_key())
        with pytest.raises(WrongSignature):
            request.verify_proof(pki.customer.certificate.public_key)


@pytest.mark.parametrize("digest", DIGESTS.values(), ids=lambda digest: digest.name)
async def test_pss_signs_and_verifies(digest: hashes.HashAlgorithm) -> None:
    key = SoftwareKey(KEYS[0], pss_scheme(digest))
    assert family_of(key.scheme.algorithm) is Family.RSA_PSS
    signature = await key.sign(b"data")
    verify(key.scheme.algorithm, key.public_key, signature, b"data")
    with pytest.raises(WrongSignature):
        verify(key.scheme.algorithm, key.public_key, signature, b"other")
    with pytest.raises(UnsupportedSignature):
        verify(key.scheme.algorithm, new_key().public_key(), signature, b"data")
    request = read_requests(await write_request(key))[0]
    request.verify_proof(request.public_key())


def pss(**spoiled: object) -> Algorithm:
    good = der.decode(PssParameters, SCHEME.algorithm.parameters or b"")
    for field, value in spoiled.items():
        setattr(good, field, value)
    return Algorithm(SCHEME.algorithm.identifier, der.encode(good))


SCHEME: SignatureScheme = pss_scheme(hashes.SHA256())
SHA1_ITEMS = Algorithm("1.3.14.3.2.26", NULL).items()
SHA512_ITEMS = Algorithm("2.16.840.1.101.3.4.2.3").items()
MGF1_SHA512 = Algorithm("1.2.840.113549.1.1.8", der.write_items(SHA512_ITEMS)).items()
BAD_PSS = {
    "no parameters": Algorithm(SCHEME.algorithm.identifier),
    "empty ones, which mean SHA-1": Algorithm(SCHEME.algorithm.identifier, b"\x30\x00"),
    "none that can be read": Algorithm(SCHEME.algorithm.identifier, NULL),
    "SHA-1": pss(digest=SHA1_ITEMS),
    "no hash": pss(digest=None),
    "another hash in the mask": pss(mask=MGF1_SHA512),
    "no mask": pss(mask=None),
    "mask without hash": pss(mask=Algorithm("1.2.840.113549.1.1.8").items()),
    "short salt": pss(salt_length=20),
    "no salt": pss(salt_length=None),
    "negative salt": pss(salt_length=-1),
    "huge salt": pss(salt_length=1 << 70),
    "another trailer": pss(trailer=2),
}


@pytest.mark.parametrize("algorithm", BAD_PSS.values(), ids=BAD_PSS)
def test_pss_with_other_parameters_is_not_accepted(algorithm: Algorithm) -> None:
    with pytest.raises(UnsupportedSignature):
        verify(algorithm, KEYS[0].public_key(), b"", b"")


def test_a_salt_for_which_the_key_has_no_room_does_not_verify() -> None:
    with pytest.raises(WrongSignature):
        verify(pss(salt_length=900), KEYS[0].public_key(), b"\0" * 256, b"")


def test_pss_as_openssl_writes_it_is_accepted() -> None:
    key = rsa.generate_private_key(65537, 2048)
    for salt_length in (32, 222):
        signed = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length)
        csr = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(name("a"))
            .sign(key, hashes.SHA256(), rsa_padding=signed)
        )
        request = read_pkcs10(csr.public_bytes(Encoding.DER))
        request.verify_proof(request.public_key())


async def test_a_named_hash_confirms_a_certificate(pki: Pki) -> None:
    certificate = pki.customer.certificate
    for identifier, digest in DIGESTS.items():
        assert len(certificate_hash(certificate, Algorithm(identifier, NULL))) == digest.digest_size
    for unknown in (Algorithm("1.3.14.3.2.26"), Algorithm("2.16.840.1.101.3.4.2.1", b"\x02\x01\x00")):
        with pytest.raises(UnsupportedSignature):
            certificate_hash(certificate, unknown)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_message_is_malformed_or_does_not_verify(pki: Pki, update: bytes, data: st.DataObject) -> None:
    spoiled = bytearray(update)
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(spoiled[: data.draw(st.integers(0, len(spoiled)))]) if data.draw(st.booleans()) else bytes(spoiled)
    try:
        message = read_message(cut)
        read_requests(message.body)
        message.verify_protection(pki.customer.certificate.public_key)
    except (MalformedMessage, UnsupportedSignature, WrongSignature):
        return
    original = read_message(update)
    assert (message.protected_part, message.protection) == (original.protected_part, original.protection)


@pytest.fixture(scope="module")
def update(pki: Pki) -> bytes:
    async def write() -> bytes:
        body = await write_update(pki.customer.certificate, SoftwareKey(new_key()))
        header = Header(sender=None, recipient=b"\x30\x00", message_time=NOW, transaction_id=b"t" * 16)
        return await write_protected(header, BodyType.KUR, body, pki.customer)

    return asyncio.run(write())


def test_a_message_is_encoded_again_as_it_came(update: bytes) -> None:
    assert der.encode(der.decode(PkiMessage, update)) == update


KEYS: list[PrivateKey] = [
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    ed25519.Ed25519PrivateKey.generate(),
]


@pytest.mark.parametrize("private_key", KEYS, ids=["rsa", "p256", "p384", "ed25519"])
async def test_every_kind_of_key_signs_and_verifies(private_key: PrivateKey) -> None:
    key = SoftwareKey(private_key)
    algorithm = scheme_of_key(key.public_key).algorithm
    signature = await key.sign(b"data")
    verify(algorithm, key.public_key, signature, b"data")
    with pytest.raises(WrongSignature):
        verify(algorithm, key.public_key, signature, b"other")


def test_short_rsa_keys_and_sha_1_are_not_worth_checking() -> None:
    short = rsa.RSAPublicNumbers(65537, (1 << 1023) + 1).public_key()
    with pytest.raises(UnsupportedSignature):
        verify(Algorithm("1.2.840.113549.1.1.11", b"\x05\x00"), short, b"", b"")
    with pytest.raises(UnsupportedSignature):
        verify(Algorithm("1.2.840.10045.4.1"), new_key().public_key(), b"", b"")


def test_failures_have_the_names_of_the_rfc() -> None:
    names_seen = {each.field_name for each in FailInfo}
    assert {"badPOP", "badAlg", "transactionIdInUse", "badRecipientNonce", "signerNotTrusted"} <= names_seen


def test_what_servers_say_is_bounded_and_printable() -> None:
    said = bounded_text(["a\u202e\x1b[2J\n" * 10, "b" * 10_000])
    assert len(said) <= LONGEST_TEXT
    assert said.isprintable()


@pytest.mark.parametrize("exponent", [1, 3, 65535, 65538, (1 << 256) + 1])
def test_rsa_keys_with_which_a_signature_proves_little_are_not_certified(update: bytes, exponent: int) -> None:
    (request,) = read_requests(read_message(update).body)
    with pytest.raises(UnsupportedSignature):
        replace(request, public_key_der=rsa_key(exponent)).public_key()
    assert replace(request, public_key_der=rsa_key(65537)).public_key()


def test_rsa_keys_with_which_a_signature_proves_little_are_not_worth_checking() -> None:
    with pytest.raises(UnsupportedSignature, match="exponent"):
        verify(Algorithm("1.2.840.113549.1.1.11"), public_key_of(rsa_key(3)), b"", b"")


def rsa_key(exponent: int) -> bytes:
    """SubjectPublicKeyInfo, also of keys that the library would not make."""
    key = rsa.generate_private_key(65537, 2048).public_key()
    numbers = der.sequence_of([der.encode(key.public_numbers().n), der.encode(exponent)])
    info = der.decode(SubjectPublicKeyInfo, public_key_der(key))
    return der.encode(SubjectPublicKeyInfo(algorithm=info.algorithm, key=asn1.BitString(numbers, 0)))


@pytest.mark.parametrize("bits", [-1, 0, 1024, 8193, 1 << 20_000], ids=["negative", "none", "short", "long", "huge"])
def test_lengths_that_no_rsa_key_has_are_left_out(bits: int) -> None:
    control = TypeAndValue(kind=x509.ObjectIdentifier(RSA_LENGTH_CONTROL), value=der.any_value(der.encode(bits)))
    template = der.encode(CertReqTemplateContent(template=CertTemplate(), key_spec=[control]))
    assert read_template(template).key_kinds == frozenset()


def test_a_certificate_signed_by_an_unknown_algorithm_is_unreadable(pki: Pki) -> None:
    ecdsa_with_sha_256, nothing = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d04037f")
    known = pki.customer.certificate
    assert isinstance(known.signature_hash, hashes.SHA256)
    assert certificate_hash(known) == known.fingerprint
    with pytest.raises(UnreadableCertificate):
        read_certificate(known.der.replace(ecdsa_with_sha_256, nothing))


def test_what_comes_along_is_counted_before_it_is_read(pki: Pki, update: bytes) -> None:
    with pytest.raises(MalformedMessage, match="33 infos"):
        read_general(write_general([Info("1.2.3")] * 33))
    message = der.decode(PkiMessage, update)
    header = der.decode(PkiHeader, der.value_bytes(message.header))
    header.general_info = [der.any_value(b"\x05\x00")] * 33
    message.header = der.any_value(der.encode(header))
    with pytest.raises(MalformedMessage, match="33 infos"):
        read_message(der.encode(message))
    message = der.decode(PkiMessage, update)
    message.extra_certs = [der.any_value(pki.customer.certificate.der)] * 65
    with pytest.raises(MalformedMessage, match="65 certificates"):
        read_message(der.encode(message))


def test_names_of_any_length_are_read_without_a_remark() -> None:
    # In a process of its own: pytest keeps every test's warnings apart from what the program has set.
    program = """
from cryptography import x509
from kiosk.cmp.envelope import canonical_name
attribute = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text, _validate=False)])
for text in ("x" * 65, ""):
    canonical_name(attribute(text).public_bytes())
"""
    done = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
