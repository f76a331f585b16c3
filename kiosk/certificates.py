"""The one gate through which certificates from outside come in.

A certificate that parses can still raise later, when a field of it is touched: hostile ones have raised TypeError,
UnsupportedAlgorithm, InvalidVersion, DuplicateExtension and ValueError. `read_certificate` touches every field the
house uses, once, and answers with plain facts.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.general_name import GeneralName
from cryptography.x509.oid import AuthorityInformationAccessOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

PUBLIC_KEY_KINDS = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

# Names as long as whoever wrote them liked are read all the same; the library's remark on each would fill the log.
# For the whole process: a filter for the time of one reading would be shared with every other thread.
warnings.filterwarnings("ignore", message="Attribute's length must be", category=UserWarning)

UNREADABLE = (
    ValueError,
    TypeError,
    NotImplementedError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
)
"""What the library raises for damaged certificates, CRLs and OCSP messages: at once, or when a field is touched."""

LARGEST_CERTIFICATE = 16 * 1024
"""Bytes; an honest certificate has one or two thousand."""

_LONGEST_CHAIN = 8

_READABLE_NAMES = {
    "2.5.4.6": "Country",
    "2.5.4.8": "State",
    "2.5.4.7": "Locality",
    "2.5.4.10": "Organization",
    "2.5.4.11": "Organizational Unit",
    "2.5.4.3": "Common Name",
    "2.5.4.5": "Serial Number",
}
"""The names the manual prints on its completion screen, by attribute type (RFC 4519)."""


class UnreadableCertificate(ValueError):
    """These bytes are no certificate this house can work with."""


class UntrustedCertificate(ValueError):
    """No valid path leads from this certificate to a trusted root at the given time."""


@dataclass(frozen=True, slots=True)
class SubjectLine:
    """One attribute of a subject, as it is printed: `Country = JP`."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate from outside, read once and completely.

    Times are aware, in UTC. `x509` is for verifying signatures and paths only; every fact comes from the fields.
    """

    der: bytes = field(repr=False)
    x509: x509.Certificate = field(repr=False, compare=False)
    subject: tuple[SubjectLine, ...]
    subject_der: bytes = field(repr=False)
    issuer_der: bytes = field(repr=False)
    common_name: str
    serial_number: int
    not_before: datetime
    not_after: datetime
    public_key: PublicKey = field(repr=False, compare=False)
    public_key_der: bytes = field(repr=False)
    """SubjectPublicKeyInfo, the form in which keys are compared."""
    is_authority: bool
    signs: bool
    """Whether key usage allows digitalSignature (true also where the extension is absent)."""
    purposes: frozenset[str]
    """Extended key usages as dotted OIDs; empty where the extension is absent."""
    subject_key_identifier: bytes | None
    signature_hash: hashes.HashAlgorithm | None = field(repr=False, compare=False)
    """The hash of the signature on it; None for Ed25519, which brings its own."""
    ocsp_urls: tuple[str, ...] = field(repr=False)
    """Where its issuer says that OCSP tells whether it is revoked (RFC 5280 §4.2.2.1); http and https only."""
    crl_points: tuple[GeneralName, ...] = field(repr=False)
    """What its issuer calls the places of the CRL that it would be on (RFC 5280 §4.2.1.13)."""

    @property
    def crl_urls(self) -> tuple[str, ...]:
        """Those of its `crl_points` at which the CRL can be had; http and https only."""
        return _urls(self.crl_points)

    @property
    def serial(self) -> str:
        """The serial as the manual prints it: lower-case hex, whole bytes."""
        digits = f"{self.serial_number:x}"
        return digits.zfill(len(digits) + len(digits) % 2)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 over the whole certificate, 32 bytes."""
        return hashlib.sha256(self.der).digest()

    def valid_at(self, moment: datetime) -> bool:
        """Whether `moment` lies within the validity, both ends included (RFC 5280 §4.1.2.5)."""
        return self.not_before <= moment <= self.not_after


def read_certificate(der: bytes) -> Certificate:
    """Read every field of a certificate that the house uses.

    Raises:
        UnreadableCertificate: the bytes are too many, damaged, carry a key of a kind nobody here can verify, or are
            signed by an algorithm nobody here knows.
    """
    if len(der) > LARGEST_CERTIFICATE:
        raise UnreadableCertificate(f"a certificate of {len(der)} bytes")
    try:
        return _facts(der, x509.load_der_x509_certificate(der))
    except UnreadableCertificate:
        raise
    except UNREADABLE as error:
        raise UnreadableCertificate(type(error).__name__) from error


def read_certificates(ders: Iterable[bytes]) -> tuple[Certificate, ...]:
    """`read_certificate` for each; one that is unreadable makes all of them so."""
    return tuple(read_certificate(der) for der in ders)


