"""Answers to requests for certificates, and the client's last word on them (RFC 9483 §4.1.1).

`ip`, `cp` and `kup` have one content; so has `certConf` for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes

from kiosk.certificates import Certificate
from kiosk.cmp import der
from kiosk.cmp.algorithms import DIGESTS, NULL, Algorithm, UnsupportedSignature
from kiosk.cmp.messages import CertifiedKeyPair, CertRepMessage, CertResponse, CertStatus
from kiosk.cmp.status import StatusInfo

PKICONF_BODY = b"\x05\x00"
"""The content of a `pkiConf`: NULL (RFC 9810 §5.3.17)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateResponse:
    """One CertResponse, unchecked."""

    request_id: int
    status: StatusInfo
    certificate: bytes | None = None
    """The DER; None also where it came encrypted, which nobody here asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateResponses:
    """CertRepMessage (RFC 9810 §5.3.4), unchecked."""

    responses: tuple[CertificateResponse, ...]
    ca_pubs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """One CertStatus of a `certConf` (RFC 9810 §5.3.18)."""

    cert_hash: bytes
    request_id: int = 0
    status: StatusInfo | None = None
    """None means accepted."""
    hash_algorithm: Algorithm | None = None
    """Of `cert_hash`, in a message of version 3; None where it is that of the certificate's signature."""


def write_responses(content: CertificateResponses) -> bytes:
    """The content of `ip`, `cp` or `kup`."""
    ca_pubs = [der.any_value(each) for each in content.ca_pubs]
    responses = [_response_structure(each) for each in content.responses]
    return der.encode(CertRepMessage(ca_pubs=ca_pubs or None, responses=responses))


def read_responses(body: bytes) -> CertificateResponses:
    """The content of `ip`, `cp` or `kup`.

    Raises:
        MalformedMessage: it is none.
    """
    raw = der.decode(CertRepMessage, body)
    return CertificateResponses(
        responses=tuple(_read_response(each) for each in raw.responses),
        ca_pubs=tuple(der.value_bytes(each) for each in raw.ca_pubs or ()),
    )


def write_confirmation(confirmation: Confirmation) -> bytes:
    """The content of `certConf`, for one certificate."""
    status = confirmation.status
    raw = CertStatus(
        cert_hash=confirmation.cert_hash,
        request_id=confirmation.request_id,
        status=None if status is None else status.structure(),
        hash_algorithm=None if confirmation.hash_algorithm is None else confirmation.hash_algorithm.items(),
    )
    return der.sequence_of([der.encode(raw)])


def read_confirmations(body: bytes) -> tuple[Confirmation, ...]:
    """The content of `certConf`.

    Raises:
        MalformedMessage: it is none.
    """
    return tuple(_read_confirmation(der.value_bytes(each)) for each in der.read_items(body))


def certificate_hash(certificate: Certificate, hash_algorithm: Algorithm | None = None) -> bytes:
    """The hash that confirms a certificate: by `hash_algorithm`, or by the algorithm of its own signature.

    SHA-512 for one that is signed by Ed25519 (RFC 9810 §5.3.18, RFC 9481 §3.3).

    Raises:
        UnsupportedSignature: `hash_algorithm` is none of `DIGESTS`.
    """
    digest = hashes.Hash(_hash(hash_algorithm) or certificate.signature_hash or hashes.SHA512())
    digest.update(certificate.der)
    return digest.finalize()


def _hash(algorithm: Algorithm | None) -> hashes.HashAlgorithm | None:
    if algorithm is None:
        return None
    found = DIGESTS.get(algorithm.identifier)
    if found is None or algorithm.parameters not in (None, NULL):
        raise UnsupportedSignature(algorithm.identifier)
    return found


def _response_structure(response: CertificateResponse) -> CertResponse:
    key_pair = None
    if response.certificate is not None:
        certificate = der.any_value(response.certificate)
        key_pair = CertifiedKeyPair(certificate=asn1.Variant(certificate, "certificate"))
    return CertResponse(request_id=response.request_id, status=response.status.structure(), key_pair=key_pair)


def _read_response(raw: CertResponse) -> CertificateResponse:
    certificate = None
    if raw.key_pair is not None and raw.key_pair.certificate.tag == "certificate":
        certificate = der.value_bytes(raw.key_pair.certificate.value)
    return CertificateResponse(request_id=raw.request_id, status=StatusInfo.read(raw.status), certificate=certificate)


def _read_confirmation(data: bytes) -> Confirmation:
    raw = der.decode(CertStatus, data)
    return Confirmation(
        cert_hash=raw.cert_hash,
        request_id=raw.request_id,
        status=None if raw.status is None else StatusInfo.read(raw.status),
        hash_algorithm=None if raw.hash_algorithm is None else Algorithm.read(raw.hash_algorithm),
    )
