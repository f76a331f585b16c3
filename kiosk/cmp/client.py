"""The client: asks a CA, and gives back only answers that count."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx

from kiosk.certificates import Certificate, UnreadableCertificate, read_certificates
from kiosk.clock import Clock, system_clock
from kiosk.cmp.answers import ProvenAnswer, Question, Trust, check_answer, refusal_of
from kiosk.cmp.envelope import Header, read_message, write_protected
from kiosk.cmp.errors import AnswerWaits, MalformedMessage, Refused
from kiosk.cmp.general import RequestTemplate, read_general, read_list, read_template, write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.issued import Issued, read_issued
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.requests import write_update
from kiosk.cmp.responses import (
    PKICONF_BODY,
    CertificateResponses,
    Confirmation,
    certificate_hash,
    read_responses,
    write_confirmation,
)
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.cmp.status import StatusInfo, rejection
from kiosk.cmp.transfer import Limits, exchange
from kiosk.cmp.vocabulary import CA_CERTIFICATES, NONCE_LENGTH, REQUEST_TEMPLATE, BodyType, Status

_DOES_NOT_SAY = frozenset({"badRequest", "badDataFormat", "incorrectData", "addInfoNotAvailable"})
"""With which a CA refuses a question about itself that it does not know; anything else is about the asker."""


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

        One question a message, as RFC 9483 §4.3 has it. The first must be answered, and tells the time; a CA that is
        proven to refuse a later one, as one that it does not know, does not say.

        An answer proves that the CA is reachable and genuine and takes this certificate. How far the clocks are apart
        is reported, not judged; a CA that judges it refuses with `badTime` and its own time.

        Raises:
            CmpError: each kind of failure as its own type; see `kiosk.cmp.errors`.
        """
        first, *others = about
        asked = self._clock()
        answer = await self._ask_about(signer, first)
        answered = self._clock()
        told = {first: _told(answer, first)}
        for kind in others:
            told[kind] = await self._ask_further(signer, kind)
        certificates, template = told.get(CA_CERTIFICATES), told.get(REQUEST_TEMPLATE)
        return GeneralAnswer(
            ca_certificates=() if certificates is None else _certificates(certificates),
            template=None if template is None else read_template(template),
            message_time=answer.message_time,
            offset=answer.message_time - (asked + (answered - asked) / 2),
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
        _raise_unless_granted(content, answer)
        return read_issued(content, answer, self._trust, signer, new_key.public_key)

    async def confirm(self, issued: Issued) -> None:
        """Tell the CA that the certificate is safely stored (`certConf`); returns once it has said so too.

        Raises:
            CmpError: each kind of failure as its own type. After one, ask anew with `update` and the same key.
        """
        await self._close(issued, None)

    async def reject(self, issued: Issued, reason: str) -> None:
        """Tell the CA that the certificate is not taken, so that it revokes it (`certConf`, RFC 9483 §4.1.1).

        Raises:
            CmpError: each kind of failure as its own type.
        """
        await self._close(issued, rejection((), reason))

    async def _ask_about(self, signer: Signer, kind: str) -> ProvenAnswer:
        return await self._ask(
            _Step(
                signer=signer,
                body_type=BodyType.GENM,
                body=write_general([Info(kind)]),
                answer_type=BodyType.GENP,
                transaction_id=self._random(NONCE_LENGTH),
                time_window=None,
            )
        )

    async def _ask_further(self, signer: Signer, kind: str) -> bytes | None:
        try:
            return _told(await self._ask_about(signer, kind), kind)
        except Refused as refused:
            if not refused.proven or refused.fail_info - _DOES_NOT_SAY:
                raise
            return None

    async def _close(self, issued: Issued, status: StatusInfo | None) -> None:
        confirmation = Confirmation(
            cert_hash=certificate_hash(issued.certificate), request_id=issued.request_id, status=status
        )
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


def _told(answer: ProvenAnswer, kind: str) -> bytes | None:
    return next((info.value for info in read_general(answer.message.body) if info.kind == kind), None)


def _raise_unless_granted(content: CertificateResponses, answer: ProvenAnswer) -> None:
    first = content.responses[0] if content.responses else None
    if first is None or first.status.status in (Status.ACCEPTED, Status.GRANTED_WITH_MODS):
        return
    if first.status.status == Status.WAITING:
        raise AnswerWaits
    # A no beside which there is something else, or that is about another request, decides nothing.
    decided = len(content.responses) == 1 and first.request_id == 0 and first.certificate is None
    raise refusal_of(first.status, answer, decided=decided)


def _certificates(value: bytes) -> tuple[Certificate, ...]:
    try:
        return read_certificates(read_list(value))
    except UnreadableCertificate as error:
        raise MalformedMessage("an unreadable CA certificate") from error
