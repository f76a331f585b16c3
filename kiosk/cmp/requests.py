"""Requests for certificates: what `ir`, `cr`, `kur` and `p10cr` carry (RFC 4211, RFC 2986, RFC 9483 §4.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kiosk.certificates import Certificate, PublicKey, UnreadableCertificate, public_key_of
from kiosk.cmp import der
from kiosk.cmp.algorithms import Algorithm, UnsupportedSignature, check_strength, verify
from kiosk.cmp.envelope import canonical_name, read_name, whole_bits, write_name
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.messages import (
    CertId,
    CertificationRequest,
    CertificationRequestInfo,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    PopSigningKey,
    SubjectPublicKeyInfo,
    TypeAndValue,
)
from kiosk.cmp.signing import SigningKey, scheme_of
from kiosk.cmp.vocabulary import EXTENSION_REQUEST, OLD_CERT_ID, PKCS10_REQUEST_ID

_PKCS10_VERSION = 0
"""Of PKCS #10 v1.7 (RFC 2986 §4.1)."""


@dataclass(frozen=True, slots=True)
class OldCertificate:
    """oldCertID: the certificate to be replaced (RFC 4211 §6.5)."""

    issuer_der: bytes | None
    serial_number: int

    def names(self, certificate: Certificate) -> bool:
        """Whether this is the one."""
        return (self.issuer_der, self.serial_number) == (certificate.issuer_der, certificate.serial_number)


class ProofKind(Enum):
    """How possession of the key is proven (RFC 4211 §4)."""

    ABSENT = "absent"
    SIGNATURE = "signature"
    BY_RA = "raVerified"
    """An RA says that it has checked it."""
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof of possession as it came, unchecked."""

    kind: ProofKind
    algorithm: Algorithm | None = None
    signature: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """One CertReqMsg, or one request in PKCS #10; unchecked."""

    request_der: bytes
    """CertRequest or CertificationRequestInfo as it came: what the proof of possession is computed over."""
    request_id: int
    subject_der: bytes | None
    issuer_der: bytes | None
    public_key_der: bytes | None
    """SubjectPublicKeyInfo."""
    serial_number: int | None
    version: int | None
    has_extensions: bool
    has_validity: bool
    has_reserved: bool
    """Whether the template fills in what it must leave out: signature algorithm, unique ids (RFC 4211 §5)."""
    old_certificate: OldCertificate | None
    proof: Proof

    def public_key(self) -> PublicKey:
        """The key to be certified.

        Raises:
            UnsupportedSignature: there is none, or one of a kind nobody here signs with, or one that proves nothing.
        """
        try:
            key = public_key_of(self.public_key_der or b"")
        except UnreadableCertificate as error:
            raise UnsupportedSignature("no readable public key") from error
        check_strength(key)
        return key

    def verify_proof(self, key: PublicKey) -> None:
        """Check that whoever asks holds the private half of `key` (RFC 4211 §4.1).

        Raises:
            UnsupportedSignature: the proof is absent or of another kind than a signature over the request.
            WrongSignature: it does not verify.
        """
        if self.proof.kind is not ProofKind.SIGNATURE or self.proof.algorithm is None:
            raise UnsupportedSignature(f"proof of possession: {self.proof.kind.value}")
        verify(self.proof.algorithm, key, self.proof.signature, self.request_der)


async def write_update(old: Certificate, new_key: SigningKey, *, request_id: int = 0) -> bytes:
    """The content of a `kur`: the same subject, a new key, proof that we hold it (RFC 9483 §4.1.3).

    Raises:
        UnsupportedSignature: the new key is of a kind nobody here signs with.
    """
    return await write_request(new_key, subject_der=old.subject_der, old=old, request_id=request_id)


async def write_request(
    new_key: SigningKey, *, subject_der: bytes | None = None, old: Certificate | None = None, request_id: int = 0
) -> bytes:
    """The content of an `ir` or `cr`, or, where it names an old certificate, of a `kur` (RFC 9483 §4.1.1 to §4.1.3).

    Args:
        new_key: What is to be certified.
        subject_der: Whose the certificate is to be; the empty name where the CA knows, None to say nothing.
        old: The certificate to be replaced.
        request_id: The certReqId, 0 for a single request.

    Raises:
        UnsupportedSignature: the new key is of a kind nobody here signs with.
    """
    template = CertTemplate(
        subject=None if subject_der is None else der.read_items(subject_der),
        public_key=der.decode(SubjectPublicKeyInfo, public_key_der(new_key.public_key)),
    )
    controls = None if old is None else [_old_certificate_control(old)]
    request = der.encode(CertRequest(request_id=request_id, template=template, controls=controls))
    return await write_requests_with_proof(request, new_key)


async def write_requests_with_proof(request: bytes, new_key: SigningKey) -> bytes:
    """CertReqMessages of one CertRequest, given as DER, with a signature by the new key over it."""
    proof = PopSigningKey(
        algorithm=scheme_of(new_key).algorithm.items(),
        signature=asn1.BitString(await new_key.sign(request), 0),
    )
    message = CertReqMsg(request=der.any_value(request), proof=asn1.Variant(proof, "signature"))
    return der.sequence_of([der.encode(message)])


