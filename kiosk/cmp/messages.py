"""The ASN.1 structures of CMP and CRMF (RFC 9810 appendix F, RFC 4211 appendix B), no more than is spoken here.

What is signed, compared or of open type stays `TLV`: the bytes as they came.
"""

from __future__ import annotations

from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat.asn1 import (
    TLV,
    BitString,
    Default,
    Explicit,
    GeneralizedTime,
    Implicit,
    Null,
    SetOf,
    UTCTime,
    Variant,
    sequence,
)


@sequence
class PkiMessage:
    """RFC 9810 §5.1. Header and body stay bytes: the protection covers them."""

    header: TLV
    body: TLV
    protection: Annotated[BitString | None, Explicit(0)] = None
    extra_certs: Annotated[list[TLV] | None, Explicit(1)] = None


@sequence
class ProtectedPart:
    """RFC 9810 §5.1.3: what the protection is computed over."""

    header: TLV
    body: TLV


@sequence
class PkiHeader:
    """RFC 9810 §5.1.1."""

    pvno: int
    sender: TLV
    recipient: TLV
    message_time: Annotated[GeneralizedTime | None, Explicit(0)] = None
    protection_alg: Annotated[list[TLV] | None, Explicit(1)] = None
    sender_kid: Annotated[bytes | None, Explicit(2)] = None
    recip_kid: Annotated[bytes | None, Explicit(3)] = None
    transaction_id: Annotated[bytes | None, Explicit(4)] = None
    sender_nonce: Annotated[bytes | None, Explicit(5)] = None
    recip_nonce: Annotated[bytes | None, Explicit(6)] = None
    free_text: Annotated[list[str] | None, Explicit(7)] = None
    general_info: Annotated[list[TLV] | None, Explicit(8)] = None


@sequence
class InfoType:
    """InfoTypeAndValue without a value: a question (RFC 9810 §5.3.19)."""

    info_type: x509.ObjectIdentifier


@sequence
class TypeAndValue:
    """InfoTypeAndValue with a value, and AttributeTypeAndValue of CRMF."""

    kind: x509.ObjectIdentifier
    value: TLV


@sequence
class SubjectPublicKeyInfo:
    """RFC 5280 §4.1.2.7."""

    algorithm: list[TLV]
    key: BitString


@sequence
class CertTemplate:
    """RFC 4211 §5."""

    version: Annotated[int | None, Implicit(0)] = None
    serial_number: Annotated[int | None, Implicit(1)] = None
    signing_alg: Annotated[list[TLV] | None, Implicit(2)] = None
    issuer: Annotated[list[TLV] | None, Explicit(3)] = None
    validity: Annotated[list[TLV] | None, Implicit(4)] = None
    subject: Annotated[list[TLV] | None, Explicit(5)] = None
    public_key: Annotated[SubjectPublicKeyInfo | None, Implicit(6)] = None
    issuer_uid: Annotated[BitString | None, Implicit(7)] = None
    subject_uid: Annotated[BitString | None, Implicit(8)] = None
    extensions: Annotated[list[TLV] | None, Implicit(9)] = None


@sequence
class CertRequest:
    """RFC 4211 §5."""

    request_id: int
    template: CertTemplate
    controls: list[TypeAndValue] | None = None


@sequence
class PopSigningKey:
    """POPOSigningKey (RFC 4211 §4.1)."""

    input: Annotated[list[TLV] | None, Implicit(0)] = None
    algorithm: list[TLV]
    signature: BitString


@sequence
class CertReqMsg:
    """RFC 4211 §3. The request stays bytes: the proof of possession is a signature over them."""

    request: TLV
    proof: (
        Annotated[Variant[Null, Literal["ra-verified"]], Implicit(0)]
        | Annotated[Variant[PopSigningKey, Literal["signature"]], Implicit(1)]
        | Annotated[Variant[TLV, Literal["key-encipherment"]], Explicit(2)]
        | Annotated[Variant[TLV, Literal["key-agreement"]], Explicit(3)]
        | None
    ) = None
    registration_info: list[TLV] | None = None


@sequence
class CertId:
    """RFC 4211 §6.5."""

    issuer: TLV
    serial_number: int


@sequence
class PkiStatusInfo:
    """RFC 9810 §5.2.3."""

    status: int
    text: list[str] | None = None
    fail_info: BitString | None = None


