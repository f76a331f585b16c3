"""Whether a `kur` asks for what this CA gives (RFC 9483 §4.1.3)."""

from __future__ import annotations

from kiosk.ca.policy import Policy, key_kind
from kiosk.ca.refusals import Refusal
from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.algorithms import UnsupportedSignature, WrongSignature
from kiosk.cmp.der import EMPTY_SEQUENCE
from kiosk.cmp.requests import CertificateRequest
from kiosk.cmp.vocabulary import FailInfo

_VERSION_3 = 2


def check_request(requests: tuple[CertificateRequest, ...], old: Certificate, policy: Policy) -> PublicKey:
    """Check one request for a successor of `old`; answers with the key to be certified.

    Raises:
        Refusal: it is not for this certificate, asks for something else, or does not prove possession of its key.
    """
    if len(requests) != 1:
        raise Refusal(FailInfo.BAD_REQUEST, "one request at a time")
    request = requests[0]
    if request.request_id != 0:
        raise Refusal(FailInfo.BAD_REQUEST, "the certReqId of a single request is 0")
    if request.old_certificate is None or not request.old_certificate.names(old):
        raise Refusal(FailInfo.BAD_CERT_ID, "the old certificate must be named, and be the signer's")
    _check_template(request, old)
    key = _read_key(request)
    if key_kind(key) not in policy.key_kinds:
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "keys of this kind are not certified")
    _check_proof(request, key)
    return key


def is_modified(request: CertificateRequest) -> bool:
    """Whether the certificate will lack something that was asked for: the profile is the CA's alone."""
    return request.has_extensions or request.has_validity


def _check_template(request: CertificateRequest, old: Certificate) -> None:
    if request.subject_der not in (None, EMPTY_SEQUENCE, old.subject_der):
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "the subject is not that of the old certificate")
    if request.issuer_der not in (None, old.issuer_der):
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "the issuer is not this CA")
    if request.serial_number is not None or request.version not in (None, _VERSION_3):
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "serial number and version are the CA's to choose")


def _read_key(request: CertificateRequest) -> PublicKey:
    try:
        return request.public_key()
    except UnsupportedSignature as error:
        raise Refusal(FailInfo.BAD_CERT_TEMPLATE, "a public key that can be read is needed") from error


def _check_proof(request: CertificateRequest, key: PublicKey) -> None:
    try:
        request.verify_proof(key)
    except (UnsupportedSignature, WrongSignature) as error:
        raise Refusal(FailInfo.BAD_POP, "possession of the private key is not proven") from error
