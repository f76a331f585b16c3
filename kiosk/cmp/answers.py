"""Whether an answer counts (RFC 9483 §3.5): who protected it, to which request, and when.

Every customer's certificate chains to the same CA, so a chain alone proves nothing: the signer must be authorised to
answer for the CA, or be pinned, and must be who the header says. A MAC counts only in answer to a message protected by
the same secret; a signature counts there too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kiosk.certificates import (
    Certificate,
    UnreadableCertificate,
    UntrustedCertificate,
    check_path,
    read_certificate,
)
from kiosk.cmp.algorithms import Family, UnsupportedSignature, WrongSignature, family_of
from kiosk.cmp.envelope import Message
from kiosk.cmp.errors import Distrust, Refused, UntrustedAnswer, bounded_text
from kiosk.cmp.mac import SharedSecret, UnsupportedMac, WrongMac
from kiosk.cmp.peer import SignerRule
from kiosk.cmp.status import StatusInfo, read_error
from kiosk.cmp.vocabulary import CMC_CA, NONCE_LENGTH, VERSIONS, BodyType, Status

_MOST_EXTRA_CERTIFICATES = 20
_MAC_FAMILIES = frozenset({Family.PBM, Family.PBMAC1})


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose answers count."""

    roots: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...] = ()
    """Known besides those that come with an answer."""
    pinned_signers: tuple[Certificate, ...] = ()
    """Signers that count without path and purpose, while they are in date."""
    signer_purpose: str = CMC_CA
    """Extended key usage that authorises a signer, by `SignerRule.PURPOSE`."""
    signer_rule: SignerRule = SignerRule.PURPOSE

    def authorises(self, signer: Certificate) -> bool:
        """Whether a signer that is not pinned may answer for the CA, if it is what it seems to be."""
        match self.signer_rule:
            case SignerRule.PURPOSE:
                return self.signer_purpose in signer.purposes
            case SignerRule.ISSUER:
                return signer.is_authority and any(signer.der == each.der for each in self.authorities)
            case SignerRule.PINNED:
                return False

    @property
    def authorities(self) -> tuple[Certificate, ...]:
        """The trusted CA certificates."""
        return (*self.intermediates, *self.roots)

    @property
    def known_signers(self) -> tuple[Certificate, ...]:
        """Signers that need not send their certificate along."""
        of_rule = self.authorities if self.signer_rule is SignerRule.ISSUER else ()
        return (*self.pinned_signers, *of_rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked, as far as an answer must match it."""

    transaction_id: bytes
    nonce: bytes
    answer_types: frozenset[BodyType]
    time_window: timedelta | None
    """How far the answer's time may be from ours; None where that is only reported."""
    secret: SharedSecret | None = None
    """That protected the question; None where a signature did."""
    protections: frozenset[Family] = field(default=frozenset(Family))
    """What the answer may be protected by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenAnswer:
    """An answer that counts."""

    message: Message
    signer: Certificate | None
    """None where it is protected by the secret."""
    message_time: datetime
    nonce: bytes
    """The CA's senderNonce, to be returned in the next message of the transaction."""
    others: tuple[Certificate, ...]
    """Certificates that came along, unproven; for building paths."""


def check_answer(message: Message, question: Question, trust: Trust, now: datetime) -> ProvenAnswer:
    """Check everything about an answer but its content.

    An `error` that says `waiting` is an answer like any other (RFC 9483 §4.4).

    Raises:
        UntrustedAnswer: with the first check that failed.
        Refused: it is an `error`; `proven` tells whether all other checks were passed.
    """
    if message.body_type == BodyType.ERROR and message.protection is None:
        status = read_error(message.body)
        raise Refused(status.failure_names, bounded_text(status.text), proven=False)
    _require(message.header.pvno in VERSIONS, Distrust.VERSION)
    _require(message.protection is not None, Distrust.UNPROTECTED)
    others = _readable(message.extra_certificates)
    signer = None
    if _family(message, question) in _MAC_FAMILIES:
        _check_mac(message, question.secret)
    else:
        signer = _signer(message, trust)
        _check_signer(signer, message, trust, others, now)
        _check_signature(message, signer)
    nonce = _check_nonces(message, question)
    if message.body_type == BodyType.ERROR:
        _raise_unless_waiting(message, by_secret=signer is None)
    moment = _check_time(message, question, now)
    expected = message.body_type in question.answer_types or message.body_type == BodyType.ERROR
    _require(expected, Distrust.BODY_TYPE, str(message.body_type))
    return ProvenAnswer(message=message, signer=signer, message_time=moment, nonce=nonce, others=others)


def refusal_of(status: StatusInfo, answer: ProvenAnswer, *, decided: bool) -> Refused:
    """The refusal that a proven answer carries in its content."""
    return Refused(
        status.failure_names,
        bounded_text(status.text),
        proven=True,
        decided=decided,
        by_secret=answer.signer is None,
        message_time=answer.message_time,
    )


def _raise_unless_waiting(message: Message, *, by_secret: bool) -> None:
    status = read_error(message.body)
    if status.status != Status.WAITING:
        # An error without a time is still a proven no (RFC 9483 §3.6.2 asks for less than §3.1).
        raise Refused(
            status.failure_names,
            bounded_text(status.text),
            proven=True,
            by_secret=by_secret,
            message_time=message.header.message_time,
        )


def _require(holds: bool, reason: Distrust, detail: str = "") -> None:
    if not holds:
        raise UntrustedAnswer(reason, detail)


def _readable(ders: Iterable[bytes]) -> tuple[Certificate, ...]:
    """What can be read of certificates that came along; the others can only be missing from a path."""
    found = []
    for der in tuple(ders)[:_MOST_EXTRA_CERTIFICATES]:
        try:
            found.append(read_certificate(der))
        except UnreadableCertificate:
            continue
    return tuple(found)


def _family(message: Message, question: Question) -> Family:
    algorithm = message.header.protection_algorithm
    family = None if algorithm is None else family_of(algorithm)
    if family is None or family not in question.protections:
        raise UntrustedAnswer(Distrust.ALGORITHM, "" if algorithm is None else algorithm.identifier)
    return family


def _check_mac(message: Message, secret: SharedSecret | None) -> None:
    """The same secret and the same reference as in the question (RFC 9483 §4.1.5, §3.1)."""
    if secret is None:
        raise UntrustedAnswer(Distrust.MAC_UNASKED)
    _require(message.header.sender_key_id == secret.reference, Distrust.SENDER_KEY_ID)
    try:
        message.verify_mac(secret.secret)
    except UnsupportedMac as error:
        raise UntrustedAnswer(Distrust.ALGORITHM, str(error)) from error
    except WrongMac as error:
        raise UntrustedAnswer(Distrust.PROTECTION) from error


def _signer(message: Message, trust: Trust) -> Certificate:
    """The first of extraCerts (RFC 9483 §3.3), or else the known signer the header names."""
    if message.extra_certificates:
        try:
            return read_certificate(message.extra_certificates[0])
        except UnreadableCertificate as error:
            raise UntrustedAnswer(Distrust.SIGNER_MISSING, "unreadable") from error
    for known in trust.known_signers:
        if known.subject_der == message.header.sender:
            return known
    raise UntrustedAnswer(Distrust.SIGNER_MISSING)


def _check_signer(
    signer: Certificate, message: Message, trust: Trust, others: tuple[Certificate, ...], now: datetime
) -> None:
    header = message.header
    _require(header.sender == signer.subject_der, Distrust.SENDER)
    key_id = header.sender_key_id
    _require(key_id is None or key_id == signer.subject_key_identifier, Distrust.SENDER_KEY_ID)
    _require(signer.signs, Distrust.SIGNER_KEY_USAGE)
    if any(signer.der == pinned.der for pinned in trust.pinned_signers):
        _require(signer.valid_at(now), Distrust.SIGNER_PATH, "pinned, but not in date")
        return
    _require(trust.authorises(signer), Distrust.SIGNER_PURPOSE)
    if signer.is_authority and any(signer.der == root.der for root in trust.roots):
        _require(signer.valid_at(now), Distrust.SIGNER_PATH, "a root, but not in date")
        return
    try:
        check_path(signer, roots=trust.roots, intermediates=(*trust.intermediates, *others), at=now)
    except UntrustedCertificate as error:
        raise UntrustedAnswer(Distrust.SIGNER_PATH) from error


def _check_signature(message: Message, signer: Certificate) -> None:
    try:
        message.verify_protection(signer.public_key)
    except UnsupportedSignature as error:
        raise UntrustedAnswer(Distrust.ALGORITHM) from error
    except WrongSignature as error:
        raise UntrustedAnswer(Distrust.PROTECTION) from error


def _check_nonces(message: Message, question: Question) -> bytes:
    header = message.header
    _require(header.transaction_id == question.transaction_id, Distrust.TRANSACTION)
    _require(header.recipient_nonce == question.nonce, Distrust.RECIPIENT_NONCE)
    if header.sender_nonce is None or len(header.sender_nonce) < NONCE_LENGTH:
        raise UntrustedAnswer(Distrust.SENDER_NONCE)
    return header.sender_nonce


def _check_time(message: Message, question: Question, now: datetime) -> datetime:
    moment = message.header.message_time
    if moment is None:
        raise UntrustedAnswer(Distrust.TIME_MISSING)
    window = question.time_window
    _require(window is None or abs(moment - now) <= window, Distrust.TIME)
    return moment
