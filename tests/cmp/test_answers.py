"""Every field of a good answer, spoiled in turn: each is refused for its own reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat import asn1

from kiosk.certificates import read_certificate
from kiosk.cmp import der
from kiosk.cmp.algorithms import Algorithm
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.envelope import Header
from kiosk.cmp.errors import Distrust, Refused, UntrustedAnswer
from kiosk.cmp.messages import PkiHeader, PkiMessage
from kiosk.cmp.responses import CertificateResponses
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import CLIENT_AUTH, CMC_CA, BodyType, FailInfo
from tests.cmp.conftest import URL
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import LATER, NOW, Identity, Pki, certificate, new_key

ClientOf = Callable[[FakeCa], CmpClient]
SHA1_WITH_RSA = "1.2.840.113549.1.1.5"


@dataclass(frozen=True)
class Case:
    name: str
    reason: Distrust
    spoil: Callable[[Pki, Pki], dict[str, Any]] = field(repr=False)


def on_header(**changes: object) -> Callable[[Pki, Pki], dict[str, Any]]:
    def spoil(header: Header) -> Header:
        return replace(header, **changes)  # type: ignore[arg-type]

    return lambda _, __: {"header": spoil}


def on_wire(change: Callable[[PkiMessage], None]) -> Callable[[Pki, Pki], dict[str, Any]]:
    def spoil(wire: bytes) -> bytes:
        message = der.decode(PkiMessage, wire)
        change(message)
        return asn1.encode_der(message)

    return lambda _, __: {"wire": spoil}


def signed_by(make: Callable[[Pki, Pki], Signer]) -> Callable[[Pki, Pki], dict[str, Any]]:
    return lambda pki, foreign: {"signer": make(pki, foreign)}


def claiming(**facts: bytes) -> Callable[[Pki, Pki], dict[str, Any]]:
    """The CA's signer, whose header tells something else about it."""

    def make(pki: Pki, _: Pki) -> Signer:
        return replace(pki.ca_signer, certificate=replace(pki.ca_signer.certificate, **facts))  # type: ignore[arg-type]

    return signed_by(make)


def responding(**changes: object) -> Callable[[Pki, Pki], dict[str, Any]]:
    def spoil(content: CertificateResponses) -> CertificateResponses:
        return replace(content, responses=(replace(content.responses[0], **changes),))  # type: ignore[arg-type]

    return lambda _, __: {"responses": spoil}


def issuing(make: Callable[[Pki, Pki, Any], bytes]) -> Callable[[Pki, Pki], dict[str, Any]]:
    """A certificate made from the public key that was asked for."""

    def spoil_with(pki: Pki, foreign: Pki) -> dict[str, Any]:
        def spoil(content: CertificateResponses) -> CertificateResponses:
            key = read_certificate(content.responses[0].certificate or b"").public_key
            spoiled = replace(content.responses[0], certificate=make(pki, foreign, key))
            return replace(content, responses=(spoiled,))

        return {"responses": spoil}

    return spoil_with


def strip_protection(message: PkiMessage) -> None:
    message.protection = None


def strip_certificates(message: PkiMessage) -> None:
    message.extra_certs = None


def garble_first_certificate(message: PkiMessage) -> None:
    message.extra_certs = [der.any_value(b"\x30\x00")]


def flip_signature(message: PkiMessage) -> None:
    assert message.protection is not None
    bits = bytearray(message.protection.as_bytes())
    bits[-1] ^= 1
    message.protection = asn1.BitString(bytes(bits), 0)


def swap_body(message: PkiMessage) -> None:
    content = bytearray(der.value_bytes(message.body))
    content[-1] ^= 1
    message.body = der.any_value(bytes(content))


def set_algorithm(algorithm: Algorithm | None) -> Callable[[PkiMessage], None]:
    def change(message: PkiMessage) -> None:
        header = der.decode(PkiHeader, der.value_bytes(message.header))
        header.protection_alg = None if algorithm is None else algorithm.items()
        message.header = der.any_value(asn1.encode_der(header))

    return change


def certified_by_a_customer(pki: Pki, _: Pki) -> Signer:
    key, customer_key = new_key(), new_key()
    customer = pki.issue("Sly", customer_key.public_key(), purposes=[CLIENT_AUTH])
    issued = certificate("CMP Signer", key.public_key(), Identity(customer_key, customer), purposes=[CMC_CA])
    return Signer(SoftwareKey(key), issued, (customer, pki.issuing.certificate))


