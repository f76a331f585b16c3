"""Certificates of every good and bad kind, made without the CA that is tested elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kiosk.certificates import Certificate, PublicKey, read_certificate
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.vocabulary import CLIENT_AUTH, CMC_CA

NOW = datetime(2026, 3, 1, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=365)


CaKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Identity:
    key: CaKey
    certificate: Certificate


def name(common_name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    subject: str | x509.Name,
    key: PublicKey,
    issuer: Identity | None = None,
    *,
    signing_key: ec.EllipticCurvePrivateKey | None = None,
    authority: bool = False,
    signs: bool = True,
    purposes: Collection[str] = (),
    begin: datetime = NOW - timedelta(days=100),
    end: datetime = NOW + timedelta(days=100),
) -> Certificate:
    signer = issuer.key if issuer else signing_key
    assert signer is not None
    if isinstance(subject, str):
        subject = name(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.x509.subject if issuer else subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(signs=signs, authority=authority), critical=True)
    )
    if purposes:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([x509.ObjectIdentifier(each) for each in purposes]), critical=False
        )
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return read_certificate(builder.sign(signer, digest).public_bytes(Encoding.DER))


def _usage(*, signs: bool, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=not signs and not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


class Pki:
    """A root, an issuing CA, its CMP signer, and two customers."""

    def __init__(self, prefix: str = "", *, cas_sign: bool = False, issuing_key: CaKey | None = None) -> None:
        """`cas_sign` where the CA certificates allow for signatures on messages."""
        root_key, issuing_key = new_key(), issuing_key or new_key()
        self.root = Identity(
            root_key,
            certificate(prefix + "Root", root_key.public_key(), signing_key=root_key, authority=True, signs=cas_sign),
        )
        self.issuing = Identity(
            issuing_key,
            certificate(prefix + "Issuing", issuing_key.public_key(), self.root, authority=True, signs=cas_sign),
        )
        self.ca_signer = self.signer("CMP Signer", purposes=[CMC_CA])
        self.customer = self.signer("Customer", purposes=[CLIENT_AUTH])
        self.other_customer = self.signer("Other", purposes=[CLIENT_AUTH])

    def issue(self, subject: str, key: PublicKey, **facts: object) -> Certificate:
        return certificate(subject, key, self.issuing, **facts)  # type: ignore[arg-type]

    def successor(self, key: PublicKey, **facts: object) -> Certificate:
        """What the customer should get; it outlasts the certificate there is."""
        return self.issue("Customer", key, **{"purposes": [CLIENT_AUTH], "end": LATER} | facts)

    def signer(self, subject: str, **facts: object) -> Signer:
        key = new_key()
        issued = self.issue(subject, key.public_key(), **facts)
        return Signer(SoftwareKey(key), issued, (self.issuing.certificate,))
