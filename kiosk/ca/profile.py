"""What the CA's certificates look like (RFC 5280, RFC 9810 §4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from kiosk.ca.paths import CRL_PATH, ISSUING_PATH, OCSP_PATH
from kiosk.certificates import Certificate, PublicKey, read_certificate
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.vocabulary import CMC_CA

_SERIAL_LENGTH = 16
_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs: its key, and its certificate, or None for one that signs itself."""

    key: ec.EllipticCurvePrivateKey
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when, both ends included."""

    not_before: datetime
    not_after: datetime


@lru_cache(maxsize=256)
def read_own(data: bytes) -> Certificate:
    """A certificate of this CA; in one renewal the same two are read again and again."""
    return read_certificate(data)


def new_serial(random: RandomBytes) -> int:
    """A serial of exactly 128 bits: 32 hexadecimal digits, as in the manual (RFC 5280 §4.1.2.2)."""
    return int.from_bytes(random(_SERIAL_LENGTH), "big") | 1 << (_SERIAL_LENGTH * 8 - 1)


class Purpose(StrEnum):
    """What a holder's certificate can be for (RFC 5280 §4.2.1.12): never what makes a signer for the CA."""

    CLIENT_AUTH = "clientAuth"
    EMAIL_PROTECTION = "emailProtection"
    DOCUMENT_SIGNING = "documentSigning"
    """RFC 9336."""
    SMARTCARD_LOGON = "smartcardLogon"
    """[MS-WCCE]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderProfile:
    """What differs between banks in holders' certificates."""

    purposes: frozenset[Purpose] = frozenset({Purpose.CLIENT_AUTH})
    content_commitment: bool = False
    """Whether it signs what its holder stands by (nonRepudiation, RFC 5280 §4.2.1.3)."""
    policies: tuple[str, ...] = ()
    """OIDs of what it was issued under (RFC 5280 §4.2.1.4)."""
    statement: str = ""
    """The URI of the certification practice statement, said with each of them; empty for none."""
    email: str | None = None
    """The holder's address, as its alternative name."""


def holder_certificate(
    issuer: Issuer,
    subject: x509.Name,
    key: PublicKey,
    validity: Validity,
    serial: int,
    profile: HolderProfile | None = None,
    *,
    status_url: str = "",
) -> Certificate:
    """A customer's certificate: signs, and says who is at the other end of TLS.

    `status_url` is where anybody can ask whether it is revoked; empty for nowhere.
    """
    profile = profile or HolderProfile()
    usage = _key_usage(
        digital_signature=True,
        content_commitment=profile.content_commitment,
        key_encipherment=isinstance(key, rsa.RSAPublicKey),
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage, True),
        (x509.ExtendedKeyUsage([_PURPOSES[each] for each in sorted(profile.purposes)]), False),
    ]
    if profile.policies:
        extensions.append((_certificate_policies(profile), False))
    if profile.email is not None:
        extensions.append((x509.SubjectAlternativeName([x509.RFC822Name(profile.email)]), False))
    if status_url:
        extensions += [(_authority_information(status_url), False), (_crl_points(status_url), False)]
    return _certificate(issuer, subject, key, validity, serial, extensions)


_PURPOSES = {
    Purpose.CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH,
    Purpose.EMAIL_PROTECTION: ExtendedKeyUsageOID.EMAIL_PROTECTION,
    Purpose.DOCUMENT_SIGNING: _DOCUMENT_SIGNING,
    Purpose.SMARTCARD_LOGON: ExtendedKeyUsageOID.SMARTCARD_LOGON,
}


def _certificate_policies(profile: HolderProfile) -> x509.CertificatePolicies:
    qualifiers: list[str | x509.UserNotice] | None = [profile.statement] if profile.statement else None
    oids = [x509.ObjectIdentifier(each) for each in profile.policies]
    return x509.CertificatePolicies([x509.PolicyInformation(each, qualifiers) for each in oids])


def authority_certificate(
    issuer: Issuer, subject: x509.Name, key: PublicKey, validity: Validity, serial: int, *, path_length: int
) -> Certificate:
    """A CA's certificate, with so many further CAs below it."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (_key_usage(key_cert_sign=True, crl_sign=True), True),
    ]
    return _certificate(issuer, subject, key, validity, serial, extensions)


def signer_certificate(
    issuer: Issuer, subject: x509.Name, key: PublicKey, validity: Validity, serial: int
) -> Certificate:
    """The certificate of whoever signs CMP answers for the CA, and nothing else."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage([x509.ObjectIdentifier(CMC_CA)]), False),
    ]
    return _certificate(issuer, subject, key, validity, serial, extensions)


def responder_certificate(
    issuer: Issuer, subject: x509.Name, key: PublicKey, validity: Validity, serial: int
) -> Certificate:
    """The certificate of whoever signs OCSP answers for the CA, and nothing else (RFC 6960 §4.2.2.2)."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
        # Nobody asks whether it is revoked: the answer would be signed by itself (§4.2.2.2.1).
        (x509.OCSPNoCheck(), False),
    ]
    return _certificate(issuer, subject, key, validity, serial, extensions)


def loopback_certificate(
    issuer: Issuer, subject: x509.Name, key: PublicKey, validity: Validity, serial: int
) -> Certificate:
    """A TLS server's certificate for this very machine, by the one address at which it can be had."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False),
    ]
    return _certificate(issuer, subject, key, validity, serial, extensions)


def _certificate(
    issuer: Issuer,
    subject: x509.Name,
    key: PublicKey,
    validity: Validity,
    serial: int,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> Certificate:
    parent = issuer.certificate
    not_after = validity.not_after if parent is None else min(validity.not_after, parent.not_after)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if parent is None else parent.x509.subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(validity.not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_key_identifier(issuer), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return read_own(builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER))


def _authority_information(status_url: str) -> x509.AuthorityInformationAccess:
    places = {
        AuthorityInformationAccessOID.OCSP: OCSP_PATH,
        AuthorityInformationAccessOID.CA_ISSUERS: ISSUING_PATH,
    }
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(method, x509.UniformResourceIdentifier(status_url + path))
            for method, path in places.items()
        ]
    )


def _crl_points(status_url: str) -> x509.CRLDistributionPoints:
    where = [x509.UniformResourceIdentifier(status_url + CRL_PATH)]
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint(full_name=where, relative_name=None, reasons=None, crl_issuer=None)]
    )


def _authority_key_identifier(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
