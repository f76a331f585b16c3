"""The client: asks a CA, and gives back only answers that count."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import httpx

from kiosk.certificates import Certificate, UnreadableCertificate, read_certificates
from kiosk.clock import Clock, system_clock
from kiosk.cmp import der
from kiosk.cmp.algorithms import NULL, Algorithm
from kiosk.cmp.answers import ProvenAnswer, Trust, refusal_of
from kiosk.cmp.crls import Crl, read_crl
from kiosk.cmp.envelope import Protector
from kiosk.cmp.errors import AnswerWaits, Distrust, MalformedMessage, NotRejectable, Refused, UntrustedAnswer
from kiosk.cmp.general import (
    CrlStatus,
    RequestTemplate,
    read_general,
    read_list,
    read_template,
    write_crl_statuses,
    write_general,
)
from kiosk.cmp.infos import Info
from kiosk.cmp.issued import Issued, Wanted, read_issued
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.peer import KIOSK, OPERATIONS, Confirming, Operation, Peer
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.requests import write_pkcs10, write_request
from kiosk.cmp.responses import (
    PKICONF_BODY,
    Confirmation,
    certificate_hash,
    read_responses,
    write_confirmation,
)
from kiosk.cmp.revocations import RevocationRequest, read_revocation_answer, write_revocations
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.cmp.status import StatusInfo, rejection
from kiosk.cmp.transaction import Ask, Channel, Monotonic, Sleep, Transaction
from kiosk.cmp.transfer import Limits, knock
from kiosk.cmp.vocabulary import (
    CA_CERTIFICATES,
    CRL_STATUS_LIST,
    CRLS,
    CURRENT_CRL,
    IMPLICIT_CONFIRM,
    PKCS10_REQUEST_ID,
    PVNO,
    PVNO_2021,
    REQUEST_TEMPLATE,
    BodyType,
    Status,
)

_DOES_NOT_SAY = frozenset({"badRequest", "badDataFormat", "incorrectData", "addInfoNotAvailable"})
"""With which a CA refuses a question about itself that it does not know; anything else is about the asker."""

_LABELS = {
    CA_CERTIFICATES: Operation.CA_CERTIFICATES,
    REQUEST_TEMPLATE: Operation.REQUEST_TEMPLATE,
    CURRENT_CRL: Operation.CRLS,
    CRL_STATUS_LIST: Operation.CRLS,
}
_SHA512 = Algorithm("2.16.840.1.101.3.4.2.3", NULL)
_PKCS10_REQUEST_IDS = frozenset({PKCS10_REQUEST_ID, 0})
"""RFC 4210 left open what a CA answers to a request without an id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralAnswer:
    """What a CA tells about itself (RFC 9483 §4.3)."""

    ca_certificates: tuple[Certificate, ...] = ()
    """Empty where the CA does not say. Told by a proven CA, yet no trust anchors."""
    template: RequestTemplate | None = None
    """None where the CA does not say."""
    message_time: datetime
    """The CA's clock as it answered, in whole seconds."""
    offset: timedelta
    """The CA's clock less this machine's, the way there and back shared equally; good to about a second."""
    signer: Certificate | None = None
    """None where a shared secret protects the answer."""
    proven: bool = True
    """False where the CA answers no `genm`: then only HTTP has said that it is there, and what time it has."""


