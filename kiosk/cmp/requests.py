"""Requests for certificates: what `kur` carries (RFC 4211, RFC 9483 §4.1.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kiosk.certificates import Certificate, PublicKey, UnreadableCertificate, public_key_of
from kiosk.cmp import der
from kiosk.cmp.algorithms import Algorithm, UnsupportedSignature, check_strength, scheme_of_key, verify
from kiosk.cmp.envelope import canonical_name, read_name, whole_bits, write_name
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.messages import (
    CertId,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    PopSigningKey,
    SubjectPublicKeyInfo,
    TypeAndValue,
)
from kiosk.cmp.signing import SigningKey
from kiosk.cmp.vocabulary import OLD_CERT_ID


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
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof of possession as it came, unchecked."""

    kind: ProofKind
    algorithm: Algorithm | None = None
    signature: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """One CertReqMsg, unchecked."""

    request_der: bytes
    """CertRequest as it came: what the proof of possession is computed over."""
    request_id: int
    subject_der: bytes | None
    issuer_der: bytes | None
    public_key_der: bytes | None
    """SubjectPublicKeyInfo."""
    serial_number: int | None
    version: int | None
    has_extensions: bool
    has_validity: bool
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
    template = CertTemplate(
        subject=der.read_items(old.subject_der),
        public_key=der.decode(SubjectPublicKeyInfo, public_key_der(new_key.public_key)),
    )
    old_id = CertId(issuer=write_name(old.issuer_der), serial_number=old.serial_number)
    control = TypeAndValue(kind=x509.ObjectIdentifier(OLD_CERT_ID), value=der.any_value(der.encode(old_id)))
    request = der.encode(CertRequest(request_id=request_id, template=template, controls=[control]))
    return await write_requests_with_proof(request, new_key)


async def write_requests_with_proof(request: bytes, new_key: SigningKey) -> bytes:
    """CertReqMessages of one CertRequest, given as DER, with a signature by the new key over it."""
    proof = PopSigningKey(
        algorithm=scheme_of_key(new_key.public_key).algorithm.items(),
        signature=asn1.BitString(await new_key.sign(request), 0),
    )
    message = CertReqMsg(request=der.any_value(request), proof=asn1.Variant(proof, "signature"))
    return der.sequence_of([der.encode(message)])


def read_requests(body: bytes) -> tuple[CertificateRequest, ...]:
    """The content of `kur`.

    Raises:
        MalformedMessage: it is none.
    """
    return tuple(_read_request(der.value_bytes(each)) for each in der.read_items(body))


def public_key_der(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo of a key."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


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
    signed = message.proof.value
    if not isinstance(signed, PopSigningKey) or signed.input is not None:
        return Proof(kind=ProofKind.OTHER)
    return Proof(
        kind=ProofKind.SIGNATURE,
        algorithm=Algorithm.read(signed.algorithm),
        signature=whole_bits(signed.signature),
    )
