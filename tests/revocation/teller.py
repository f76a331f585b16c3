"""Whoever tells of revocation, well but for what a test spoils."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPRequest,
    OCSPResponderEncoding,
    OCSPResponseBuilder,
    load_der_ocsp_request,
)
from cryptography.x509.oid import AuthorityInformationAccessOID

from kiosk.certificates import Certificate, read_certificate
from tests.cmp.pki import NOW, Identity, Pki, certificate, new_key

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
CRITICAL = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def delegated(pki: Pki, issuer: Identity | None = None, **facts: object) -> Identity:
    """Somebody whom the issuing CA has authorised for OCSP."""
    key = new_key()
    told: dict[str, Any] = {"purposes": [OCSP_SIGNING]} | facts
    return Identity(key, certificate("OCSP Signer", key.public_key(), issuer or pki.issuing, **told))


@dataclass(kw_only=True)
class OcspTeller:
    """Answers an OCSPRequest; the fields are what it tells, right if they are left as they are."""

    pki: Pki
    signer: Identity
    status: OCSPCertStatus = OCSPCertStatus.GOOD
    reason: x509.ReasonFlags | None = None
    this_update: datetime = NOW
    next_update: datetime | None = NOW + HOUR
    serial: int | None = None
    issuer_name_hash: bytes | None = None
    issuer_key_hash: bytes | None = None
    nonce: Callable[[bytes], bytes | None] = lambda asked: asked
    extension: tuple[x509.ExtensionType, bool] | None = None
    by_name: bool = False
    certificates: tuple[Certificate, ...] | None = None
    """Those that come along; the signer's if None."""
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    spoil: Callable[[bytes], bytes] = lambda answer: answer

    def answer(self, request: bytes) -> bytes:
        asked = load_der_ocsp_request(request)
        builder = self._builder(asked)
        nonce = self.nonce(asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce)
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        if self.extension is not None:
            builder = builder.add_extension(*self.extension)
        along = (self.signer.certificate,) if self.certificates is None else self.certificates
        if along:
            builder = builder.certificates([each.x509 for each in along])
        response = builder.sign(self.signer.key, self.digest)
        return self.spoil(response.public_bytes(Encoding.DER))

    def _builder(self, asked: OCSPRequest) -> OCSPResponseBuilder:
        encoding = OCSPResponderEncoding.NAME if self.by_name else OCSPResponderEncoding.HASH
        is_revoked = self.status is OCSPCertStatus.REVOKED
        return (
            OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=self.issuer_name_hash or asked.issuer_name_hash,
                issuer_key_hash=self.issuer_key_hash or asked.issuer_key_hash,
                serial_number=self.serial or asked.serial_number,
                algorithm=asked.hash_algorithm,
                cert_status=self.status,
                this_update=self.this_update,
                next_update=self.next_update,
                revocation_time=NOW - HOUR if is_revoked else None,
                revocation_reason=self.reason if is_revoked else None,
            )
            .responder_id(encoding, self.signer.certificate.x509)
        )


@dataclass(kw_only=True)
class CrlTeller:
    """Makes a CRL; the fields are what is on it."""

    pki: Pki
    issuer: Identity | None = None
    """Who signs it; the issuing CA if None."""
    named: Certificate | None = None
    revoked: dict[int, x509.ReasonFlags | None] = field(default_factory=dict)
    this_update: datetime = NOW
    next_update: datetime = NOW + HOUR
    extension: tuple[x509.ExtensionType, bool] | None = None
    entry_extension: tuple[x509.ExtensionType, bool] | None = None
    spoil: Callable[[bytes], bytes] = lambda crl: crl

    def crl(self) -> bytes:
        issuer = self.issuer or self.pki.issuing
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name((self.named or issuer.certificate).x509.subject)
            .last_update(self.this_update)
            .next_update(self.next_update)
        )
        if self.extension is not None:
            builder = builder.add_extension(*self.extension)
        for serial, reason in self.revoked.items():
            builder = builder.add_revoked_certificate(self._entry(serial, reason))
        return self.spoil(builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER))

    def _entry(self, serial: int, reason: x509.ReasonFlags | None) -> x509.RevokedCertificate:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - HOUR)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        if self.entry_extension is not None:
            entry = entry.add_extension(*self.entry_extension)
        return entry.build()


Handle = Callable[[httpx.Request], httpx.Response]


def serve(
    ocsp: OcspTeller | httpx.Response | Exception | None = None,
    crl: CrlTeller | httpx.Response | Exception | None = None,
) -> Handle:
    """`…/ocsp` and `…/crl` of one host; what is None is not there."""

    def handle(request: httpx.Request) -> httpx.Response:
        told = ocsp if request.url.path.endswith("/ocsp") else crl
        match told:
            case OcspTeller():
                return httpx.Response(200, content=told.answer(request.content), headers=of_kind("ocsp-response"))
            case CrlTeller():
                return httpx.Response(200, content=told.crl(), headers=of_kind("pkix-crl"))
            case httpx.Response():
                return told
            case Exception():
                raise told
        return httpx.Response(404)

    return handle


def of_kind(kind: str) -> dict[str, str]:
    return {"Content-Type": f"application/{kind}"}


def with_addresses(pki: Pki, ocsp_url: str = "", crl_url: str = "") -> Certificate:
    """A customer's certificate that says where to ask."""
    return with_points(pki, *([x509.UniformResourceIdentifier(crl_url)] if crl_url else []), ocsp_url=ocsp_url)


def with_points(pki: Pki, *places: x509.GeneralName, ocsp_url: str = "") -> Certificate:
    """A customer's certificate that says where the CRL is that it would be on."""
    key = new_key()
    plain = pki.issue("Customer", key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(plain.x509.subject)
        .issuer_name(plain.x509.issuer)
        .public_key(key.public_key())
        .serial_number(plain.serial_number)
        .not_valid_before(plain.not_before)
        .not_valid_after(plain.not_after)
    )
    if ocsp_url:
        place = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_url))
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    if places:
        point = x509.DistributionPoint(places, None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return read_certificate(builder.sign(pki.issuing.key, hashes.SHA256()).public_bytes(Encoding.DER))
