"""Whether a certificate is revoked, one at a time: OCSP (RFC 6960, RFC 9654).

Answers are made when they are asked for, signed by a signer whom the issuing CA has authorised for nothing else. A
certificate that was issued and not confirmed yet is "good": that word says that it is not revoked, and the CRL says so
too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPRequest,
    OCSPRequestBuilder,
    OCSPResponderEncoding,
    OCSPResponse,
    OCSPResponseBuilder,
    OCSPResponseStatus,
    load_der_ocsp_request,
)
from cryptography.x509.oid import OCSPExtensionOID
from sqlalchemy import bindparam, select

from kiosk.ca import ledger
from kiosk.ca.authority import Authority
from kiosk.ca.ledger import REVOKED_STATES, Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.schema import CERTIFICATES
from kiosk.certificates import UNREADABLE

LARGEST_REQUEST = 8 * 1024
"""Bytes; a request for one certificate has about a hundred, and more where somebody signs it."""
LONGEST_NONCE = 128
"""Octets (RFC 9654 §2.1)."""
_HASHES = (hashes.SHA1(), hashes.SHA256())  # noqa: S303 - it names, it proves nothing
"""By which a CertID may name the issuer."""


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """An OCSPResponse, and the times of one that is the same for everybody who asks."""

    der: bytes
    this_update: datetime | None = None
    next_update: datetime | None = None
    seconds: int = 0
    """For how long it may be kept: until its end; not at all where it is for whoever asked."""


@dataclass(frozen=True, slots=True)
class _Status:
    status: OCSPCertStatus
    revoked_at: datetime | None = None
    reason: x509.ReasonFlags | None = None


_STANDING = select(CERTIFICATES.c.state, CERTIFICATES.c.reason, CERTIFICATES.c.changed_at).where(
    CERTIFICATES.c.issuer == bindparam("by"), CERTIFICATES.c.serial == bindparam("wanted")
)
_GOOD, _UNKNOWN = _Status(OCSPCertStatus.GOOD), _Status(OCSPCertStatus.UNKNOWN)


class _Unanswerable(Exception):
    def __init__(self, status: OCSPResponseStatus) -> None:
        super().__init__(status.name)
        self.status = status


class OcspResponder:
    """Answers for the certificates of one authority, out of one ledger."""

    def __init__(self, authority: Authority, book: Ledger, policy: Policy) -> None:
        self._authority = authority
        self._book = book
        self._life = policy.status_life
        self._issuer_hash = ledger.issuer_hash(authority.issuing.subject_der)
        self._own = {each.serial for each in (authority.signer.certificate, authority.ocsp)}
        self._names = {each.name: _hashes_of(authority, each) for each in _HASHES}

    def answer(self, request: bytes) -> OcspAnswer:
        """Answer one request.

        What is no request gets `malformedRequest`. One about another CA's certificate, or about several at once, gets
        `unauthorized`: the library reads and writes answers about one (as RFC 5019 has it), and an answer that leaves
        out what was asked would mislead.
        """
        try:
            asked, nonce = self._read(request)
        except _Unanswerable as error:
            return OcspAnswer(OCSPResponseBuilder.build_unsuccessful(error.status).public_bytes(Encoding.DER))
        now, status = self._status(asked.serial_number)
        this_update = now.replace(microsecond=0)
        next_update = this_update + self._life
        response = self._sign(asked, status, nonce, this_update, next_update)
        der = response.public_bytes(Encoding.DER)
        # Nor is "unknown" kept by anybody: the certificate may be issued the next moment.
        if nonce is not None or status is _UNKNOWN:
            return OcspAnswer(der)
        return OcspAnswer(der, this_update, next_update, int((next_update - now).total_seconds()))

    def _read(self, request: bytes) -> tuple[OCSPRequest, bytes | None]:
        try:
            asked = load_der_ocsp_request(request)
            nonce = _nonce(asked.extensions)
            names = self._names.get(asked.hash_algorithm.name)
        except (NotImplementedError, UnsupportedAlgorithm) as error:
            raise _Unanswerable(OCSPResponseStatus.UNAUTHORIZED) from error
        except UNREADABLE as error:
            raise _Unanswerable(OCSPResponseStatus.MALFORMED_REQUEST) from error
        # The library reads a negative serial number, and writes none (RFC 5280 §4.1.2.2 has no such).
        if asked.serial_number < 0:
            raise _Unanswerable(OCSPResponseStatus.MALFORMED_REQUEST)
        if (asked.issuer_name_hash, asked.issuer_key_hash) != names:
            raise _Unanswerable(OCSPResponseStatus.UNAUTHORIZED)
        return asked, nonce

    def _status(self, number: int) -> tuple[datetime, _Status]:
        serial = ledger.serial_text(number) if number > 0 else ""
        with self._book.read() as connection:
            found = connection.execute(_STANDING, {"wanted": serial, "by": self._issuer_hash}).one_or_none()
            now = self._book.now(connection)
        if found is None:
            return now, _GOOD if serial in self._own else _UNKNOWN
        if found.state not in REVOKED_STATES:
            return now, _GOOD
        # A reason that says nothing is left out, as on the CRL.
        reason = None if found.reason in (None, "unspecified") else x509.ReasonFlags(found.reason)
        return now, _Status(OCSPCertStatus.REVOKED, found.changed_at.replace(microsecond=0), reason)

    def _sign(
        self, asked: OCSPRequest, status: _Status, nonce: bytes | None, this_update: datetime, next_update: datetime
    ) -> OCSPResponse:
        builder = (
            OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                algorithm=asked.hash_algorithm,
                cert_status=status.status,
                this_update=this_update,
                next_update=next_update,
                revocation_time=status.revoked_at,
                revocation_reason=status.reason,
            )
            .responder_id(OCSPResponderEncoding.HASH, self._authority.ocsp.x509)
            .certificates([self._authority.ocsp.x509])
        )
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.sign(self._authority.ocsp_key, hashes.SHA256())


def _nonce(extensions: x509.Extensions) -> bytes | None:
    """What a request has to have echoed; an extension nobody here knows must not be overlooked if it is critical."""
    nonce = None
    for extension in extensions:
        if extension.oid == OCSPExtensionOID.NONCE and isinstance(extension.value, x509.OCSPNonce):
            nonce = extension.value.nonce
            if not 1 <= len(nonce) <= LONGEST_NONCE:
                raise _Unanswerable(OCSPResponseStatus.MALFORMED_REQUEST)
        elif extension.critical:
            raise _Unanswerable(OCSPResponseStatus.MALFORMED_REQUEST)
    return nonce


def _hashes_of(authority: Authority, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """IssuerNameHash and issuerKeyHash by which a CertID names this CA (RFC 6960 §4.1.1)."""
    own = OCSPRequestBuilder().add_certificate(authority.ocsp.x509, authority.issuing.x509, algorithm).build()
    return own.issuer_name_hash, own.issuer_key_hash