def twice(content: CertificateResponses) -> CertificateResponses:
    return replace(content, responses=content.responses * 2)


CASES = (
    Case("version 1", Distrust.VERSION, on_header(pvno=1)),
    Case("no protection", Distrust.UNPROTECTED, on_wire(strip_protection)),
    Case("no algorithm", Distrust.ALGORITHM, on_wire(set_algorithm(None))),
    Case("SHA-1", Distrust.ALGORITHM, on_wire(set_algorithm(Algorithm(SHA1_WITH_RSA, b"\x05\x00")))),
    Case("RSA for an EC key", Distrust.ALGORITHM, on_wire(set_algorithm(Algorithm("1.2.840.113549.1.1.11")))),
    Case("no certificates", Distrust.SIGNER_MISSING, on_wire(strip_certificates)),
    Case("no certificate first", Distrust.SIGNER_MISSING, on_wire(garble_first_certificate)),
    Case("another customer", Distrust.SIGNER_PURPOSE, signed_by(lambda pki, _: pki.other_customer)),
    Case("the customer", Distrust.SIGNER_PURPOSE, signed_by(lambda pki, _: pki.customer)),
    Case(
        "the CA itself",
        Distrust.SIGNER_KEY_USAGE,
        signed_by(lambda pki, _: Signer(SoftwareKey(pki.issuing.key), pki.issuing.certificate)),
    ),
    Case(
        "a purpose without signatures",
        Distrust.SIGNER_KEY_USAGE,
        signed_by(lambda pki, _: pki.signer("Mute", signs=False, purposes=[CMC_CA])),
    ),
    Case("another CA's signer", Distrust.SIGNER_PATH, signed_by(lambda _, foreign: foreign.ca_signer)),
    Case(
        "a signer who has expired",
        Distrust.SIGNER_PATH,
        signed_by(lambda pki, _: pki.signer("Late", purposes=[CMC_CA], end=NOW - timedelta(seconds=1))),
    ),
    Case("a signer certified by a customer", Distrust.SIGNER_PATH, signed_by(certified_by_a_customer)),
    Case("another sender", Distrust.SENDER, claiming(subject_der=b"\x30\x00")),
    Case("another key id", Distrust.SENDER_KEY_ID, claiming(subject_key_identifier=b"k" * 20)),
    Case("another signature", Distrust.PROTECTION, on_wire(flip_signature)),
    Case("another body", Distrust.PROTECTION, on_wire(swap_body)),
    Case("another transaction", Distrust.TRANSACTION, on_header(transaction_id=b"t" * 16)),
    Case("no transaction", Distrust.TRANSACTION, on_header(transaction_id=None)),
    Case("another's nonce", Distrust.RECIPIENT_NONCE, on_header(recipient_nonce=b"n" * 16)),
    Case("no nonce of ours", Distrust.RECIPIENT_NONCE, on_header(recipient_nonce=None)),
    Case("no nonce of its own", Distrust.SENDER_NONCE, on_header(sender_nonce=None)),
    Case("a short nonce", Distrust.SENDER_NONCE, on_header(sender_nonce=b"short")),
    Case("no time", Distrust.TIME_MISSING, on_header(message_time=None)),
    Case("an old answer", Distrust.TIME, on_header(message_time=NOW - timedelta(minutes=6))),
    Case("an answer to come", Distrust.TIME, on_header(message_time=NOW + timedelta(minutes=6))),
    Case("another type", Distrust.BODY_TYPE, lambda _, __: {"body": lambda _, body: (BodyType.GENP, body)}),
    Case("another request", Distrust.REQUEST_ID, responding(request_id=1)),
    Case("two answers", Distrust.REQUEST_ID, lambda _, __: {"responses": twice}),
    Case(
        "certificates to trust",
        Distrust.CA_PUBS,
        lambda _, foreign: {"responses": lambda content: replace(content, ca_pubs=(foreign.root.certificate.der,))},
    ),
    Case("no certificate", Distrust.CERTIFICATE_MISSING, responding(certificate=None)),
    Case("no such certificate", Distrust.CERTIFICATE_UNREADABLE, responding(certificate=b"\x30\x00")),
    Case(
        "another key",
        Distrust.CERTIFICATE_KEY,
        issuing(lambda pki, _, __: pki.successor(new_key().public_key()).der),
    ),
    Case(
        "another subject",
        Distrust.CERTIFICATE_SUBJECT,
        issuing(lambda pki, _, key: pki.issue("Other", key, end=LATER).der),
    ),
    Case(
        "a CA certificate",
        Distrust.CERTIFICATE_AUTHORITY,
        issuing(lambda pki, _, key: pki.successor(key, authority=True).der),
    ),
    Case(
        "not valid yet",
        Distrust.CERTIFICATE_VALIDITY,
        issuing(lambda pki, _, key: pki.successor(key, begin=NOW + timedelta(seconds=1)).der),
    ),
    Case(
        "valid no more",
        Distrust.CERTIFICATE_VALIDITY,
        issuing(lambda pki, _, key: pki.successor(key, end=NOW - timedelta(seconds=1)).der),
    ),
    Case(
        "no later than the old one",
        Distrust.CERTIFICATE_END,
        issuing(lambda pki, _, key: pki.successor(key, end=pki.customer.certificate.not_after).der),
    ),
    Case(
        "not for signatures",
        Distrust.CERTIFICATE_KEY_USAGE,
        issuing(lambda pki, _, key: pki.successor(key, signs=False).der),
    ),
    Case(
        "for servers",
        Distrust.CERTIFICATE_PURPOSE,
        issuing(lambda pki, _, key: pki.successor(key, purposes=["1.3.6.1.5.5.7.3.1"]).der),
    ),
    Case(
        "another CA's certificate",
        Distrust.CERTIFICATE_PATH,
        issuing(lambda _, foreign, key: foreign.successor(key).der),
    ),
)


