"""The outside of a message: header, body as bytes, protection, certificates sent along (RFC 9810 §5.1).

What came is verified over the bytes as they came; nothing is ever encoded anew to be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat import asn1

from kiosk.certificates import PublicKey
from kiosk.cmp import der
from kiosk.cmp.algorithms import Algorithm, UnsupportedSignature, verify
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.infos import Info, read_infos, write_infos
from kiosk.cmp.mac import UnsupportedMac, verify_mac
from kiosk.cmp.messages import PkiHeader, PkiMessage, ProtectedPart
from kiosk.cmp.vocabulary import PVNO

_CONTEXT_TAG = 0xA0
_HIGHEST_TAG = 30
_MOST_CERTIFICATES = 64
"""That may come along with a message; whoever sends more wants them to be read in vain."""
_DIRECTORY_NAME = 4
"""The alternative of GeneralName that holds a distinguished name (RFC 5280 §4.2.1.6)."""


class Protector(Protocol):
    """Whoever protects a message: by a signature, or by a secret that both sides know (RFC 9483 §3.2)."""

    @property
    def sender(self) -> bytes:
        """DER of the name that the header gives."""
        ...

    @property
    def key_id(self) -> bytes | None:
        """The senderKID."""
        ...

    @property
    def algorithm(self) -> Algorithm:
        """The protectionAlg of the messages it protects."""
        ...

    @property
    def extra_certificates(self) -> tuple[bytes, ...]:
        """DER of the certificates that go along (RFC 9483 §3.3)."""
        ...

    async def protect(self, data: bytes) -> bytes:
        """The protection, by `algorithm`, over the DER of header and body."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """PKIHeader (RFC 9810 §5.1.1). Names are DER; None where the peer used another kind than directoryName."""

    pvno: int = PVNO
    sender: bytes | None
    recipient: bytes | None
    message_time: datetime | None = None
    protection_algorithm: Algorithm | None = None
    sender_key_id: bytes | None = None
    transaction_id: bytes | None = None
    sender_nonce: bytes | None = None
    recipient_nonce: bytes | None = None
    general_info: tuple[Info, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it came; who protected it is not yet known."""

    header: Header
    body_type: int
    """As in `BodyType`; peers may send others."""
    body: bytes
    """The DER within the body's tag."""
    protected_part: bytes
    protection: bytes | None
    extra_certificates: tuple[bytes, ...]

    def verify_protection(self, key: PublicKey) -> None:
        """Check the signature over header and body.

        Raises:
            UnsupportedSignature: the algorithm is missing, not accepted, or not for this key.
            WrongSignature: it does not verify, or is absent.
        """
        if self.header.protection_algorithm is None:
            raise UnsupportedSignature("no algorithm")
        verify(self.header.protection_algorithm, key, self.protection or b"", self.protected_part)

    def verify_mac(self, secret: bytes) -> None:
        """Check the MAC over header and body.

        Raises:
            UnsupportedMac: the algorithm is missing or not accepted; no work was done.
            WrongMac: it does not verify, or is absent.
        """
        if self.header.protection_algorithm is None:
            raise UnsupportedMac("no algorithm")
        verify_mac(self.header.protection_algorithm, secret, self.protection or b"", self.protected_part)


def read_message(data: bytes) -> Message:
    """Take a message apart, leaving the body as it is.

    Raises:
        MalformedMessage: the bytes are no message.
    """
    outer = der.decode(PkiMessage, data)
    extra_certificates = outer.extra_certs or []
    if len(extra_certificates) > _MOST_CERTIFICATES:
        raise MalformedMessage(f"{len(extra_certificates)} certificates")
    return Message(
        header=_read_header(der.value_bytes(outer.header)),
        body_type=_body_type(outer.body),
        body=bytes(outer.body.data),
        protected_part=_protected_part(outer.header, outer.body),
        protection=None if outer.protection is None else whole_bits(outer.protection),
        extra_certificates=tuple(der.value_bytes(each) for each in extra_certificates),
    )