class CmpClient:
    """Speaks to one CA at one address. Keeps nothing between calls."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        trust: Trust,
        *,
        peer: Peer = KIOSK,
        clock: Clock = system_clock,
        random: RandomBytes = secrets.token_bytes,
        sleep: Sleep = asyncio.sleep,
        monotonic: Monotonic = time.monotonic,
        limits: Limits | None = None,
    ) -> None:
        self._url = url
        self._channel = Channel(
            http=http,
            trust=trust,
            peer=peer,
            limits=limits or Limits(),
            clock=clock,
            random=random,
            sleep=sleep,
            monotonic=monotonic,
        )

    @property
    def peer(self) -> Peer:
        """What this CA knows and promises."""
        return self._channel.peer

    async def general(
        self, protector: Protector, *, about: Collection[str] = (CA_CERTIFICATES, REQUEST_TEMPLATE)
    ) -> GeneralAnswer:
        """Ask for the CA's certificates and its request template, with a certificate or a one-time code (`genm`).

        One question a message, as RFC 9483 §4.3 has it. The first must be answered, and tells the time; a CA that is
        proven to refuse a later one, as one that it does not know, does not say.

        An answer proves that the CA is reachable and genuine and takes this certificate or code. How far the clocks are
        apart is reported, not judged; a CA that judges it refuses with `badTime` and its own time. A CA that answers no
        `genm` is only knocked at; its answer proves nothing but that TLS found the server that it should be.

        Raises:
            CmpError: each kind of failure as its own type; see `kiosk.cmp.errors`.
        """
        if not self.peer.answers_general:
            return await self._knock()
        first, *others = about
        asked = self._channel.clock()
        answer = await self._ask_about(protector, Info(first))
        answered = self._channel.clock()
        told = {first: _told(answer, first)}
        for kind in others:
            told[kind] = await self._ask_further(protector, kind)
        certificates, template = told.get(CA_CERTIFICATES), told.get(REQUEST_TEMPLATE)
        return GeneralAnswer(
            ca_certificates=() if certificates is None else _certificates(certificates),
            template=None if template is None else read_template(template),
            message_time=answer.message_time,
            offset=answer.message_time - (asked + (answered - asked) / 2),
            signer=answer.signer,
        )

    async def current_crl(self, protector: Protector) -> Crl | None:
        """The CA's newest CRL, checked (`genm` with currentCRL, RFC 9810 §5.3.19.6); None where it has none.

        Raises:
            UntrustedAnswer: the answer does not count, or the CRL does not (`Distrust.CRL`).
            CmpError: each other kind of failure as its own type.
        """
        answer = await self._ask_about(protector, Info(CURRENT_CRL))
        value = _told(answer, CURRENT_CRL)
        return None if value is None else self._read_crl(value, answer)

    async def newer_crl(self, protector: Protector, issuer: Certificate, known: Crl | None = None) -> Crl | None:
        """A CRL of `issuer` that is newer than the one that is known (`genm` with crlStatusList, RFC 9483 §4.3.4).

        None where there is none.

        Raises:
            UntrustedAnswer: the answer does not count, or the CRL is none, or is not newer (`Distrust.CRL`).
            CmpError: each other kind of failure as its own type.
        """
        status = CrlStatus(issuer.subject_der, None if known is None else known.this_update)
        answer = await self._ask_about(protector, Info(CRL_STATUS_LIST, write_crl_statuses([status])))
        value = _told(answer, CRLS)
        if value is None:
            return None
        crls = [self._read_crl(each, answer) for each in read_list(value)]
        newer = len(crls) == 1 and (known is None or crls[0].this_update > known.this_update)
        if not newer or crls[0].issuer.subject_der != issuer.subject_der:
            raise UntrustedAnswer(Distrust.CRL, "not the one that was asked for")
        return crls[0]

    async def enrol(self, protector: Protector, new_key: SigningKey, subject: bytes | None = None) -> Issued:
        """Ask for a first certificate, with a one-time code or a certificate (`ir`, RFC 9483 §4.1.1, §4.1.5).

        `subject` is the DER of the name that it is to have and must come with; None leaves that to the CA, and to the
        caller to look at. caPubs that come along are not looked at: nobody becomes a trust anchor by an answer.

        Raises:
            CmpError: as with `update`.
        """
        body = await write_request(new_key, subject_der=subject or der.EMPTY_SEQUENCE)
        return await self._certify(BodyType.IR, body, protector, self._wanted(protector, new_key, subject))

    async def certify(self, signer: Signer, new_key: SigningKey, subject: bytes | None = None) -> Issued:
        """Ask for a further certificate, as the holder of one (`cr`, RFC 9483 §4.1.2); see `enrol`.

        Raises:
            CmpError: as with `update`.
        """
        body = await write_request(new_key, subject_der=subject or der.EMPTY_SEQUENCE)
        return await self._certify(BodyType.CR, body, signer, self._wanted(signer, new_key, subject))

    async def certify_pkcs10(self, protector: Protector, new_key: SigningKey, subject: bytes) -> Issued:
        """Ask for a certificate by a request in PKCS #10 (`p10cr`, RFC 9483 §4.1.4).

        Raises:
            CmpError: as with `update`.
        """
        wanted = replace(self._wanted(protector, new_key, subject), request_ids=_PKCS10_REQUEST_IDS)
        return await self._certify(BodyType.P10CR, await write_pkcs10(new_key, subject), protector, wanted)

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:
        """Ask for a successor of the signer's certificate, for a new key (`kur`, RFC 9483 §4.1.3).

        What comes back has been checked: it may be stored, and then be confirmed or rejected. Asking again, with the
        same key, is what to do after any failure of the way where the peer's `resume` says so; no request is ever sent
        twice.

        Raises:
            Refused: the CA says no.
            AnswerWaits: the CA says later, and has been asked for as long as the peer's settings have it.
            WrongCertificate: the CA has issued, but not what was asked for; `reject` it.
            UntrustedAnswer: what came does not count; the CA may or may not have issued.
            CmpError: each other kind of failure as its own type.
        """
        old = signer.certificate
        body = await write_request(
            new_key,
            subject_der=old.subject_der if self.peer.subject_in_update else None,
            old=old if self.peer.old_certificate_in_update else None,
        )
        wanted = replace(self._wanted(signer, new_key, old.subject_der), outlasting=old.not_after)
        return await self._certify(BodyType.KUR, body, signer, wanted)

    async def confirm(self, issued: Issued, sending: Callable[[], None] | None = None) -> None:
        """Tell the CA that the certificate is safely stored (`certConf`); returns once it has said so too.

        Says nothing where the CA does not wait for it (`Peer.waits_for`). `sending` is called when it is signed and
        about to be sent.

        Raises:
            CmpError: each kind of failure as its own type. After one, ask anew with `update` and the same key.
        """
        if self.peer.waits_for(issued):
            await self._close(issued, None, sending)

    async def reject(self, issued: Issued, reason: str) -> None:
        """Tell the CA that the certificate is not taken, so that it revokes it (`certConf`, RFC 9483 §4.1.1).

        Raises:
            NotRejectable: no certConf can say so any more; somebody at the CA must revoke it.
            CmpError: each other kind of failure as its own type.
        """
        if not self.peer.waits_for(issued):
            raise NotRejectable("confirmed already" if issued.implicitly_confirmed else "no certConf is known")
        await self._close(issued, rejection((), reason))

    async def revoke(self, signer: Signer, certificate: Certificate, reason: int | None = None) -> None:
        """Have a certificate revoked (`rr`, RFC 9483 §4.2); `reason` is the number of a CRLReason (RFC 5280 §5.3.1).

        Raises:
            Refused: the CA says no; `certRevoked` where it is revoked already.
            AnswerWaits: somebody there has to decide.
            CmpError: each other kind of failure as its own type.
        """
        transaction = self._begin(OPERATIONS[BodyType.RR], signer)
        ask = Ask(
            body_type=BodyType.RR,
            body=write_revocations([RevocationRequest.of(certificate, reason)]),
            time_window=self.peer.time_window,
        )
        answer = await transaction.ask(ask)
        statuses = read_revocation_answer(answer.message.body)
        if len(statuses) != 1:
            raise UntrustedAnswer(Distrust.REQUEST_ID, f"{len(statuses)} statuses")
        match statuses[0].status:
            case Status.ACCEPTED | Status.GRANTED_WITH_MODS if not statuses[0].failures:
                return
            case Status.WAITING:
                raise AnswerWaits
            case Status.REJECTION:
                raise refusal_of(statuses[0], answer, decided=True)
            case other:
                raise UntrustedAnswer(Distrust.STATUS, str(other))

    async def _knock(self) -> GeneralAnswer:
        asked = self._channel.clock()
        date = await knock(self._channel.http, self._url, self._channel.limits)
        answered = self._channel.clock()
        middle = asked + (answered - asked) / 2
        return GeneralAnswer(message_time=date or answered, offset=(date or middle) - middle, proven=False)

    async def _ask_about(self, protector: Protector, question: Info) -> ProvenAnswer:
        transaction = self._begin(_LABELS[question.kind], protector)
        return await transaction.ask(Ask(body_type=BodyType.GENM, body=write_general([question])))

    async def _ask_further(self, protector: Protector, kind: str) -> bytes | None:
        try:
            return _told(await self._ask_about(protector, Info(kind)), kind)
        except Refused as refused:
            if not refused.proven or refused.fail_info - _DOES_NOT_SAY:
                raise
            return None

    async def _certify(self, body_type: BodyType, body: bytes, protector: Protector, wanted: Wanted) -> Issued:
        operation = OPERATIONS[body_type]
        implicit = self.peer.confirming is Confirming.IMPLICIT
        ask = Ask(
            body_type=body_type,
            body=body,
            infos=(Info(IMPLICIT_CONFIRM, NULL),) if implicit else (),
            request_ids=wanted.request_ids,
            time_window=self.peer.time_window,
        )
        answer = await self._begin(operation, protector).ask(ask)
        return read_issued(
            read_responses(answer.message.body),
            answer,
            self._channel.trust,
            wanted,
            protector=protector,
            address=self.peer.address(self._url, operation),
        )

    async def _close(
        self, issued: Issued, status: StatusInfo | None, sending: Callable[[], None] | None = None
    ) -> None:
        named = self._hash_to_be_named(issued.certificate)
        confirmation = Confirmation(
            cert_hash=certificate_hash(issued.certificate),
            request_id=issued.request_id,
            status=status,
            hash_algorithm=named,
        )
        transaction = Transaction(
            self._channel,
            issued.address,
            issued.protector,
            transaction_id=issued.transaction_id,
            ca_nonce=issued.ca_nonce,
        )
        answer = await transaction.ask(
            Ask(
                body_type=BodyType.CERTCONF,
                body=write_confirmation(confirmation),
                version=PVNO if named is None else PVNO_2021,
                time_window=self.peer.time_window,
                sending=sending,
            )
        )
        if answer.message.body != PKICONF_BODY:
            raise MalformedMessage("no pkiConf")

    def _hash_to_be_named(self, certificate: Certificate) -> Algorithm | None:
        """Where the signature on the certificate brings no hash of its own, as Ed25519's (RFC 9810 §5.3.18)."""
        named = certificate.signature_hash is None and self.peer.newest_version >= PVNO_2021
        return _SHA512 if named else None

    def _wanted(self, protector: Protector, new_key: SigningKey, subject: bytes | None) -> Wanted:
        return Wanted(
            key=new_key.public_key,
            subject_der=subject,
            ca_pubs_allowed=self.peer.ca_pubs_ignored or isinstance(protector, SharedSecret),
        )

    def _begin(self, operation: Operation, protector: Protector) -> Transaction:
        return Transaction(self._channel, self.peer.address(self._url, operation), protector)

    def _read_crl(self, value: bytes, answer: ProvenAnswer) -> Crl:
        return read_crl(value, self._channel.trust.authorities, answer.message_time)


def _told(answer: ProvenAnswer, kind: str) -> bytes | None:
    """The one value that answers one question (RFC 9483 §4.3); None where the CA has none."""
    infos = read_general(answer.message.body)
    if not infos:
        return None
    if [each.kind for each in infos] != [kind]:
        raise UntrustedAnswer(Distrust.INFO)
    return infos[0].value


def _certificates(value: bytes) -> tuple[Certificate, ...]:
    try:
        return read_certificates(read_list(value))
    except UnreadableCertificate as error:
        raise MalformedMessage("an unreadable CA certificate") from error
