"""A certificate that came in an `ip`, `cp` or `kup`, and may be stored (RFC 9483 §4.1, and the house's own checks)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from kiosk.certificates import (
    Certificate,
    PublicKey,
    UnreadableCertificate,
    UntrustedCertificate,
    check_path,
    read_certificate,
)
from kiosk.cmp import der
from kiosk.cmp.answers import ProvenAnswer, Trust, refusal_of
from kiosk.cmp.envelope import Protector
from kiosk.cmp.errors import CmpError, Distrust, UntrustedAnswer
from kiosk.cmp.requests import public_key_der
from kiosk.cmp.responses import CertificateResponses
from kiosk.cmp.status import StatusInfo
from kiosk.cmp.vocabulary import CLIENT_AUTH, CONFIRM_WAIT_TIME, IMPLICIT_CONFIRM, Status

GRANTED = frozenset({Status.ACCEPTED, Status.GRANTED_WITH_MODS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for, as far as a certificate must match it."""

    key: PublicKey
    subject_der: bytes | None
    """None where whose it is to be was left to the CA."""
    outlasting: datetime | None = None
    """Its end must be later than this; None where there is nothing to outlast."""
    request_ids: frozenset[int] = frozenset({0})
    """The certReqId that the response may have."""
    ca_pubs_allowed: bool = False
    """Whether caPubs are overlooked; they are never trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that has been checked, with the state of its transaction."""

    certificate: Certificate
    message_time: datetime
    """The CA's clock as it issued."""
    confirm_before: datetime | None
    """When the CA stops waiting for the confirmation, if it says so."""
    modified: bool
    """Whether the CA says that it changed something (`grantedWithMods`)."""
    implicitly_confirmed: bool = False
    """Whether the CA says that it waits for no confirmation (RFC 9810 §5.1.1.1)."""
    address: str = ""
    """Where its transaction goes on."""
    transaction_id: bytes = field(repr=False)
    ca_nonce: bytes = field(repr=False)
    protector: Protector = field(repr=False)
    """Whoever asked; the same must confirm."""
    request_id: int = 0
    """Of the response it came in; one that is wrong is needed to say so."""


class WrongCertificate(UntrustedAnswer):
    """The CA, proven, has issued a certificate that nobody asked for; it is to be rejected with `CmpClient.reject`."""

    def __init__(self, reason: Distrust, issued: Issued) -> None:
        super().__init__(reason)
        self.issued = issued


def read_issued(
    content: CertificateResponses,
    answer: ProvenAnswer,
    trust: Trust,
    wanted: Wanted,
    *,
    protector: Protector,
    address: str,
) -> Issued:
    """Check a certificate that was issued in answer to a request by `protector`.

    Raises:
        Refused: the CA says no.
        WrongCertificate: it is not the one that was asked for, or came in an answer of another form than it must have.
        UntrustedAnswer: there is none that could be rejected.
    """
    if not content.responses:
        raise UntrustedAnswer(Distrust.REQUEST_ID)
    response = content.responses[0]
    if response.status.status not in GRANTED:
        raise _no(content, answer, response.status, wanted)
    certificate = _read(response.certificate)
    issued = Issued(
        certificate=certificate,
        message_time=answer.message_time,
        confirm_before=_confirm_before(answer),
        modified=response.status.status != Status.ACCEPTED,
        implicitly_confirmed=any(each.kind == IMPLICIT_CONFIRM for each in answer.message.header.general_info),
        address=address,
        transaction_id=answer.message.header.transaction_id or b"",
        ca_nonce=answer.nonce,
        protector=protector,
        request_id=response.request_id,
    )
    fault = _fault_of_form(content, wanted) or fault_of(certificate, wanted, answer.message_time)
    if fault is not None:
        raise WrongCertificate(fault, issued)
    known = (*trust.intermediates, *answer.others)
    try:
        check_path(certificate, roots=trust.roots, intermediates=known, at=answer.message_time)
    except UntrustedCertificate as error:
        raise WrongCertificate(Distrust.CERTIFICATE_PATH, issued) from error
    return issued


def fault_of(certificate: Certificate, wanted: Wanted, moment: datetime) -> Distrust | None:
    """What is wrong with a certificate at this moment; its path is looked at elsewhere."""
    subject, end = wanted.subject_der, wanted.outlasting
    checks = (
        (certificate.public_key_der == public_key_der(wanted.key), Distrust.CERTIFICATE_KEY),
        (subject is None or certificate.subject_der == subject, Distrust.CERTIFICATE_SUBJECT),
        (not certificate.is_authority, Distrust.CERTIFICATE_AUTHORITY),
        (certificate.signs, Distrust.CERTIFICATE_KEY_USAGE),
        (not certificate.purposes or CLIENT_AUTH in certificate.purposes, Distrust.CERTIFICATE_PURPOSE),
        (certificate.valid_at(moment), Distrust.CERTIFICATE_VALIDITY),
        (end is None or certificate.not_after > end, Distrust.CERTIFICATE_END),
    )
    return next((reason for holds, reason in checks if not holds), None)


def _no(content: CertificateResponses, answer: ProvenAnswer, status: StatusInfo, wanted: Wanted) -> CmpError:
    if status.status != Status.REJECTION:
        return UntrustedAnswer(Distrust.STATUS, str(status.status))
    # A no beside which there is something else, or that is about another request, decides nothing.
    (first, *others) = content.responses
    decided = not others and first.request_id in wanted.request_ids and first.certificate is None
    return refusal_of(status, answer, decided=decided)


def _read(data: bytes | None) -> Certificate:
    if data is None:
        raise UntrustedAnswer(Distrust.CERTIFICATE_MISSING)
    try:
        return read_certificate(data)
    except UnreadableCertificate as error:
        raise UntrustedAnswer(Distrust.CERTIFICATE_UNREADABLE) from error


def _fault_of_form(content: CertificateResponses, wanted: Wanted) -> Distrust | None:
    if content.ca_pubs and not wanted.ca_pubs_allowed:
        return Distrust.CA_PUBS
    if len(content.responses) != 1 or content.responses[0].request_id not in wanted.request_ids:
        return Distrust.REQUEST_ID
    # A yes that gives a reason against itself (RFC 9483 §4.1.1: failInfo goes with a rejection).
    return Distrust.STATUS if content.responses[0].status.failures else None


def _confirm_before(answer: ProvenAnswer) -> datetime | None:
    for info in answer.message.header.general_info:
        if info.kind == CONFIRM_WAIT_TIME and info.value is not None:
            return der.read_time(info.value)
    return None
