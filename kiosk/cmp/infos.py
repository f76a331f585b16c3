"""InfoTypeAndValue: questions, answers and remarks by object identifier (RFC 9810 §5.3.19)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat import asn1

from kiosk.cmp import der
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.messages import InfoType, TypeAndValue

_MOST_INFOS = 32
"""In one message; counted before the first is read."""


@dataclass(frozen=True, slots=True)
class Info:
    """One type, by its dotted identifier, with the complete DER of its value, if it has one."""

    kind: str
    value: bytes | None = None


def read_infos(values: Sequence[asn1.TLV]) -> tuple[Info, ...]:
    """Read each.

    Raises:
        MalformedMessage: they are too many, or one does not begin with an object identifier, or has more than one
            value.
    """
    if len(values) > _MOST_INFOS:
        raise MalformedMessage(f"{len(values)} infos")
    return tuple(_read(value) for value in values)


def write_infos(infos: Iterable[Info]) -> list[asn1.TLV]:
    """Write each, as the items of a SEQUENCE OF."""
    return [_write(info) for info in infos]


def _read(value: asn1.TLV) -> Info:
    kind, content = der.first_and_rest(der.read_items(der.value_bytes(value)))
    return Info(der.decode(x509.ObjectIdentifier, kind).dotted_string, content)


def _write(info: Info) -> asn1.TLV:
    kind = x509.ObjectIdentifier(info.kind)
    if info.value is None:
        return der.any_value(der.encode(InfoType(info_type=kind)))
    return der.any_value(der.encode(TypeAndValue(kind=kind, value=der.any_value(info.value))))
