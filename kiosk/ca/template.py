"""Whether a request asks for what this CA gives (RFC 9483 §4.1.1 to §4.1.4)."""

from __future__ import annotations

from kiosk.ca.holders import Holder
from kiosk.ca.policy import Policy, key_kind
from kiosk.ca.refusals import Refusal
from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.algorithms import UnsupportedSignature, WrongSignature
from kiosk.cmp.der import EMPTY_SEQUENCE
from kiosk.cmp.requests import CertificateRequest, ProofKind
from kiosk.cmp.vocabulary import PKCS10_REQUEST_ID, BodyType, FailInfo

_VERSION_3 = 2


def the_one(requests: tuple[CertificateRequest, ...], body_type: BodyType) -> CertificateRequest:
    """The single request of a message.

    Raises:
        Refusal: there are more, or none, or it does not have the number of a single one.
    """
    if len(requests) != 1:
        raise Refusal(FailInfo.BAD_REQUEST, "one request at a time")
    if requests[0].request_id != (PKCS10_REQUEST_ID if body_type is BodyType.P10CR else 0):
        raise Refusal(FailInfo.BAD_REQUEST, "the certReqId of a single request is 0")
    return requests[0]


def check_update(request: CertificateRequest, old: Certificate, policy: Policy) -> PublicKey:
    """Check a request for a successor of `old`; answers with the key to be certified.

    Raises:
        Refusal: it is not for this certificate, asks for something else, or does not prove possession of its key.
    """
    # Naming it is optional: what protects the message is what is to be updated (RFC 9483 §4.1.3 items 2 and 5).
    if request.old_certificate is not None and not request.old_certificate.names(old):
        raise Refusal(FailInfo.BAD_CERT_ID, "the old certificate is not the signer's")
    if request.subject_der not in (None, EMPTY_SEQUENCE, old.subject_der):
        raise Refusal(FailInfo.NOT_AUTHORIZED, "the subject is not that of the old certificate")
    return _check(request, old.issuer_der, policy)


def check_enrolment(request: CertificateRequest, holder: Holder, issuer_der: bytes, policy: Policy) -> PublicKey:
    """Check a request for a certificate of this holder that replaces none; answers with the key to be certified.

    Raises:
        Refusal: it is for somebody else, asks for something else, or does not prove possession of its key.
    """
    if request.old_certificate is not None:
        raise Refusal(FailInfo.BAD_CERT_ID, "an old certificate is named by a kur only")
    subject = request.subject_der
    if subject not in (None, EMPTY_SEQUENCE) and not holder.is_named_by(subject or b""):
        raise Refusal(FailInfo.NOT_AUTHORIZED, "the subject is not that of the holder")
    return _check(request, issuer_der, policy)


def is_modified(request: CertificateRequest, subject_der: bytes) -> bool:
    """Whether the certificate, for this subject, will lack something asked for: the profile is the CA's alone."""
    renamed = request.subject_der not in (None, EMPTY_SEQUENCE, subject_der)
    return request.has_extensions or request.has_validity or renamed


def _check(request: CertificateRequest, issuer_der: bytes, policy: Policy) -> PublicKey:
    if request.issuer_der not in (None, issuer_der):
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "the issuer is not this CA")
    if request.serial_number is not None or request.version not in (None, _VERSION_3):
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "serial number and version are the CA's to choose")
    if request.has_reserved:
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "signature algorithm and unique ids are not for a template")
    key = _read_key(request)
    if key_kind(key) not in policy.key_kinds:
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "keys of this kind are not certified")
    _check_proof(request, key)
    return key


def _read_key(request: CertificateRequest) -> PublicKey:
    try:
        return request.public_key()
    except UnsupportedSignature as error:
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "a public key that can be read is needed") from error


def _check_proof(request: CertificateRequest, key: PublicKey) -> None:
    if request.proof.kind is ProofKind.BY_RA:
        raise Refusal(FailInfo.NOT_AUTHORIZED, "only an RA can say that possession is proven")
    try:
        request.verify_proof(key)
    except (UnsupportedSignature, WrongSignature) as error:
        raise Refusal(FailInfo.BAD_POP, "possession of the private key is not proven") from error