def read_body_type(data: bytes) -> int:
    """Of what type a message is, for less than it takes to read it.

    Raises:
        MalformedMessage: the bytes are no message.
    """
    return _body_type(der.decode(PkiMessage, data).body)


async def write_protected(header: Header, body_type: int, body: bytes, protector: Protector) -> bytes:
    """Write a message and protect it (RFC 9483 §3.2).

    Sender, algorithm and key id of the header are the protector's; its certificates go along as extraCerts.

    Raises:
        UnsupportedSignature: the protector has a key of a kind nobody here signs with.
    """
    full = PkiHeader(
        pvno=header.pvno,
        sender=write_name(protector.sender),
        recipient=write_name(header.recipient),
        message_time=None if header.message_time is None else der.time_value(header.message_time),
        protection_alg=protector.algorithm.items(),
        sender_kid=protector.key_id,
        transaction_id=header.transaction_id,
        sender_nonce=header.sender_nonce,
        recip_nonce=header.recipient_nonce,
        general_info=write_infos(header.general_info) if header.general_info else None,
    )
    header_value = der.any_value(der.encode(full))
    body_value = der.tagged(body_type, body)
    protection = await protector.protect(_protected_part(header_value, body_value))
    return der.encode(
        PkiMessage(
            header=header_value,
            body=body_value,
            protection=asn1.BitString(protection, 0),
            extra_certs=[der.any_value(each) for each in protector.extra_certificates] or None,
        )
    )


def write_name(name: bytes | None) -> asn1.TLV:
    """GeneralName of this name; the empty name stands for one that is not known (RFC 9483 §3.1)."""
    return der.tagged(_DIRECTORY_NAME, name or der.EMPTY_SEQUENCE)


def read_name(value: asn1.TLV) -> bytes | None:
    """The name within a GeneralName, in the encoding `kiosk.certificates` compares; None for other kinds.

    Raises:
        MalformedMessage: it is a directoryName and its name cannot be read.
    """
    if value.tag_bytes != bytes([_CONTEXT_TAG + _DIRECTORY_NAME]):
        return None
    return canonical_name(bytes(value.data))


def canonical_name(name: bytes) -> bytes:
    """A name in the encoding that `kiosk.certificates` gives subjects and issuers.

    Nothing is remembered here: names are customers', and a kiosk forgets them with the visit.

    Raises:
        MalformedMessage: it cannot be read.
    """
    try:
        return der.decode(x509.Name, name).public_bytes()
    except (ValueError, TypeError) as error:
        raise MalformedMessage("no name") from error


def whole_bits(value: asn1.BitString) -> bytes:
    """The bytes of a signature.

    Raises:
        MalformedMessage: it does not end on a byte.
    """
    if value.padding_bits():
        raise MalformedMessage("a signature of part of a byte")
    return value.as_bytes()


def _read_header(data: bytes) -> Header:
    raw = der.decode(PkiHeader, data)
    return Header(
        pvno=raw.pvno,
        sender=read_name(raw.sender),
        recipient=read_name(raw.recipient),
        message_time=None if raw.message_time is None else der.moment_of(raw.message_time),
        protection_algorithm=None if raw.protection_alg is None else Algorithm.read(raw.protection_alg),
        sender_key_id=raw.sender_kid,
        transaction_id=raw.transaction_id,
        sender_nonce=raw.sender_nonce,
        recipient_nonce=raw.recip_nonce,
        general_info=read_infos(raw.general_info or ()),
    )


def _body_type(body: asn1.TLV) -> int:
    tag = body.tag_bytes
    if len(tag) != 1 or not _CONTEXT_TAG <= tag[0] <= _CONTEXT_TAG + _HIGHEST_TAG:
        raise MalformedMessage("no body")
    return tag[0] - _CONTEXT_TAG


def _protected_part(header: asn1.TLV, body: asn1.TLV) -> bytes:
    return der.encode(ProtectedPart(header=header, body=body))
