"""Support messages: what `genm` asks and `genp` answers (RFC 9810 §5.3.19, RFC 9483 §4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat import asn1

from kiosk.cmp import der
from kiosk.cmp.algorithms import LONGEST_RSA_KEY, SHORTEST_RSA_KEY, Algorithm
from kiosk.cmp.envelope import read_name, write_name
from kiosk.cmp.infos import Info, read_infos, write_infos
from kiosk.cmp.messages import CertReqTemplateContent, CertTemplate, CrlStatusValue, TypeAndValue
from kiosk.cmp.vocabulary import ALGORITHM_CONTROL, EC_PUBLIC_KEY, P256, RSA_LENGTH_CONTROL

_EC_KINDS = {P256: "ec-p256", "1.3.132.0.34": "ec-p384"}


_FIRST_YEAR_IN_FULL = 2050
"""Before which a Time has two digits for the year (RFC 5280 §4.1.2.5)."""


@dataclass(frozen=True, slots=True)
class CrlStatus:
    """Which CRL somebody has, or wants: whose it is, and when it was made (RFC 9810 §5.3.19.17)."""

    issuer_der: bytes | None
    """None where it is named by its distribution point, which nobody here uses."""
    this_update: datetime | None = None
    """Of the one at hand; None where there is none."""


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """What the CA wants of a request, as far as it says so (RFC 9810 §5.3.19.16)."""

    key_kinds: frozenset[str]
    """`rsa-2048`, `ec-p256` and the like; empty where the CA leaves the key to the client."""


def read_general(body: bytes) -> tuple[Info, ...]:
    """The content of `genm` or `genp`.

    Raises:
        MalformedMessage: it is none.
    """
    return read_infos(der.read_items(body))


def write_general(infos: Iterable[Info]) -> bytes:
    """The content of `genm` or `genp`."""
    return der.write_items(write_infos(infos))


def read_list(value: bytes) -> tuple[bytes, ...]:
    """CaCertsValue or CRLsValue: the DER of each certificate or CRL.

    Raises:
        MalformedMessage: it is none.
    """
    return tuple(der.value_bytes(each) for each in der.read_items(value))


def write_list(ders: Iterable[bytes]) -> bytes:
    """CaCertsValue or CRLsValue of these."""
    return der.sequence_of(ders)


def write_crl_statuses(statuses: Iterable[CrlStatus]) -> bytes:
    """CRLStatusListValue; each is named by its issuer."""
    return der.sequence_of(_write_crl_status(each) for each in statuses)


def read_crl_statuses(value: bytes) -> tuple[CrlStatus, ...]:
    """CRLStatusListValue.

    Raises:
        MalformedMessage: it is none.
    """
    return tuple(_read_crl_status(der.value_bytes(each)) for each in der.read_items(value))


def write_template(key_kinds: Iterable[str]) -> bytes:
    """A template that leaves everything to the CA but the kind of key, which is one of these."""
    controls = [_key_control(kind) for kind in sorted(key_kinds)]
    return der.encode(CertReqTemplateContent(template=CertTemplate(), key_spec=controls or None))


def read_template(value: bytes) -> RequestTemplate:
    """CertReqTemplateValue. Kinds of key that have no name or no use here are left out.

    Raises:
        MalformedMessage: it is none.
    """
    controls = der.decode(CertReqTemplateContent, value).key_spec or ()
    kinds = (_read_key_control(control) for control in controls)
    return RequestTemplate(frozenset(kind for kind in kinds if kind))


def _write_crl_status(status: CrlStatus) -> bytes:
    issuer = der.write_items([write_name(status.issuer_der)])
    moment = None if status.this_update is None else _time(status.this_update)
    return der.encode(CrlStatusValue(source=asn1.Variant(der.any_value(issuer), "issuer"), this_update=moment))


def _read_crl_status(data: bytes) -> CrlStatus:
    raw = der.decode(CrlStatusValue, data)
    moment = None if raw.this_update is None else raw.this_update.as_datetime().replace(tzinfo=UTC)
    if raw.source.tag != "issuer":
        return CrlStatus(None, moment)
    names = [read_name(each) for each in der.read_items(der.value_bytes(raw.source.value))]
    return CrlStatus(next((each for each in names if each is not None), None), moment)


def _time(moment: datetime) -> asn1.UTCTime | asn1.GeneralizedTime:
    in_utc = moment.astimezone(UTC).replace(microsecond=0)
    return asn1.UTCTime(in_utc) if in_utc.year < _FIRST_YEAR_IN_FULL else asn1.GeneralizedTime(in_utc)


def _key_control(kind: str) -> TypeAndValue:
    family, _, size = kind.partition("-")
    if family == "rsa":
        return _control(RSA_LENGTH_CONTROL, der.encode(int(size)))
    curve = next(identifier for identifier, name in _EC_KINDS.items() if name == kind)
    parameters = der.encode(x509.ObjectIdentifier(curve))
    return _control(ALGORITHM_CONTROL, der.write_items(Algorithm(EC_PUBLIC_KEY, parameters).items()))


def _control(identifier: str, value: bytes) -> TypeAndValue:
    return TypeAndValue(kind=x509.ObjectIdentifier(identifier), value=der.any_value(value))


def _read_key_control(control: TypeAndValue) -> str | None:
    value = der.value_bytes(control.value)
    if control.kind.dotted_string == RSA_LENGTH_CONTROL:
        bits = der.decode(int, value)
        return f"rsa-{bits}" if SHORTEST_RSA_KEY <= bits <= LONGEST_RSA_KEY else None
    if control.kind.dotted_string != ALGORITHM_CONTROL:
        return None
    algorithm = Algorithm.read(der.read_items(value))
    if algorithm.identifier != EC_PUBLIC_KEY or algorithm.parameters is None:
        return None
    return _EC_KINDS.get(der.decode(x509.ObjectIdentifier, algorithm.parameters).dotted_string)
