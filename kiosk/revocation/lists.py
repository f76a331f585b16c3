"""Looking a certificate up in its issuer's CRL (RFC 5280 §5, §6.3)."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from kiosk.certificates import UNREADABLE, Certificate
from kiosk.cmp.algorithms import Algorithm, UnsupportedSignature, WrongSignature, verify
from kiosk.revocation.freshness import check_times
from kiosk.revocation.status import Standing, Status, StatusFault, StatusNotTrusted

SOURCE = "crl"


def look_up(der: bytes, certificate: Certificate, issuer: Certificate, now: datetime) -> Status:
    """Read a CRL, check that it counts by the CA's time, and look for the certificate in it.

    It must be signed by the issuer itself and complete: no delta, and no list of only some reasons or kinds.

    Raises:
        StatusNotTrusted: it does not count.
    """
    try:
        found = x509.load_der_x509_crl(der)
        _check(found, issuer, now)
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        return Status(Standing.GOOD, SOURCE) if entry is None else _revoked(entry)
    except UNREADABLE as error:
        raise StatusNotTrusted(SOURCE, StatusFault.UNREADABLE) from error


def _check(found: x509.CertificateRevocationList, issuer: Certificate, now: datetime) -> None:
    if found.issuer.public_bytes() != issuer.subject_der:
        raise StatusNotTrusted(SOURCE, StatusFault.CERTIFICATE)
    algorithm = Algorithm(found.signature_algorithm_oid.dotted_string)
    try:
        verify(algorithm, issuer.public_key, found.signature, found.tbs_certlist_bytes)
    except (UnsupportedSignature, WrongSignature) as error:
        raise StatusNotTrusted(SOURCE, StatusFault.SIGNATURE) from error
    for extension in found.extensions:
        _check_extension(extension)
    check_times(SOURCE, found.last_update_utc, found.next_update_utc, now)


def _check_extension(extension: x509.Extension[x509.ExtensionType]) -> None:
    value = extension.value
    if isinstance(value, x509.DeltaCRLIndicator):
        raise StatusNotTrusted(SOURCE, StatusFault.PARTIAL)
    if isinstance(value, x509.IssuingDistributionPoint):
        is_partial = value.only_contains_ca_certs or value.only_contains_attribute_certs or value.only_some_reasons
        if is_partial or value.indirect_crl:
            raise StatusNotTrusted(SOURCE, StatusFault.PARTIAL)
    elif extension.critical:
        raise StatusNotTrusted(SOURCE, StatusFault.CRITICAL)


def _revoked(entry: x509.RevokedCertificate) -> Status:
    reason = ""
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason.value
        elif extension.critical:
            raise StatusNotTrusted(SOURCE, StatusFault.CRITICAL)
    return Status(Standing.REVOKED, SOURCE, reason, entry.revocation_date_utc)