@sequence
class CertifiedKeyPair:
    """RFC 9810 §5.3.4."""

    certificate: (
        Annotated[Variant[TLV, Literal["certificate"]], Explicit(0)]
        | Annotated[Variant[TLV, Literal["encrypted"]], Explicit(1)]
    )
    private_key: Annotated[list[TLV] | None, Explicit(0)] = None
    publication_info: Annotated[list[TLV] | None, Explicit(1)] = None


@sequence
class CertResponse:
    """RFC 9810 §5.3.4."""

    request_id: int
    status: PkiStatusInfo
    key_pair: CertifiedKeyPair | None = None
    info: bytes | None = None


@sequence
class CertRepMessage:
    """RFC 9810 §5.3.4."""

    ca_pubs: Annotated[list[TLV] | None, Explicit(1)] = None
    responses: list[CertResponse]


@sequence
class CertStatus:
    """RFC 9810 §5.3.18."""

    cert_hash: bytes
    request_id: int
    status: PkiStatusInfo | None = None
    hash_algorithm: Annotated[list[TLV] | None, Explicit(0)] = None


@sequence
class ErrorMsgContent:
    """RFC 9810 §5.3.21."""

    status: PkiStatusInfo
    code: int | None = None
    details: list[str] | None = None


@sequence
class CertReqTemplateContent:
    """RFC 9810 §5.3.19.16."""

    template: CertTemplate
    key_spec: list[TypeAndValue] | None = None


@sequence
class PbmParameters:
    """PBMParameter (RFC 9810 §5.1.3.1)."""

    salt: bytes
    one_way: list[TLV]
    iterations: int
    mac: list[TLV]


@sequence
class Pbmac1Parameters:
    """PBMAC1-params (RFC 8018 appendix A.5)."""

    derivation: list[TLV]
    mac: list[TLV]


@sequence
class Pbkdf2Parameters:
    """PBKDF2-params with a salt of its own (RFC 8018 appendix A.2)."""

    salt: bytes
    iterations: int
    key_length: int | None = None
    pseudo_random: list[TLV] | None = None


@sequence
class PssParameters:
    """RSASSA-PSS-params (RFC 4055 §3.1); what is left out means SHA-1, which nobody here accepts."""

    digest: Annotated[list[TLV] | None, Explicit(0)] = None
    mask: Annotated[list[TLV] | None, Explicit(1)] = None
    salt_length: Annotated[int | None, Explicit(2)] = None
    trailer: Annotated[int | None, Explicit(3)] = None


@sequence
class CertificationRequest:
    """PKCS #10 (RFC 2986 §4.2). What is signed stays bytes."""

    info: TLV
    algorithm: list[TLV]
    signature: BitString


@sequence
class CertificationRequestInfo:
    """RFC 2986 §4.1. Many leave the attributes out where there are none."""

    version: int
    subject: list[TLV]
    public_key: SubjectPublicKeyInfo
    attributes: Annotated[SetOf[TLV] | None, Implicit(0)] = None


@sequence
class Extension:
    """RFC 5280 §4.1."""

    kind: x509.ObjectIdentifier
    critical: Annotated[bool, Default(value=False)]
    value: bytes


@sequence
class RevDetails:
    """RFC 9810 §5.3.9."""

    certificate: CertTemplate
    entry: list[Extension] | None = None


@sequence
class RevRepContent:
    """RFC 9810 §5.3.10."""

    statuses: list[PkiStatusInfo]
    certificates: Annotated[list[CertId] | None, Explicit(0)] = None
    crls: Annotated[list[TLV] | None, Explicit(1)] = None


@sequence
class PollRequest:
    """One element of PollReqContent (RFC 9810 §5.3.22)."""

    request_id: int


@sequence
class PollReply:
    """One element of PollRepContent (RFC 9810 §5.3.22)."""

    request_id: int
    check_after: int
    reason: list[str] | None = None


@sequence
class CrlStatusValue:
    """CRLStatus (RFC 9810 §5.3.19.17)."""

    source: (
        Annotated[Variant[TLV, Literal["point"]], Explicit(0)] | Annotated[Variant[TLV, Literal["issuer"]], Explicit(1)]
    )
    this_update: UTCTime | GeneralizedTime | None = None
