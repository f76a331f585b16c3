"""The client: asks a CA, and gives back only answers that count."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx

from kiosk.certificates import Certificate, UnreadableCertificate, read_certificates
from kiosk.clock import Clock, system_clock
from kiosk.cmp.answers import ProvenAnswer, Question, Trust, check_answer, refusal_of
from kiosk.cmp.envelope import Header, read_message, write_protected
from kiosk.cmp.errors import AnswerWaits, MalformedMessage
from kiosk.cmp.general import RequestTemplate, read_certificate_list, read_general, read_template, write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.issued import Issued, read_issued
from kiosk.cmp.requests import write_update
from kiosk.cmp.responses import PKICONF_BODY, Confirmation, certificate_hash, read_responses, write_confirmation
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.cmp.status import rejection
from kiosk.cmp.transfer import Limits, exchange
from kiosk.cmp.vocabulary import CA_CERTIFICATES, NONCE_LENGTH, REQUEST_TEMPLATE, BodyType, Status

RandomBytes = Callable[[int], bytes]
"""Answers so many unpredictable bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralAnswer:
    """What a CA tells about itself (RFC 9483 §4.3)."""

    ca_certificates: tuple[Certificate, ...]
    """Empty where the CA does not say. Told by a proven CA, yet no trust anchors."""
    template: RequestTemplate | None
    """None where the CA does not say."""
    message_time: datetime
    """The CA's clock as it answered, in whole seconds."""
    offset: timedelta
    """The CA's clock less this machine's, the way there and back shared equally; good to about a second."""
    signer: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One message of ours, and what its answer must match."""

    signer: Signer = field(repr=False)
    body_type: BodyType
    body: bytes = field(repr=False)
    answer_type: BodyType
    transaction_id: bytes
    recipient_nonce: bytes | None = None
    time_window: timedelta | None


class CmpClient:
    """Speaks to one CA at one address. Keeps nothing between calls."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        trust: Trust,
        *,
        clock: Clock = system_clock,
        random: RandomBytes = secrets.token_bytes,
        time_window: timedelta = timedelta(minutes=5),
        limits: Limits | None = None,
    ) -> None:
        self._http = http
        self._url = url
        self._trust = trust
        self._clock = clock
        self._random = random
        self._time_window = time_window
        self._limits = limits or Limits()

    async def general(
        self, signer: Signer, *, about: Collection[str] = (CA_CERTIFICATES, REQUEST_TEMPLATE)
    ) -> GeneralAnswer:
        """Ask for the CA's certificates and its request template, as the holder of a certificate (`genm`).

        An answer proves that the CA is reachable and genuine and takes this certificate. How far the clocks are apart
        is reported, not judged; a CA that judges it refuses with `badTime` and its own time.

        Raises:
            CmpError: each kind of failure as its own type; see `kiosk.cmp.errors`.
        """
        asked = self._clock()
        answer = await self._ask(
            _Step(
                signer=signer,
                body_type=BodyType.GENM,
                body=write_general(Info(kind) for kind in about),
                answer_type=BodyType.GENP,
                transaction_id=self._random(NONCE_LENGTH),
                time_window=None,
            )
        )
        told = {info.kind: info.value for info in read_general(answer.message.body)}
        certificates, template = told.get(CA_CERTIFICATES), told.get(REQUEST_TEMPLATE)
        return GeneralAnswer(
            ca_certificates=() if certificates is None else _certificates(certificates),
            template=None if template is None else read_template(template),
            message_time=answer.message_time,
            offset=answer.message_time - (asked + (self._clock() - asked) / 2),
            signer=answer.signer,
        )

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:
        """Ask for a successor of the signer's certificate, for a new key (`kur`, RFC 9483 §4.1.3).

        What comes back has been checked: it may be stored, and then be confirmed or rejected. Asking again, with the
        same key, is what to do after any failure of the way; no request is ever sent twice.

        Raises:
            Refused: the CA says no.
            AnswerWaits: the CA says later.
            WrongCertificate: the CA has issued, but not what was asked for; `reject` it.
            UntrustedAnswer: what came does not count; the CA may or may not have issued.
            CmpError: each other kind of failure as its own type.
        """
        transaction_id = self._random(NONCE_LENGTH)
        answer = await self._ask(
            _Step(
                signer=signer,
                body_type=BodyType.KUR,
                body=await write_update(signer.certificate, new_key),
                answer_type=BodyType.KUP,
                transaction_id=transaction_id,
                time_window=self._time_window,
            )
        )
        content = read_responses(answer.message.body)
        status = content.responses[0].status if content.responses else None
        if status is not None and status.status == Status.WAITING:
            raise AnswerWaits
        if status is not None and status.status not in (Status.ACCEPTED, Status.GRANTED_WITH_MODS):
            raise refusal_of(status, answer)
        return read_issued(content, answer, self._trust, signer, new_key.public_key)

    async def confirm(self, issued: Issued) -> None:
        """Tell the CA that the certificate is safely stored (`certConf`); returns once it has said so too.

        Raises:
            CmpError: each kind of failure as its own type. After one, ask anew with `update` and the same key.
        """
        await self._close(issued, Confirmation(cert_hash=certificate_hash(issued.certificate)))

    async def reject(self, issued: Issued, reason: str) -> None:
        """Tell the CA that the certificate is not taken, so that it revokes it (`certConf`, RFC 9483 §4.1.1).

        Raises:
            CmpError: each kind of failure as its own type.
        """
        status = rejection((), reason)
        await self._close(issued, Confirmation(cert_hash=certificate_hash(issued.certificate), status=status))

    async def _close(self, issued: Issued, confirmation: Confirmation) -> None:
        answer = await self._ask(
            _Step(
                signer=issued.signer,
                body_type=BodyType.CERTCONF,
                body=write_confirmation(confirmation),
                answer_type=BodyType.PKICONF,
                transaction_id=issued.transaction_id,
                recipient_nonce=issued.ca_nonce,
                time_window=self._time_window,
            )
        )
        if answer.message.body != PKICONF_BODY:
            raise MalformedMessage("no pkiConf")

    async def _ask(self, step: _Step) -> ProvenAnswer:
        nonce = self._random(NONCE_LENGTH)
        header = Header(
            sender=step.signer.certificate.subject_der,
            recipient=step.signer.certificate.issuer_der,
            message_time=self._clock(),
            transaction_id=step.transaction_id,
            sender_nonce=nonce,
            recipient_nonce=step.recipient_nonce,
        )
        request = await write_protected(header, step.body_type, step.body, step.signer)
        message = read_message(await exchange(self._http, self._url, request, self._limits))
        question = Question(
            transaction_id=step.transaction_id,
            nonce=nonce,
            answer_type=step.answer_type,
            time_window=step.time_window,
        )
        return check_answer(message, question, self._trust, self._clock())


def _certificates(value: bytes) -> tuple[Certificate, ...]:
    try:
        return read_certificates(read_certificate_list(value))
    except UnreadableCertificate as error:
        raise MalformedMessage("an unreadable CA certificate") from error
