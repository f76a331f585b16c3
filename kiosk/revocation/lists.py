"""Looking a certificate up in its issuer's CRL (RFC 5280 §5, §6.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from kiosk.certificates import UNREADABLE, Certificate
from kiosk.cmp.algorithms import Algorithm, UnsupportedSignature, WrongSignature, verify
from kiosk.revocation.freshness import check_times
from kiosk.revocation.status import CertStatus, Status, StatusFault, StatusNotTrusted

SOURCE = "crl"


def look_up(der: bytes, url: str, certificate: Certificate, issuer: Certificate, now: datetime) -> Status:
    """Read a CRL that was at `url`, check that it counts by the CA's time, and look for the certificate in it.

    It must be signed by the issuer itself and complete: no delta, and no list of only some reasons or kinds, or of
    another distribution point than one that the certificate names (RFC 5280 §6.3.3 (b) (2)); where it names none,
    than the one that was asked.

    Raises:
        StatusNotTrusted: it does not count.
    """
    try:
        found = x509.load_der_x509_crl(der)
        points = certificate.crl_points or (x509.UniformResourceIdentifier(url),)
        _check(found, points, issuer, now)
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        return Status(CertStatus.GOOD, SOURCE) if entry is None else _revoked(entry)
    except UNREADABLE as error:
        raise StatusNotTrusted(SOURCE, StatusFault.UNREADABLE) from error


def _check(
    found: x509.CertificateRevocationList, points: Sequence[x509.GeneralName], issuer: Certificate, now: datetime
) -> None:
    if found.issuer.public_bytes() != issuer.subject_der:
        raise StatusNotTrusted(SOURCE, StatusFault.CERTIFICATE)
    algorithm = Algorithm(found.signature_algorithm_oid.dotted_string)
    try:
        verify(algorithm, issuer.public_key, found.signature, found.tbs_certlist_bytes)
    except (UnsupportedSignature, WrongSignature) as error:
        raise StatusNotTrusted(SOURCE, StatusFault.SIGNATURE) from error
    for extension in found.extensions:
        _check_extension(extension, points)
    check_times(SOURCE, found.last_update_utc, found.next_update_utc, now)


def _check_extension(extension: x509.Extension[x509.ExtensionType], points: Sequence[x509.GeneralName]) -> None:
    value = extension.value
    if isinstance(value, x509.DeltaCRLIndicator):
        raise StatusNotTrusted(SOURCE, StatusFault.PARTIAL)
    if isinstance(value, x509.IssuingDistributionPoint):
        is_partial = value.only_contains_ca_certs or value.only_contains_attribute_certs or value.only_some_reasons
        if is_partial or value.indirect_crl or not _is_of_one_of(points, value):
            raise StatusNotTrusted(SOURCE, StatusFault.PARTIAL)
    elif extension.critical:
        raise StatusNotTrusted(SOURCE, StatusFault.CRITICAL)


def _is_of_one_of(points: Sequence[x509.GeneralName], place: x509.IssuingDistributionPoint) -> bool:
    """Whether a CA that divides its list means one of these parts; a list that names no part is the whole."""
    if place.full_name is None:
        return place.relative_name is None
    return any(name in points for name in place.full_name)


def _revoked(entry: x509.RevokedCertificate) -> Status:
    reason = ""
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason.value
        elif extension.critical:
            raise StatusNotTrusted(SOURCE, StatusFault.CRITICAL)
    return Status(CertStatus.REVOKED, SOURCE, reason, entry.revocation_date_utc)
