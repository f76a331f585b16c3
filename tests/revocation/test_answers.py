"""Which OCSP answers and CRLs count: a good one, and each spoiled in one place, refused for its own reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseBuilder, OCSPResponseStatus
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.certificates import Certificate
from kiosk.revocation.freshness import LONGEST_WITHOUT_END, TOLERANCE
from kiosk.revocation.lists import look_up
from kiosk.revocation.ocsp import Question
from kiosk.revocation.status import CertStatus, Status, StatusError, StatusFault, StatusNotTold, StatusNotTrusted
from tests.cmp.pki import NOW, Identity, Pki, certificate, new_key
from tests.mutations import TRIED, ByHypothesis, Draw, flipped
from tests.revocation.teller import CRITICAL, HOUR, OCSP_SIGNING, CrlTeller, OcspTeller, delegated, with_points

TRIES = int(os.environ.get("KIOSK_SOAK", "100"))
NONCE = b"n" * 32
URL = "http://ca.example/crl"
SECOND = timedelta(seconds=1)
F = StatusFault


@cache
def pki() -> Pki:
    return Pki()


@cache
def other_pki() -> Pki:
    """Another house with the same names."""
    return Pki()


@cache
def signer() -> Identity:
    return delegated(pki())


def customer() -> Certificate:
    return pki().customer.certificate


def ocsp(**told: object) -> Status:
    teller = OcspTeller(**{"pki": pki(), "signer": signer()} | told)  # type: ignore[arg-type]
    question = Question(customer(), pki().issuing.certificate, NONCE)
    return question.read(teller.answer(question.der), NOW)


def crl(**told: object) -> Status:
    teller = CrlTeller(**{"pki": pki()} | told)  # type: ignore[arg-type]
    return look_up(teller.crl(), URL, customer(), pki().issuing.certificate, NOW)


def fault(tell: Callable[..., Status], **told: object) -> StatusFault:
    with pytest.raises(StatusNotTrusted) as caught:
        tell(**told)
    return caught.value.fault


# --- OCSP -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({}, Status(CertStatus.GOOD, "ocsp")),
        ({"status": OCSPCertStatus.UNKNOWN}, Status(CertStatus.UNKNOWN, "ocsp")),
        ({"status": OCSPCertStatus.REVOKED}, Status(CertStatus.REVOKED, "ocsp", "", NOW - HOUR)),
        (
            {"status": OCSPCertStatus.REVOKED, "reason": x509.ReasonFlags.key_compromise},
            Status(CertStatus.REVOKED, "ocsp", "keyCompromise", NOW - HOUR),
        ),
    ],
)
def test_what_it_says_is_told(told: dict[str, object], status: Status) -> None:
    assert ocsp(**told) == status


def test_a_status_fits_in_a_line() -> None:
    status = ocsp(status=OCSPCertStatus.REVOKED, reason=x509.ReasonFlags.key_compromise)
    assert str(status) == "ocsp: revoked keyCompromise since 2026-03-01T02:04:05+00:00"
    assert str(ocsp()) == "ocsp: good"


def test_what_may_differ_between_responders() -> None:
    """By name or key, by the issuer itself, with further certificates, without nonce or end."""
    stranger = other_pki().customer.certificate
    rows: dict[str, dict[str, object]] = {
        "by name": {"by_name": True},
        "the issuer itself": {"signer": pki().issuing, "certificates": ()},
        "the issuer itself, named": {"signer": pki().issuing, "by_name": True},
        "others along": {"certificates": (stranger, signer().certificate)},
        "no nonce": {"nonce": lambda _: None},
        "no end": {"next_update": None},
        "just begun by a clock that is ahead": {"this_update": NOW + TOLERANCE, "next_update": NOW + HOUR},
        "just ended": {"this_update": NOW - HOUR, "next_update": NOW - TOLERANCE},
        "an extension that may be overlooked": {"extension": (CRITICAL, False)},
        "another hash": {"digest": hashes.SHA384()},
    }
    assert {name for name, told in rows.items() if ocsp(**told).cert_status is CertStatus.GOOD} == set(rows)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_signers_with_other_keys(kind: str) -> None:
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    own = certificate("OCSP Signer", key.public_key(), pki().issuing, purposes=[OCSP_SIGNING])
    teller = OcspTeller(pki=pki(), signer=Identity(key, own))  # type: ignore[arg-type]
    if kind == "ed25519":
        teller.digest = None  # type: ignore[assignment]  # as the library wants it
    question = Question(customer(), pki().issuing.certificate, NONCE)
    assert question.read(teller.answer(question.der), NOW).cert_status is CertStatus.GOOD


def test_a_forged_answer_by_each_field() -> None:
    other = other_pki()
    root = Identity(pki().root.key, pki().root.certificate)
    beginner = delegated(pki(), begin=NOW + HOUR, end=NOW + 2 * HOUR)
    rows: dict[str, tuple[dict[str, object], StatusFault]] = {
        "another serial": ({"serial": 4711}, F.CERTIFICATE),
        "another issuer's name": ({"issuer_name_hash": b"n" * 20}, F.CERTIFICATE),
        "another issuer's key": ({"issuer_key_hash": b"k" * 20}, F.CERTIFICATE),
        "another nonce": ({"nonce": lambda _: b"m" * 32}, F.NONCE),
        "a shorter nonce": ({"nonce": lambda asked: asked[:-1]}, F.NONCE),
        "an extension nobody knows": ({"extension": (CRITICAL, True)}, F.CRITICAL),
        "of tomorrow": ({"this_update": NOW + TOLERANCE + SECOND, "next_update": NOW + HOUR}, F.NOT_YET),
        "of yesterday": (
            {"this_update": NOW - HOUR, "next_update": NOW - TOLERANCE - SECOND},
            F.STALE,
        ),
        "old and without an end": (
            {"this_update": NOW - LONGEST_WITHOUT_END - TOLERANCE - SECOND, "next_update": None},
            F.STALE,
        ),
        "made younger on its way": ({"spoil": made_younger}, F.SIGNATURE),
        "a namesake of the issuer, by name": ({"signer": other.issuing, "by_name": True}, F.SIGNATURE),
        "nobody who is there": ({"certificates": ()}, F.SIGNER_MISSING),
        "a customer of the same CA": ({"signer": customer_with_key()}, F.SIGNER_PURPOSE),
        "the CMP signer": ({"signer": delegated(pki(), purposes=["1.3.6.1.5.5.7.3.28"])}, F.SIGNER_PURPOSE),
        "without any purpose": ({"signer": delegated(pki(), purposes=[])}, F.SIGNER_PURPOSE),
        "authorised by the root, not by the issuer": ({"signer": delegated(pki(), root)}, F.SIGNER_PATH),
        "authorised by a namesake": ({"signer": delegated(other, other.issuing)}, F.SIGNER_PATH),
        "a namesake of the issuer": ({"signer": other.issuing}, F.SIGNER_PATH),
        "a key that may not sign": ({"signer": delegated(pki(), signs=False)}, F.SIGNER_KEY_USAGE),
        "an expired signer": ({"signer": delegated(pki(), end=NOW - SECOND)}, F.SIGNER_VALIDITY),
        "a signer of the future": ({"signer": beginner}, F.SIGNER_VALIDITY),
        "nothing": ({"spoil": lambda _: b""}, F.UNREADABLE),
        "cut": ({"spoil": lambda answer: answer[:-1]}, F.UNREADABLE),
        "more than an answer": ({"spoil": lambda answer: answer + b"\x00"}, F.UNREADABLE),
    }
    assert {name: fault(ocsp, **told) for name, (told, _) in rows.items()} == {
        name: wanted for name, (_, wanted) in rows.items()
    }


def made_younger(answer: bytes) -> bytes:
    begin, end = (each.strftime("%Y%m%d%H%M%SZ").encode() for each in (NOW, NOW + SECOND))
    assert begin in answer
    return answer.replace(begin, end)


def customer_with_key() -> Identity:
    key = new_key()
    return Identity(key, pki().issue("Customer", key.public_key(), purposes=["1.3.6.1.5.5.7.3.2"]))


@pytest.mark.parametrize("status", [each for each in OCSPResponseStatus if each is not OCSPResponseStatus.SUCCESSFUL])
def test_an_error_is_no_answer(status: OCSPResponseStatus) -> None:
    question = Question(customer(), pki().issuing.certificate, NONCE)
    with pytest.raises(StatusNotTold, match=status.name.lower()):
        question.read(OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER), NOW)


@cache
def good_answer() -> tuple[Question, bytes]:
    question = Question(customer(), pki().issuing.certificate, NONCE)
    return question, OcspTeller(pki=pki(), signer=signer()).answer(question.der)


@settings(max_examples=TRIES)
@given(st.data())
def test_damaged_answers_never_say_that_all_is_well(data: st.DataObject) -> None:
    """One byte changed anywhere, or any bytes at all: refused, or of no consequence to what is signed."""
    question, good = good_answer()
    damaged = damage(ByHypothesis(data), good)
    try:
        status = question.read(damaged, NOW)
    except StatusError:
        return
    # What is not signed: the certificates that nobody needs, and how the signature is wrapped.
    assert status == Status(CertStatus.GOOD, "ocsp")
    assert len(damaged) == len(good)


def damage(draw: Draw, good: bytes) -> bytes:
    """One byte changed, or any bytes at all."""
    TRIED["kiosk: OCSP and CRL, one byte"] += 1
    return draw.data(300) if draw.pick([True, False, False], "anything") else flipped(draw, good)


# --- CRL ------------------------------------------------------------------------------------------------------------


def test_who_is_on_the_list_and_who_is_not() -> None:
    mine = customer().serial_number
    assert crl() == Status(CertStatus.GOOD, "crl")
    assert crl(revoked={mine + 1: None}) == Status(CertStatus.GOOD, "crl")
    assert crl(revoked={mine: None}) == Status(CertStatus.REVOKED, "crl", "", NOW - HOUR)
    reason = x509.ReasonFlags.superseded
    assert crl(revoked={mine: reason}) == Status(CertStatus.REVOKED, "crl", "superseded", NOW - HOUR)


def point(**told: object) -> x509.IssuingDistributionPoint:
    facts: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**facts | told)  # type: ignore[arg-type]


def test_a_list_of_users_certificates_is_whole_enough() -> None:
    assert crl(extension=(point(only_contains_user_certs=True), True)).cert_status is CertStatus.GOOD


PLACES = [
    x509.UniformResourceIdentifier("http://ca.example/1.crl"),
    x509.UniformResourceIdentifier("ldap://ca.example/cn=1"),
    x509.DirectoryName(x509.Name.from_rfc4514_string("CN=1,O=Bank")),
]


def of_part(certificate: Certificate, **told: object) -> Status:
    """What a CRL says of a certificate, where the CA's list has parts."""
    der = CrlTeller(pki=pki(), extension=(point(**told), True)).crl()
    return look_up(der, URL, certificate, pki().issuing.certificate, NOW)


