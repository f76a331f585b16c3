"""A CA that answers well, but for what a test spoils."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import httpx

from kiosk.cmp.der import write_time
from kiosk.cmp.envelope import Header, Message, read_message, write_protected
from kiosk.cmp.general import read_general, write_general, write_list, write_template
from kiosk.cmp.infos import Info
from kiosk.cmp.requests import read_requests
from kiosk.cmp.responses import (
    PKICONF_BODY,
    CertificateResponse,
    CertificateResponses,
    Confirmation,
    read_confirmations,
    write_responses,
)
from kiosk.cmp.signing import Signer
from kiosk.cmp.status import StatusInfo, write_error
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CONFIRM_WAIT_TIME, CONTENT_TYPE, REQUEST_TEMPLATE, BodyType, Status
from tests.cmp.pki import NOW, Pki


@dataclass
class FakeCa:
    pki: Pki
    signer: Signer | None = None
    header: Callable[[Header], Header] = lambda header: header
    body: Callable[[int, bytes], tuple[int, bytes]] = lambda kind, body: (kind, body)
    wire: Callable[[bytes], bytes] = lambda wire: wire
    responses: Callable[[CertificateResponses], CertificateResponses] = lambda responses: responses
    only_for: BodyType | None = None
    """The one type of request whose answer is spoiled; all, if None."""
    refused: dict[str, StatusInfo] = field(default_factory=dict)
    """Questions of a `genm` that are answered by an error."""
    asked: list[Message] = field(default_factory=list)
    confirmations: list[Confirmation] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = await self.answer(await request.aread())
        return httpx.Response(200, content=answer, headers={"Content-Type": CONTENT_TYPE})

    async def answer(self, request: bytes) -> bytes:
        message = read_message(request)
        self.asked.append(message)
        spoiling = self.only_for in (None, message.body_type)
        signer = (self.signer if spoiling else None) or self.pki.ca_signer
        kind, body = self._content(message)
        header = Header(
            sender=signer.certificate.subject_der,
            recipient=message.header.sender,
            message_time=NOW,
            transaction_id=message.header.transaction_id,
            sender_nonce=b"c" * 16,
            recipient_nonce=message.header.sender_nonce,
            general_info=(Info(CONFIRM_WAIT_TIME, write_time(NOW + timedelta(days=14))),),
        )
        if not spoiling:
            return await write_protected(header, kind, body, signer)
        kind, body = self.body(kind, body)
        return self.wire(await write_protected(self.header(header), kind, body, signer))

    def _content(self, message: Message) -> tuple[int, bytes]:
        if message.body_type == BodyType.GENM:
            (question,) = read_general(message.body)
            if question.kind in self.refused:
                return BodyType.ERROR, write_error(self.refused[question.kind])
            told = {
                CA_CERTIFICATES: write_list([self.pki.issuing.certificate.der]),
                REQUEST_TEMPLATE: write_template(["rsa-2048", "ec-p256"]),
            }
            return BodyType.GENP, write_general([Info(question.kind, told[question.kind])])
        if message.body_type == BodyType.CERTCONF:
            self.confirmations += read_confirmations(message.body)
            return BodyType.PKICONF, PKICONF_BODY
        key = read_requests(message.body)[0].public_key()
        certificate = self.pki.successor(key)
        response = CertificateResponse(request_id=0, status=StatusInfo(Status.ACCEPTED), certificate=certificate.der)
        return BodyType.KUP, write_responses(self.responses(CertificateResponses(responses=(response,))))
