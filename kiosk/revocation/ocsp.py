"""Asking by OCSP, and which answers count (RFC 6960 §3.2, §4.2.2.2; RFC 9654)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPRequest,
    OCSPRequestBuilder,
    OCSPResponse,
    OCSPResponseStatus,
    OCSPSingleResponse,
    load_der_ocsp_response,
)

from kiosk.certificates import UNREADABLE, Certificate, UnreadableCertificate, is_issued_by, read_certificate
from kiosk.cmp.algorithms import Algorithm, UnsupportedSignature, WrongSignature, verify
from kiosk.revocation.freshness import check_times
from kiosk.revocation.status import CertStatus, Status, StatusFault, StatusNotTold, StatusNotTrusted

SOURCE = "ocsp"
NONCE_LENGTH = 32
"""Octets (RFC 9654 §2.1)."""
_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
_PASSING = frozenset({OCSPResponseStatus.TRY_LATER, OCSPResponseStatus.INTERNAL_ERROR})
"""After which a responder is to be asked again (RFC 6960 §2.3)."""
_MOST_CERTIFICATES = 8
_MOST_ANSWERS = 32


class Question:
    """One request, and the reading of its answer."""

    def __init__(self, certificate: Certificate, issuer: Certificate, nonce: bytes) -> None:
        """Ask whether `issuer` has revoked `certificate`.

        The CertID is by SHA-1, which every responder knows; it names the issuer and proves nothing.
        """
        self._issuer = issuer
        self._nonce = x509.OCSPNonce(nonce)
        builder = OCSPRequestBuilder().add_certificate(certificate.x509, issuer.x509, hashes.SHA1())  # noqa: S303
        self._asked: OCSPRequest = builder.add_extension(self._nonce, critical=False).build()
        self.der = self._asked.public_bytes(Encoding.DER)
        """The OCSPRequest."""

    def read(self, answer: bytes, now: datetime) -> Status:
        """Check an answer in full, by the CA's time.

        A signer counts who is the issuer itself, or was authorised for OCSP by a certificate that the issuer signed.

        Raises:
            StatusNotTold: it says that there is none. Nobody signs that, so it proves nothing.
            StatusNotTrusted: it does not count.
        """
        with _readable():
            response = load_der_ocsp_response(answer)
            said = response.response_status
            if said is not OCSPResponseStatus.SUCCESSFUL:
                raise StatusNotTold(f"{SOURCE}: {said.name.lower()}", is_passing=said in _PASSING)
            _check_extensions(response.extensions, self._nonce)
            signer = self._signer(response)
            self._check_signer(signer, now)
            _check_signature(response, signer)
            single = self._mine(response)
            check_times(SOURCE, single.this_update_utc, single.next_update_utc, now)
            return _status(single)

    def _signer(self, response: OCSPResponse) -> Certificate:
        key_hash, name = response.responder_key_hash, response.responder_name
        name_der = None if name is None else name.public_bytes()
        for candidate in (self._issuer, *_certificates(response)):
            if key_hash is None and candidate.subject_der == name_der:
                return candidate
            if key_hash is not None and _key_hash(candidate) == key_hash:
                return candidate
        raise StatusNotTrusted(SOURCE, StatusFault.SIGNER_MISSING)

    def _check_signer(self, signer: Certificate, now: datetime) -> None:
        # Where it is the issuer itself, its own path has been checked with the customer's certificate.
        if signer == self._issuer:
            return
        checks = (
            (is_issued_by(signer, self._issuer), StatusFault.SIGNER_PATH),
            (_OCSP_SIGNING in signer.purposes, StatusFault.SIGNER_PURPOSE),
            (signer.signs, StatusFault.SIGNER_KEY_USAGE),
            (signer.valid_at(now), StatusFault.SIGNER_VALIDITY),
        )
        for holds, fault in checks:
            if not holds:
                raise StatusNotTrusted(SOURCE, fault)

    def _mine(self, response: OCSPResponse) -> OCSPSingleResponse:
        for number, single in enumerate(response.responses):
            if number < _MOST_ANSWERS and _certificate_id(single) == _certificate_id(self._asked):
                return single
        raise StatusNotTrusted(SOURCE, StatusFault.CERTIFICATE)


def _certificates(response: OCSPResponse) -> Iterator[Certificate]:
    """Those that came along; one that cannot be read is passed over, and cannot be whose signature it is."""
    for certificate in response.certificates[:_MOST_CERTIFICATES]:
        try:
            yield read_certificate(certificate.public_bytes(Encoding.DER))
        except UnreadableCertificate:
            continue


def _key_hash(certificate: Certificate) -> bytes:
    """KeyHash of a ResponderID (RFC 6960 §4.2.1): SHA-1 over the key's bits, as in RFC 5280 §4.2.1.2, method 1."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key).digest


def _certificate_id(asked: OCSPRequest | OCSPSingleResponse) -> tuple[str, bytes, bytes, int]:
    return asked.hash_algorithm.name, asked.issuer_name_hash, asked.issuer_key_hash, asked.serial_number


def _check_extensions(extensions: x509.Extensions, nonce: x509.OCSPNonce) -> None:
    """A nonce may be missing, for answers that were made beforehand; one that is there must be ours."""
    for extension in extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            if extension.value != nonce:
                raise StatusNotTrusted(SOURCE, StatusFault.NONCE)
        elif extension.critical:
            raise StatusNotTrusted(SOURCE, StatusFault.CRITICAL)


def _check_signature(response: OCSPResponse, signer: Certificate) -> None:
    algorithm = Algorithm(response.signature_algorithm_oid.dotted_string)
    try:
        verify(algorithm, signer.public_key, response.signature, response.tbs_response_bytes)
    except (UnsupportedSignature, WrongSignature) as error:
        raise StatusNotTrusted(SOURCE, StatusFault.SIGNATURE) from error


def _status(single: OCSPSingleResponse) -> Status:
    match single.certificate_status:
        case OCSPCertStatus.GOOD:
            return Status(CertStatus.GOOD, SOURCE)
        case OCSPCertStatus.REVOKED:
            reason = single.revocation_reason
            return Status(
                CertStatus.REVOKED, SOURCE, "" if reason is None else reason.value, single.revocation_time_utc
            )
        case OCSPCertStatus.UNKNOWN:
            return Status(CertStatus.UNKNOWN, SOURCE)


@contextmanager
def _readable() -> Iterator[None]:
    """What the library says of damaged bytes comes when a field is touched, and in many ways."""
    try:
        yield
    except UNREADABLE as error:
        raise StatusNotTrusted(SOURCE, StatusFault.UNREADABLE) from error
