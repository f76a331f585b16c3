"""Every type of message under every protection: written, read, and written again byte for byte from what was read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kiosk.certificates import PublicKey
from kiosk.cmp import der
from kiosk.cmp.algorithms import NULL, Algorithm, pss_scheme
from kiosk.cmp.envelope import Header, Message, Protector, read_message, write_protected
from kiosk.cmp.general import CrlStatus, read_general, write_crl_statuses, write_general, write_list, write_template
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind, SharedSecret
from kiosk.cmp.messages import PkiMessage
from kiosk.cmp.polling import PollAnswer, read_poll_answer, read_poll_request, write_poll_answer, write_poll_request
from kiosk.cmp.requests import (
    CertificateRequest,
    read_pkcs10,
    read_requests,
    write_pkcs10,
    write_request,
    write_requests_with_proof,
    write_update,
)
from kiosk.cmp.responses import (
    PKICONF_BODY,
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
from kiosk.cmp.signing import PrivateKey, Signer, SoftwareKey
from kiosk.cmp.status import StatusInfo, read_error, rejection, write_error
from kiosk.cmp.vocabulary import (
    CA_CERTIFICATES,
    CONFIRM_WAIT_TIME,
    CRL_STATUS_LIST,
    IMPLICIT_CONFIRM,
    REQUEST_TEMPLATE,
    VERSIONS,
    BodyType,
    FailInfo,
    Status,
)
from tests.cmp.pki import NOW, Pki, certificate, new_key

SECRET = b"1234567890123456"
SHA_512 = Algorithm("2.16.840.1.101.3.4.2.3", NULL)
REFUSED = rejection({FailInfo.BAD_POP, FailInfo.DUPLICATE_CERT_REQ}, "no 不可")


@dataclass
class Recorded:
    """A key or protector that does again what was recorded."""

    message: Message
    public_key: PublicKey
    signature: bytes = b""

    @property
    def sender(self) -> bytes:
        return self.message.header.sender or b""

    @property
    def key_id(self) -> bytes | None:
        return self.message.header.sender_key_id

    @property
    def algorithm(self) -> Algorithm:
        assert self.message.header.protection_algorithm is not None
        return self.message.header.protection_algorithm

    @property
    def extra_certificates(self) -> tuple[bytes, ...]:
        return self.message.extra_certificates

    async def protect(self, data: bytes) -> bytes:
        assert data == self.message.protected_part
        return self.message.protection or b""

    async def sign(self, data: bytes) -> bytes:
        assert data
        return self.signature


@dataclass(frozen=True)
class Body:
    """How the body of one type is written, and written again from what is read of it."""

    kind: BodyType
    write: Callable[[Pki, SoftwareKey], Awaitable[bytes]]
    again: Callable[[bytes, Recorded], Awaitable[bytes]]


def fixed(kind: BodyType, write: Callable[[Pki], bytes], again: Callable[[bytes], bytes]) -> Body:
    async def written(pki: Pki, _: SoftwareKey) -> bytes:
        return write(pki)

    async def rewritten(body: bytes, _: Recorded) -> bytes:
        return again(body)

    return Body(kind, written, rewritten)


async def first_request(pki: Pki, key: SoftwareKey) -> bytes:
    return await write_request(key, subject_der=pki.customer.certificate.subject_der)


async def request_without_a_subject(_: Pki, key: SoftwareKey) -> bytes:
    return await write_request(key)


async def update(pki: Pki, key: SoftwareKey) -> bytes:
    return await write_update(pki.customer.certificate, key)


async def pkcs10(pki: Pki, key: SoftwareKey) -> bytes:
    return await write_pkcs10(key, pki.customer.certificate.subject_der)


async def request_again(body: bytes, recorded: Recorded) -> bytes:
    (request,) = read_requests(body)
    return await write_requests_with_proof(request.request_der, proven(request, recorded))


async def pkcs10_again(body: bytes, recorded: Recorded) -> bytes:
    request = read_pkcs10(body)
    return await write_pkcs10(proven(request, recorded), request.subject_der or b"")


def proven(request: CertificateRequest, recorded: Recorded) -> Recorded:
    return Recorded(recorded.message, request.public_key(), request.proof.signature)


def answered(pki: Pki) -> bytes:
    certificate_der = pki.customer.certificate.der
    response = CertificateResponse(request_id=0, status=StatusInfo(Status.ACCEPTED), certificate=certificate_der)
    refused = CertificateResponse(request_id=0, status=REFUSED)
    return write_responses(CertificateResponses(responses=(response, refused), ca_pubs=(pki.root.certificate.der,)))


def confirmed(pki: Pki) -> bytes:
    content = certificate_hash(pki.customer.certificate, SHA_512)
    return write_confirmation(Confirmation(cert_hash=content, hash_algorithm=SHA_512, status=REFUSED))


def confirmed_again(body: bytes) -> bytes:
    (one,) = read_confirmations(body)
    return write_confirmation(one)


def told(pki: Pki) -> bytes:
    return write_general(
        [
            Info(CA_CERTIFICATES, write_list([pki.issuing.certificate.der])),
            Info(REQUEST_TEMPLATE, write_template({"rsa-2048", "ec-p256"})),
            Info(CRL_STATUS_LIST, write_crl_statuses([CrlStatus(pki.issuing.certificate.subject_der, NOW)])),
        ]
    )


BODIES = (
    Body(BodyType.IR, first_request, request_again),
    fixed(BodyType.IP, answered, lambda body: write_responses(read_responses(body))),
    Body(BodyType.CR, request_without_a_subject, request_again),
    fixed(BodyType.CP, answered, lambda body: write_responses(read_responses(body))),
    Body(BodyType.P10CR, pkcs10, pkcs10_again),
    Body(BodyType.KUR, update, request_again),
    fixed(BodyType.KUP, answered, lambda body: write_responses(read_responses(body))),
    fixed(
        BodyType.RR,
        lambda pki: write_revocations([RevocationRequest.of(pki.customer.certificate, 4)]),
        lambda body: write_revocations(read_revocations(body)),
    ),
    fixed(
        BodyType.RP,
        lambda _: write_revocation_answer([StatusInfo(Status.ACCEPTED), REFUSED]),
        lambda body: write_revocation_answer(read_revocation_answer(body)),
    ),
    fixed(BodyType.PKICONF, lambda _: PKICONF_BODY, lambda body: der.encode(der.decode(asn1.Null, body))),
    fixed(
        BodyType.GENM,
        lambda _: write_general([Info(CA_CERTIFICATES), Info(REQUEST_TEMPLATE)]),
        lambda body: write_general(read_general(body)),
    ),
    fixed(BodyType.GENP, told, lambda body: write_general(read_general(body))),
    fixed(BodyType.ERROR, lambda _: write_error(REFUSED), lambda body: write_error(read_error(body))),
    fixed(BodyType.CERTCONF, confirmed, confirmed_again),
    fixed(
        BodyType.POLLREQ, lambda _: write_poll_request([0]), lambda body: write_poll_request(read_poll_request(body))
    ),
    fixed(
        BodyType.POLLREP,
        lambda _: write_poll_answer([PollAnswer(0, 60, ("waits",))]),
        lambda body: write_poll_answer(read_poll_answer(body)),
    ),
)

RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, PrivateKey] = {
    "rsa": RSA,
    "p256": new_key(),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
PROTECTIONS = (*KEYS, "pss", *MacKind)


def protector(pki: Pki, name: str) -> Protector:
    if name in list(MacKind):
        return SharedSecret(reference=b"TKYM1408054", secret=SECRET, kind=MacKind(name), iterations=100)
    key = SoftwareKey(RSA, pss_scheme(hashes.SHA384())) if name == "pss" else SoftwareKey(KEYS[name])
    return Signer(key, certificate("名義人", key.public_key, pki.issuing), (pki.issuing.certificate,))


@pytest.mark.parametrize("protection", PROTECTIONS)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.kind.name.lower())
async def test_it_is_written_again_byte_for_byte(pki: Pki, body: Body, protection: str) -> None:
    protected_by = protector(pki, protection)
    for pvno in VERSIONS:
        header = Header(
            pvno=pvno,
            sender=None,
            recipient=pki.issuing.certificate.subject_der,
            message_time=NOW,
            transaction_id=b"t" * 16,
            sender_nonce=b"n" * 16,
            recipient_nonce=b"r" * 16,
            general_info=(Info(IMPLICIT_CONFIRM, NULL), Info(CONFIRM_WAIT_TIME, der.write_time(NOW))),
        )
        content = await body.write(pki, SoftwareKey(new_key()))
        written = await write_protected(header, body.kind, content, protected_by)
        message = read_message(written)
        verify(message, protected_by)
        recorded = Recorded(message, pki.customer.certificate.public_key)
        again = await body.again(message.body, recorded)
        assert again == content
        assert await write_protected(message.header, message.body_type, again, recorded) == written
        assert der.encode(der.decode(PkiMessage, written)) == written


def verify(message: Message, protected_by: Protector) -> None:
    if isinstance(protected_by, Signer):
        message.verify_protection(protected_by.certificate.public_key)
    else:
        message.verify_mac(SECRET)


def test_every_type_and_every_protection_is_in_the_table() -> None:
    assert [body.kind for body in BODIES] == sorted(BodyType)
    print(f"{len(BODIES)} types of message under {len(PROTECTIONS)} protections")