def public_key_of(der: bytes) -> PublicKey:
    """The key in a SubjectPublicKeyInfo.

    Raises:
        UnreadableCertificate: it is damaged, or of a kind nobody here can verify.
    """
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnreadableCertificate(type(error).__name__) from error
    if not isinstance(key, PUBLIC_KEY_KINDS):
        raise UnreadableCertificate(f"a key of kind {type(key).__name__}")
    return key


def read_certificate_file(path: Path) -> tuple[Certificate, ...]:
    """Every certificate in a PEM file, in its order.

    Raises:
        UnreadableCertificate: the file cannot be read, holds none, or one of them is damaged.
    """
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UnreadableCertificate(f"{path}: {type(error).__name__}") from error
    return read_certificates(each.public_bytes(Encoding.DER) for each in found)


def check_path(
    certificate: Certificate,
    *,
    roots: Sequence[Certificate],
    intermediates: Sequence[Certificate] = (),
    at: datetime,
) -> None:
    """Check that a valid path leads from `certificate` to one of `roots` at the time `at` (RFC 5280 §6).

    What the certificate may be used for is the caller's to check: the library's own client profile refuses the
    manual's certificates, which carry no subject alternative name.

    Raises:
        UntrustedCertificate: there is no such path, or there are no roots.
    """
    if not roots:
        raise UntrustedCertificate("no trusted root is known")
    verifier = (
        PolicyBuilder()
        .store(Store([root.x509 for root in roots]))
        .time(at.replace(microsecond=0))
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        verifier.verify(certificate.x509, [each.x509 for each in intermediates])
    except (VerificationError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UntrustedCertificate(str(error)) from error


def is_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether `issuer` signed `certificate` (names and signature; nothing else is looked at)."""
    try:
        certificate.x509.verify_directly_issued_by(issuer.x509)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def chain_of(certificate: Certificate, known: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """The certificates of `known` from the issuer of `certificate` up to a root, by name and signature."""
    chain: list[Certificate] = []
    current = certificate
    while current.issuer_der != current.subject_der and len(chain) < _LONGEST_CHAIN:
        issuers = (each for each in known if each.subject_der == current.issuer_der and is_issued_by(current, each))
        issuer = next(issuers, None)
        if issuer is None:
            break
        chain.append(issuer)
        current = issuer
    return tuple(chain)


def _facts(der: bytes, certificate: x509.Certificate) -> Certificate:
    public_key = certificate.public_key()
    if not isinstance(public_key, PUBLIC_KEY_KINDS):
        raise UnreadableCertificate(f"a key of kind {type(public_key).__name__}")
    subject = tuple(_line(attribute) for attribute in certificate.subject)
    extensions = certificate.extensions
    return Certificate(
        der=der,
        x509=certificate,
        subject=subject,
        subject_der=certificate.subject.public_bytes(),
        issuer_der=certificate.issuer.public_bytes(),
        common_name=next((line.value for line in reversed(subject) if line.name == "Common Name"), ""),
        serial_number=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        public_key=public_key,
        public_key_der=public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        is_authority=_is_authority(extensions),
        signs=_signs(extensions),
        purposes=_purposes(extensions),
        subject_key_identifier=_subject_key_identifier(extensions),
        signature_hash=certificate.signature_hash_algorithm,
        ocsp_urls=_ocsp_urls(extensions),
        crl_points=_crl_points(extensions),
    )


def _line(attribute: x509.NameAttribute[str | bytes]) -> SubjectLine:
    value = attribute.value
    text = value if isinstance(value, str) else value.hex()
    return SubjectLine(_READABLE_NAMES.get(attribute.oid.dotted_string, attribute.oid.dotted_string), text)


def _is_authority(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _signs(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return True


def _purposes(extensions: x509.Extensions) -> frozenset[str]:
    try:
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(usage.dotted_string for usage in usages)


def _subject_key_identifier(extensions: x509.Extensions) -> bytes | None:
    try:
        return extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def _ocsp_urls(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ()
    return _urls(each.access_location for each in access if each.access_method == AuthorityInformationAccessOID.OCSP)


def _crl_points(extensions: x509.Extensions) -> tuple[GeneralName, ...]:
    """Of points that hold the issuer's own, complete list."""
    try:
        points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return ()
    whole = (point for point in points if point.reasons is None and point.crl_issuer is None)
    return tuple(name for point in whole for name in point.full_name or ())


def _urls(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    values = [each.value for each in names if isinstance(each, x509.UniformResourceIdentifier)]
    return tuple(each for each in values if each.startswith(("http://", "https://")))