def test_the_table_is_complete() -> None:
    print(f"{len(CASES)} spoiled answers for {len(Distrust)} reasons")
    assert {case.reason for case in CASES} == set(Distrust)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_spoiled_answer_is_refused(case: Case, pki: Pki, foreign: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki, **case.spoil(pki, foreign))
    with pytest.raises(UntrustedAnswer) as caught:
        await client_of(ca).update(pki.customer, SoftwareKey(new_key()))
    assert caught.value.reason is case.reason


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name == "another customer"], ids=lambda case: case.name
)
async def test_another_customer_can_neither_tell_nor_confirm(
    case: Case, pki: Pki, foreign: Pki, client_of: ClientOf
) -> None:
    spoiled = case.spoil(pki, foreign)
    with pytest.raises(UntrustedAnswer):
        await client_of(FakeCa(pki, **spoiled)).general(pki.customer)
    client = client_of(FakeCa(pki, only_for=BodyType.CERTCONF, **spoiled))
    issued = await client.update(pki.customer, SoftwareKey(new_key()))
    with pytest.raises(UntrustedAnswer):
        await client.confirm(issued)


def erring(_: int, __: bytes) -> tuple[int, bytes]:
    return BodyType.ERROR, write_error(rejection([FailInfo.SYSTEM_FAILURE], "down"))


async def test_a_protected_error_is_a_proven_refusal(pki: Pki, client_of: ClientOf) -> None:
    with pytest.raises(Refused) as caught:
        await client_of(FakeCa(pki, body=erring)).general(pki.customer)
    assert (set(caught.value.fail_info), caught.value.text, caught.value.proven) == ({"systemFailure"}, "down", True)
    assert caught.value.message_time == NOW


async def test_an_unprotected_error_proves_nothing(pki: Pki, foreign: Pki, client_of: ClientOf) -> None:
    ca = FakeCa(pki, body=erring, **on_wire(strip_protection)(pki, foreign))
    with pytest.raises(Refused) as caught:
        await client_of(ca).general(pki.customer)
    assert not caught.value.proven
    assert caught.value.message_time is None


async def test_an_error_by_another_customer_does_not_count(pki: Pki, client_of: ClientOf) -> None:
    with pytest.raises(UntrustedAnswer):
        await client_of(FakeCa(pki, body=erring, signer=pki.other_customer)).general(pki.customer)


async def test_a_pinned_signer_counts_only_in_date(pki: Pki) -> None:
    late = pki.signer("Late", end=NOW - timedelta(seconds=1))
    trust = Trust((pki.root.certificate,), pinned_signers=(late.certificate,))
    http = httpx.AsyncClient(transport=httpx.MockTransport(FakeCa(pki, signer=late)))
    with pytest.raises(UntrustedAnswer) as caught:
        await CmpClient(http, URL, trust, clock=lambda: NOW).general(pki.customer)
    assert caught.value.reason is Distrust.SIGNER_PATH
