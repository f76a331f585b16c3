"""Having a certificate revoked: `rr` and `rp` (RFC 9810 §5.3.9 and §5.3.10, RFC 9483 §4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509

from kiosk.certificates import Certificate
from kiosk.cmp import der
from kiosk.cmp.envelope import canonical_name
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.messages import CertTemplate, Extension, RevDetails, RevRepContent
from kiosk.cmp.requests import write_certificate_id
from kiosk.cmp.status import StatusInfo
from kiosk.cmp.vocabulary import CRL_REASON

_ENUMERATED = 0x0A


@dataclass(frozen=True, slots=True)
class RevocationRequest:
    """One RevDetails, unchecked."""

    issuer_der: bytes | None
    serial_number: int | None
    reason: int | None = None
    """The number of a CRLReason (RFC 5280 §5.3.1); None where none is given."""

    @classmethod
    def of(cls, certificate: Certificate, reason: int | None = None) -> RevocationRequest:
        """To have this certificate revoked."""
        return cls(certificate.issuer_der, certificate.serial_number, reason)


def write_revocations(requests: Iterable[RevocationRequest]) -> bytes:
    """The content of an `rr`."""
    return der.sequence_of(der.encode(_details(each)) for each in requests)


def read_revocations(body: bytes) -> tuple[RevocationRequest, ...]:
    """The content of `rr`.

    Raises:
        MalformedMessage: it is none.
    """
    return tuple(_read_details(der.value_bytes(each)) for each in der.read_items(body))


def write_revocation_answer(statuses: Iterable[StatusInfo], certificates: Iterable[Certificate] = ()) -> bytes:
    """The content of an `rp`: what became of each, and, if wanted, which they were, in the same order."""
    return der.encode(
        RevRepContent(
            statuses=[each.structure() for each in statuses],
            certificates=[write_certificate_id(each) for each in certificates] or None,
        )
    )


def read_revocation_answer(body: bytes) -> tuple[StatusInfo, ...]:
    """The content of `rp`: what became of each request, in their order.

    Raises:
        MalformedMessage: it is none.
    """
    return tuple(StatusInfo.read(each) for each in der.decode(RevRepContent, body).statuses)


def _details(request: RevocationRequest) -> RevDetails:
    issuer = None if request.issuer_der is None else der.read_items(request.issuer_der)
    template = CertTemplate(serial_number=request.serial_number, issuer=issuer)
    return RevDetails(certificate=template, entry=None if request.reason is None else [_reason(request.reason)])


def _reason(reason: int) -> Extension:
    return Extension(kind=x509.ObjectIdentifier(CRL_REASON), critical=False, value=bytes([_ENUMERATED, 1, reason]))


def _read_details(data: bytes) -> RevocationRequest:
    raw = der.decode(RevDetails, data)
    issuer = raw.certificate.issuer
    return RevocationRequest(
        issuer_der=None if issuer is None else canonical_name(der.write_items(issuer)),
        serial_number=raw.certificate.serial_number,
        reason=_read_reason(raw.entry or ()),
    )


def _read_reason(extensions: Iterable[Extension]) -> int | None:
    """The reason, where there is one; what else the entry is to say is the CA's to choose."""
    found = [each.value for each in extensions if each.kind.dotted_string == CRL_REASON]
    if not found:
        return None
    if len(found) > 1 or len(found[0]) != 3 or found[0][:2] != bytes([_ENUMERATED, 1]):
        raise MalformedMessage("no reason that can be read")
    return found[0][2]
