"""The content of a `kup`: a certificate that may be stored (RFC 9483 §4.1.3, and the house's own checks)."""

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
from kiosk.cmp.answers import ProvenAnswer, Trust
from kiosk.cmp.errors import Distrust, UntrustedAnswer
from kiosk.cmp.requests import public_key_der
from kiosk.cmp.responses import CertificateResponses
from kiosk.cmp.signing import Signer
from kiosk.cmp.vocabulary import CLIENT_AUTH, CONFIRM_WAIT_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that has been checked but not yet confirmed, with the state of its transaction."""

    certificate: Certificate
    message_time: datetime
    """The CA's clock as it issued."""
    confirm_before: datetime | None
    """When the CA stops waiting for the confirmation, if it says so."""
    modified: bool
    """Whether the CA says that it changed something (`grantedWithMods`)."""
    transaction_id: bytes = field(repr=False)
    ca_nonce: bytes = field(repr=False)
    signer: Signer = field(repr=False)
    """Whoever asked; the same must confirm."""
    request_id: int = 0
    """Of the response it came in; anything but 0 is wrong, and needed to say so."""


class WrongCertificate(UntrustedAnswer):
    """The CA, proven, has issued a certificate that nobody asked for; it is to be rejected with `CmpClient.reject`."""

    def __init__(self, reason: Distrust, issued: Issued) -> None:
        super().__init__(reason)
        self.issued = issued


def read_issued(
    content: CertificateResponses, answer: ProvenAnswer, trust: Trust, signer: Signer, key: PublicKey
) -> Issued:
    """Check a certificate that was issued in answer to a request by `signer` for `key`.

    Raises:
        WrongCertificate: it is not the one that was asked for, or came in an answer of another form than it must have.
        UntrustedAnswer: there is none that could be rejected.
    """
    if not content.responses:
        raise UntrustedAnswer(Distrust.REQUEST_ID)
    response = content.responses[0]
    certificate = _read(response.certificate)
    issued = Issued(
        certificate=certificate,
        message_time=answer.message_time,
        confirm_before=_confirm_before(answer),
        modified=response.status.status != 0,
        transaction_id=answer.message.header.transaction_id or b"",
        ca_nonce=answer.nonce,
        signer=signer,
        request_id=response.request_id,
    )
    fault = _fault_of_form(content) or _fault(certificate, signer.certificate, key, answer.message_time)
    if fault is not None:
        raise WrongCertificate(fault, issued)
    known = (*trust.intermediates, *answer.others)
    try:
        check_path(certificate, roots=trust.roots, intermediates=known, at=answer.message_time)
    except UntrustedCertificate as error:
        raise WrongCertificate(Distrust.CERTIFICATE_PATH, issued) from error
    return issued


def _read(data: bytes | None) -> Certificate:
    if data is None:
        raise UntrustedAnswer(Distrust.CERTIFICATE_MISSING)
    try:
        return read_certificate(data)
    except UnreadableCertificate as error:
        raise UntrustedAnswer(Distrust.CERTIFICATE_UNREADABLE) from error


def _fault_of_form(content: CertificateResponses) -> Distrust | None:
    if content.ca_pubs:
        return Distrust.CA_PUBS
    one = len(content.responses) == 1 and content.responses[0].request_id == 0
    return None if one else Distrust.REQUEST_ID


def _fault(certificate: Certificate, old: Certificate, key: PublicKey, moment: datetime) -> Distrust | None:
    checks = (
        (certificate.public_key_der == public_key_der(key), Distrust.CERTIFICATE_KEY),
        (certificate.subject_der == old.subject_der, Distrust.CERTIFICATE_SUBJECT),
        (not certificate.is_authority, Distrust.CERTIFICATE_AUTHORITY),
        (certificate.signs, Distrust.CERTIFICATE_KEY_USAGE),
        (not certificate.purposes or CLIENT_AUTH in certificate.purposes, Distrust.CERTIFICATE_PURPOSE),
        (certificate.valid_at(moment), Distrust.CERTIFICATE_VALIDITY),
        (certificate.not_after > old.not_after, Distrust.CERTIFICATE_END),
    )
    return next((reason for holds, reason in checks if not holds), None)


def _confirm_before(answer: ProvenAnswer) -> datetime | None:
    for info in answer.message.header.general_info:
        if info.kind == CONFIRM_WAIT_TIME and info.value is not None:
            return der.read_time(info.value)
    return None
