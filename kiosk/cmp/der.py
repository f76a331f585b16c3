"""DER as the messages need it: values of any type kept as the bytes that came.

The library's declarative ASN.1 knows neither an optional ANY nor a SEQUENCE OF at the top level; here both are made up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from cryptography.hazmat import asn1

from kiosk.cmp.errors import MalformedMessage

Structure = TypeVar("Structure")

EMPTY_SEQUENCE = b"\x30\x00"
"""A SEQUENCE of nothing: the empty name, for one."""

_CONTEXT_CONSTRUCTED = 0xA0


@asn1.sequence
class _AroundOne:
    inner: asn1.TLV


@asn1.sequence
class _AroundItems:
    items: list[asn1.TLV]


def decode(kind: type[Structure], der: bytes) -> Structure:
    """Read one structure that must fill `der` completely.

    Raises:
        MalformedMessage: the bytes are not DER of this structure.
    """
    try:
        return asn1.decode_der(kind, der)
    except (ValueError, TypeError) as error:
        raise MalformedMessage(f"no {kind.__name__}") from error


def encode(value: object) -> bytes:
    """The DER of a structure."""
    return asn1.encode_der(value)


def any_value(der: bytes) -> asn1.TLV:
    """The bytes of one complete value, as a field of type ANY."""
    return decode(asn1.TLV, der)


def value_bytes(value: asn1.TLV) -> bytes:
    """The complete bytes of a field of type ANY, exactly as they came."""
    return asn1.encode_der(value)


def read_items(der: bytes) -> list[asn1.TLV]:
    """The values within any SEQUENCE or SEQUENCE OF."""
    return decode(_AroundItems, asn1.encode_der(_AroundOne(inner=any_value(der)))).items


def write_items(items: list[asn1.TLV]) -> bytes:
    """The SEQUENCE of these values."""
    around = asn1.encode_der(_AroundItems(items=items))
    return value_bytes(asn1.decode_der(_AroundOne, around).inner)


def sequence_of(parts: Iterable[bytes]) -> bytes:
    """The SEQUENCE of values given as complete DER."""
    return write_items([any_value(part) for part in parts])


def first_and_rest(items: list[asn1.TLV]) -> tuple[bytes, bytes | None]:
    """The complete bytes of one value and of the optional one after it.

    Raises:
        MalformedMessage: there are none, or more than two.
    """
    if not 1 <= len(items) <= 2:
        raise MalformedMessage(f"{len(items)} values in place of one or two")
    return value_bytes(items[0]), value_bytes(items[1]) if len(items) == 2 else None


def write_octets(content: bytes) -> bytes:
    """OCTET STRING."""
    return asn1.encode_der(content)


def time_value(moment: datetime) -> asn1.GeneralizedTime:
    """A field of type GeneralizedTime, in whole seconds (RFC 5280 §4.1.2.5.2)."""
    return asn1.GeneralizedTime(moment.astimezone(UTC).replace(microsecond=0))


def moment_of(value: asn1.GeneralizedTime) -> datetime:
    """The moment in a field of type GeneralizedTime, aware, in UTC."""
    return value.as_datetime().replace(tzinfo=UTC)


def write_time(moment: datetime) -> bytes:
    """The complete DER of a GeneralizedTime, in whole seconds."""
    return asn1.encode_der(time_value(moment))


def read_time(value: bytes) -> datetime:
    """The moment, aware, in UTC.

    Raises:
        MalformedMessage: it is no GeneralizedTime.
    """
    return moment_of(decode(asn1.GeneralizedTime, value))


def tagged(number: int, content: bytes) -> asn1.TLV:
    """One complete value under the explicit context tag `number`, of at most 30."""
    as_octets = asn1.encode_der(content)
    return any_value(bytes([_CONTEXT_CONSTRUCTED | number]) + as_octets[1:])