async def write_pkcs10(new_key: SigningKey, subject_der: bytes) -> bytes:
    """The content of a `p10cr`: a certification request without attributes (RFC 2986, RFC 9483 §4.1.4).

    Raises:
        UnsupportedSignature: the key is of a kind nobody here signs with.
    """
    info = CertificationRequestInfo(
        version=_PKCS10_VERSION,
        subject=der.read_items(subject_der),
        public_key=der.decode(SubjectPublicKeyInfo, public_key_der(new_key.public_key)),
        attributes=asn1.SetOf([]),
    )
    signed = der.encode(info)
    request = CertificationRequest(
        info=der.any_value(signed),
        algorithm=scheme_of(new_key).algorithm.items(),
        signature=asn1.BitString(await new_key.sign(signed), 0),
    )
    return der.encode(request)


def read_pkcs10(body: bytes) -> CertificateRequest:
    """The content of `p10cr`.

    Raises:
        MalformedMessage: it is none.
    """
    request = der.decode(CertificationRequest, body)
    request_der = der.value_bytes(request.info)
    info = der.decode(CertificationRequestInfo, request_der)
    if info.version != _PKCS10_VERSION:
        raise MalformedMessage(f"PKCS #10 of version {info.version}")
    attributes = [] if info.attributes is None else info.attributes.as_list()
    kinds = [der.first_and_rest(der.read_items(der.value_bytes(each)))[0] for each in attributes]
    return CertificateRequest(
        request_der=request_der,
        request_id=PKCS10_REQUEST_ID,
        subject_der=_read_template_name(info.subject),
        issuer_der=None,
        public_key_der=der.encode(info.public_key),
        serial_number=None,
        version=None,
        has_extensions=der.encode(x509.ObjectIdentifier(EXTENSION_REQUEST)) in kinds,
        has_validity=False,
        has_reserved=False,
        old_certificate=None,
        proof=Proof(
            kind=ProofKind.SIGNATURE,
            algorithm=Algorithm.read(request.algorithm),
            signature=whole_bits(request.signature),
        ),
    )


def read_requests(body: bytes) -> tuple[CertificateRequest, ...]:
    """The content of `ir`, `cr` or `kur`.

    Raises:
        MalformedMessage: it is none.
    """
    return tuple(_read_request(der.value_bytes(each)) for each in der.read_items(body))


def public_key_der(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo of a key."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def write_certificate_id(certificate: Certificate) -> CertId:
    """The structure that names a certificate by issuer and serial number."""
    return CertId(issuer=write_name(certificate.issuer_der), serial_number=certificate.serial_number)


def _old_certificate_control(old: Certificate) -> TypeAndValue:
    named = der.any_value(der.encode(write_certificate_id(old)))
    return TypeAndValue(kind=x509.ObjectIdentifier(OLD_CERT_ID), value=named)


def _read_request(data: bytes) -> CertificateRequest:
    message = der.decode(CertReqMsg, data)
    request_der = der.value_bytes(message.request)
    request = der.decode(CertRequest, request_der)
    template = request.template
    return CertificateRequest(
        request_der=request_der,
        request_id=request.request_id,
        subject_der=_read_template_name(template.subject),
        issuer_der=_read_template_name(template.issuer),
        public_key_der=None if template.public_key is None else der.encode(template.public_key),
        serial_number=template.serial_number,
        version=template.version,
        has_extensions=bool(template.extensions),
        has_validity=template.validity is not None,
        has_reserved=any(
            each is not None for each in (template.signing_alg, template.issuer_uid, template.subject_uid)
        ),
        old_certificate=_read_old_certificate(request.controls or ()),
        proof=_read_proof(message),
    )


def _read_template_name(items: list[asn1.TLV] | None) -> bytes | None:
    return None if items is None else canonical_name(der.write_items(items))


def _read_old_certificate(controls: Iterable[TypeAndValue]) -> OldCertificate | None:
    found = [control.value for control in controls if control.kind.dotted_string == OLD_CERT_ID]
    if len(found) > 1:
        raise MalformedMessage("two old certificates")
    if not found:
        return None
    old_id = der.decode(CertId, der.value_bytes(found[0]))
    return OldCertificate(read_name(old_id.issuer), old_id.serial_number)


def _read_proof(message: CertReqMsg) -> Proof:
    if message.proof is None:
        return Proof(kind=ProofKind.ABSENT)
    if message.proof.tag == "ra-verified":
        return Proof(kind=ProofKind.BY_RA)
    signed = message.proof.value
    if not isinstance(signed, PopSigningKey) or signed.input is not None:
        return Proof(kind=ProofKind.OTHER)
    return Proof(
        kind=ProofKind.SIGNATURE,
        algorithm=Algorithm.read(signed.algorithm),
        signature=whole_bits(signed.signature),
    )