@pytest.mark.parametrize("place", PLACES)
def test_a_part_of_the_list_counts_for_whom_the_ca_has_put_into_it(place: x509.GeneralName) -> None:
    mine = with_points(pki(), place)
    assert of_part(mine, full_name=[PLACES[0], place]).cert_status is CertStatus.GOOD
    elsewhere = x509.UniformResourceIdentifier("http://ca.example/2.crl")
    name = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "1")])
    for told in ({"full_name": [elsewhere]}, {"relative_name": name}):
        assert fault(of_part, certificate=mine, **told) is F.PARTIAL


def test_where_the_certificate_names_no_part_it_is_the_one_that_was_asked() -> None:
    asked, other = x509.UniformResourceIdentifier(URL), PLACES[0]
    assert of_part(customer(), full_name=[asked]).cert_status is CertStatus.GOOD
    assert fault(of_part, certificate=customer(), full_name=[other]) is F.PARTIAL
    assert fault(of_part, certificate=with_points(pki(), other), full_name=[asked]) is F.PARTIAL


def test_a_list_that_does_not_count_by_each_field() -> None:
    some = frozenset({x509.ReasonFlags.key_compromise})
    mine = customer().serial_number
    rows: dict[str, tuple[dict[str, object], StatusFault]] = {
        "another issuer's": ({"issuer": pki().root}, F.CERTIFICATE),
        "a namesake's": ({"issuer": other_pki().issuing}, F.SIGNATURE),
        "signed by the OCSP signer": ({"issuer": signer(), "named": pki().issuing.certificate}, F.SIGNATURE),
        "of tomorrow": ({"this_update": NOW + TOLERANCE + SECOND}, F.NOT_YET),
        "of yesterday": ({"this_update": NOW - HOUR, "next_update": NOW - TOLERANCE - SECOND}, F.STALE),
        "only what is new": ({"extension": (x509.DeltaCRLIndicator(1), True)}, F.PARTIAL),
        "only CAs": ({"extension": (point(only_contains_ca_certs=True), True)}, F.PARTIAL),
        "only attributes": ({"extension": (point(only_contains_attribute_certs=True), True)}, F.PARTIAL),
        "only some reasons": ({"extension": (point(only_some_reasons=some), True)}, F.PARTIAL),
        "of several issuers": ({"extension": (point(indirect_crl=True), True)}, F.PARTIAL),
        "an extension nobody knows": ({"extension": (CRITICAL, True)}, F.CRITICAL),
        "an entry nobody understands": ({"revoked": {mine: None}, "entry_extension": (CRITICAL, True)}, F.CRITICAL),
        "nothing": ({"spoil": lambda _: b""}, F.UNREADABLE),
        "cut": ({"spoil": lambda der: der[:-1]}, F.UNREADABLE),
        "of a version to come": ({"spoil": lambda der: der.replace(b"\x02\x01\x01", b"\x02\x01\x07", 1)}, F.UNREADABLE),
    }
    assert {name: fault(crl, **told) for name, (told, _) in rows.items()} == {
        name: wanted for name, (_, wanted) in rows.items()
    }


@cache
def good_crl() -> bytes:
    return CrlTeller(pki=pki(), revoked={customer().serial_number: x509.ReasonFlags.key_compromise}).crl()


@settings(max_examples=TRIES)
@given(st.data())
def test_damaged_lists_never_say_that_all_is_well(data: st.DataObject) -> None:
    good = good_crl()
    damaged = damage(ByHypothesis(data), good)
    try:
        status = look_up(damaged, URL, customer(), pki().issuing.certificate, NOW)
    except StatusNotTrusted:
        return
    assert status.cert_status is CertStatus.REVOKED
