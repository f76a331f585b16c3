"""A CA that answers well, but for what a test spoils."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import httpx

from kiosk.certificates import Certificate, PublicKey
from kiosk.clock import Clock
from kiosk.cmp.algorithms import NULL
from kiosk.cmp.der import write_time
from kiosk.cmp.envelope import Header, Message, Protector, read_message, write_protected
from kiosk.cmp.general import read_crl_statuses, read_general, write_general, write_list, write_template
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.polling import PollAnswer, read_poll_request, write_poll_answer
from kiosk.cmp.requests import read_pkcs10, read_requests
from kiosk.cmp.responses import (
    PKICONF_BODY,
    CertificateResponse,
    CertificateResponses,
    Confirmation,
    read_confirmations,
    write_responses,
)
from kiosk.cmp.revocations import RevocationRequest, read_revocations, write_revocation_answer
from kiosk.cmp.signing import Signer
from kiosk.cmp.status import StatusInfo, write_error
from kiosk.cmp.vocabulary import (
    ANSWERS,
    CA_CERTIFICATES,
    CONFIRM_WAIT_TIME,
    CONTENT_TYPE,
    CRL_STATUS_LIST,
    CRLS,
    CURRENT_CRL,
    IMPLICIT_CONFIRM,
    REQUEST_TEMPLATE,
    BodyType,
    Status,
)
from tests.cmp.pki import NOW, Identity

WITH_CERTIFICATE = (BodyType.IR, BodyType.CR, BodyType.P10CR, BodyType.KUR)


class House(Protocol):
    """Whose CA it is."""

    @property
    def issuing(self) -> Identity: ...

    @property
    def ca_signer(self) -> Signer: ...

    def successor(self, key: PublicKey) -> Certificate: ...


@dataclass
class FakeCa:
    pki: House
    clock: Clock = lambda: NOW
    signer: Protector | None = None
    secret: SharedSecret | None = None
    """With which messages that come under a MAC are answered; by a signature, if None."""
    header: Callable[[Header], Header] = lambda header: header
    body: Callable[[int, bytes], tuple[int, bytes]] = lambda kind, body: (kind, body)
    wire: Callable[[bytes], bytes] = lambda wire: wire
    responses: Callable[[CertificateResponses], CertificateResponses] = lambda responses: responses
    statuses: tuple[StatusInfo, ...] = (StatusInfo(Status.ACCEPTED),)
    """Of an `rp`."""
    infos: Callable[[list[Info]], list[Info]] = lambda infos: infos
    only_for: BodyType | None = None
    """The one type of request whose answer is spoiled; all, if None."""
    polls: int = 0
    """How often an answer that is not ready is to be asked for."""
    waits: BodyType | None = None
    """The one type of request whose answer is not ready; the first of all, if None."""
    not_yet: Callable[[PollAnswer], list[PollAnswer]] = lambda answer: [answer]
    check_after: int = 7
    implicit: bool = False
    """Whether an implicit confirmation is granted to whoever asks for it."""
    issue: Callable[[PublicKey], Certificate] | None = None
    refused: dict[str, StatusInfo] = field(default_factory=dict)
    """Questions of a `genm` that are answered by an error."""
    crl: bytes | None = None
    asked: list[Message] = field(default_factory=list)
    kinds: list[BodyType] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    confirmations: list[Confirmation] = field(default_factory=list)
    revocations: list[RevocationRequest] = field(default_factory=list)
    _waiting: Message | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.addresses.append(str(request.url))
        answer = await self.answer(await request.aread())
        return httpx.Response(200, content=answer, headers={"Content-Type": CONTENT_TYPE})

    async def answer(self, request: bytes) -> bytes:
        message = read_message(request)
        self.asked.append(message)
        self.kinds.append(BodyType(message.body_type))
        spoiling = self.only_for in (None, message.body_type)
        by_mac = self.secret if message.header.sender_key_id == getattr(self.secret, "reference", b"") else None
        protector = (self.signer if spoiling else None) or by_mac or self.pki.ca_signer
        kind, body = self._content(message)
        implicit = self.implicit and any(each.kind == IMPLICIT_CONFIRM for each in message.header.general_info)
        infos = [Info(CONFIRM_WAIT_TIME, write_time(self.clock() + timedelta(days=14)))]
        header = Header(
            pvno=message.header.pvno,
            sender=self.pki.ca_signer.sender,
            recipient=message.header.sender,
            message_time=self.clock(),
            transaction_id=message.header.transaction_id,
            sender_nonce=bytes([ord("a") + len(self.asked)]) * 16,
            recipient_nonce=message.header.sender_nonce,
            general_info=(*infos, Info(IMPLICIT_CONFIRM, NULL)) if implicit else tuple(infos),
        )
        if not spoiling:
            return await write_protected(header, kind, body, protector)
        kind, body = self.body(kind, body)
        return self.wire(await write_protected(self.header(header), kind, body, protector))

    def _content(self, message: Message) -> tuple[int, bytes]:
        if message.body_type == BodyType.POLLREQ:
            assert self._waiting is not None
            (request_id,) = read_poll_request(message.body)
            if self.polls:
                self.polls -= 1
                answers = self.not_yet(PollAnswer(request_id, self.check_after))
                return BodyType.POLLREP, write_poll_answer(answers)
            waiting, self._waiting = self._waiting, None
            return self._granted(waiting)
        if self.polls and self._waiting is None and self.waits in (None, message.body_type):
            self._waiting = message
            return self._not_ready(message)
        return self._granted(message)

    def _not_ready(self, message: Message) -> tuple[int, bytes]:
        waiting = StatusInfo(Status.WAITING)
        if message.body_type not in WITH_CERTIFICATE:
            return BodyType.ERROR, write_error(waiting)
        response = CertificateResponse(request_id=_request_id(message), status=waiting)
        content = self.responses(CertificateResponses(responses=(response,)))
        return ANSWERS[BodyType(message.body_type)], write_responses(content)

    def _granted(self, message: Message) -> tuple[int, bytes]:
        match message.body_type:
            case BodyType.GENM:
                return self._told(message)
            case BodyType.CERTCONF:
                self.confirmations += read_confirmations(message.body)
                return BodyType.PKICONF, PKICONF_BODY
            case BodyType.RR:
                self.revocations += read_revocations(message.body)
                return BodyType.RP, write_revocation_answer(self.statuses)
        certificate = (self.issue or self.pki.successor)(_key(message))
        response = CertificateResponse(
            request_id=_request_id(message), status=StatusInfo(Status.ACCEPTED), certificate=certificate.der
        )
        content = self.responses(CertificateResponses(responses=(response,)))
        return ANSWERS[BodyType(message.body_type)], write_responses(content)

    def _told(self, message: Message) -> tuple[int, bytes]:
        (question,) = read_general(message.body)
        if question.kind in self.refused:
            return BodyType.ERROR, write_error(self.refused[question.kind])
        told = {
            CA_CERTIFICATES: write_list([self.pki.issuing.certificate.der]),
            REQUEST_TEMPLATE: write_template(["rsa-2048", "ec-p256"]),
            CURRENT_CRL: self.crl,
        }
        info = Info(question.kind, told.get(question.kind))
        if question.kind == CRL_STATUS_LIST:
            (status,) = read_crl_statuses(question.value or b"")
            newer = self.crl is not None and status.this_update is None
            info = Info(CRLS, write_list([self.crl]) if newer and self.crl else None)
        return BodyType.GENP, write_general(self.infos([info]))


def _key(message: Message) -> PublicKey:
    if message.body_type == BodyType.P10CR:
        return read_pkcs10(message.body).public_key()
    return read_requests(message.body)[0].public_key()


def _request_id(message: Message) -> int:
    return -1 if message.body_type == BodyType.P10CR else read_requests(message.body)[0].request_id
