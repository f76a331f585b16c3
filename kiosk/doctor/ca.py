"""The CA: trusted, reached, genuine, and of the same time.

No customer's certificate is at hand, so the CA is asked by one that it does not know. It refuses that, as it must; the
refusal is protected by its signer, and has its time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kiosk.certificates import (
    Certificate,
    UnreadableCertificate,
    chain_of,
    is_issued_by,
    read_certificate,
    read_certificate_file,
)
from kiosk.clock import JAPAN
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import CmpError, Distrust, Refused, TransferError, TransferFailure, UntrustedAnswer
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.transfer import Limits, knock, open_http_client, tls_context
from kiosk.doctor.configuration import NOT_TOLD
from kiosk.doctor.findings import Check, Finding, bad, good, not_applicable, warning
from kiosk.doctor.site import Site
from kiosk.preparation import CLOCK_NOTED, CLOCK_REFUSED
from kiosk.services import read_anchors, trust_of
from kiosk.settings import CaSettings, SettingsError

ENDS_SOON = timedelta(days=30)
"""So long before a certificate ends that the kiosk cannot do without, somebody has to be told."""

_TRUST_GOOD = good("doctor.trust.good")
_UNREADABLE = bad("doctor.trust.unreadable")
_EXPIRED = bad("doctor.trust.expired")
_NOT_YET = bad("doctor.trust.not-yet")
_EXPIRES = warning("doctor.trust.expires")

_REACHED = good("doctor.ca.good")
_UNREACHABLE = bad("doctor.ca.unreachable")
_SLOW = bad("doctor.ca.slow")
_UNTRUSTED = bad("doctor.ca.untrusted")
_OUT_OF_ORDER = bad("doctor.ca.out-of-order")
NO_ROOTS = not_applicable("doctor.ca.no-roots")

_TLS_GOOD = good("doctor.tls.good")
_TLS_EXPIRES = warning("doctor.tls.expires")
_NO_TLS = not_applicable("doctor.tls.none")

_SIGNER_GOOD = good("doctor.signer.good")
_SIGNER_UNAUTHORISED = bad("doctor.signer.unauthorised")
_SIGNER_UNTRUSTED = bad("doctor.signer.untrusted")
_NO_CMP = bad("doctor.signer.no-cmp")
_UNSIGNED = warning("doctor.signer.unsigned")
_NOT_ASKED = not_applicable("doctor.signer.not-asked")
_NOT_REACHED = not_applicable("doctor.ca.not-reached")

_CLOCK_GOOD = good("doctor.clock.good")
_CLOCK_NOTED = warning("doctor.clock.noted")
_CLOCK_REFUSED = bad("doctor.clock.refused")
_NO_TIME = not_applicable("doctor.clock.no-time")

TRANSFER = {
    TransferFailure.UNREACHABLE: _UNREACHABLE,
    TransferFailure.BROKEN_OFF: _UNREACHABLE,
    TransferFailure.TLS: _UNTRUSTED,
    TransferFailure.HANDSHAKE: _UNTRUSTED,
    TransferFailure.OUT_OF_DATE: _UNTRUSTED,
    TransferFailure.TIME_OUT: _SLOW,
    TransferFailure.BUSY: _OUT_OF_ORDER,
    TransferFailure.STATUS: _OUT_OF_ORDER,
    TransferFailure.CONTENT_TYPE: _NO_CMP,
    TransferFailure.TOO_LARGE: _NO_CMP,
}
_UNAUTHORISED = {Distrust.SIGNER_PURPOSE, Distrust.SIGNER_KEY_USAGE}


async def _look_at_trust(site: Site) -> Iterable[Finding]:
    ca = site.known.ca
    if ca is None:
        return [NOT_TOLD()]
    files = {"ca.roots": ca.roots, "ca.tls_roots": ca.tls_roots, "ca.pinned_signers": ca.pinned_signers}
    return [each for name, file in files.items() if file for each in _of_file(site, name, Path(file))]


def _of_file(site: Site, name: str, file: Path) -> Iterable[Finding]:
    try:
        found = read_certificate_file(file)
        if name == "ca.roots":
            read_anchors(file)
    except (UnreadableCertificate, SettingsError):
        return [_UNREADABLE(setting=name, file=file)]
    sound = [each for each in found if not _of_validity(site, name, each)]
    flawed = [each for each in found if each not in sound and not _is_made_up_for(each, sound, name)]
    if flawed:
        return [flaw for each in flawed for flaw in _of_validity(site, name, each)]
    return [_TRUST_GOOD(setting=name, count=len(sound), until=_day(min(each.not_after for each in sound)))]


def _is_made_up_for(certificate: Certificate, sound: Sequence[Certificate], name: str) -> bool:
    """Whether another one does what it no longer can; of a system's many roots for HTTPS one is enough."""
    return any(name == "ca.tls_roots" or each.subject_der == certificate.subject_der for each in sound)


def _of_validity(site: Site, name: str, certificate: Certificate) -> Iterable[Finding]:
    now, values = site.clock(), {"setting": name, "name": _name(certificate)}
    if now > certificate.not_after:
        return [_EXPIRED(**values, until=_day(certificate.not_after))]
    if now < certificate.not_before:
        return [_NOT_YET(**values, begin=_day(certificate.not_before))]
    if now > certificate.not_after - ENDS_SOON:
        return [_EXPIRES(**values, until=_day(certificate.not_after))]
    return []


@asynccontextmanager
async def http_for(ca: CaSettings) -> AsyncIterator[httpx.AsyncClient | None]:
    """None where the TLS roots cannot be read; then nobody is asked."""
    try:
        http = open_http_client(Path(ca.tls_roots), _limits(ca))
    except (OSError, ssl.SSLError):
        yield None
        return
    async with http:
        yield http


def _limits(ca: CaSettings) -> Limits:
    return Limits(total_seconds=min(ca.time_limit, Limits().total_seconds))


@dataclass(frozen=True, slots=True)
class _Knocked:
    """Whether somebody is there."""

    finding: Finding
    offset: timedelta | None = None
    """The time of the HTTP answer less this machine's clock, the way there and back shared equally."""


async def _knocked(site: Site) -> _Knocked | None:
    """None where the settings name no CA."""
    ca = site.known.ca
    if ca is None:
        return None
    async with http_for(ca) as http:
        if http is None:
            return _Knocked(NO_ROOTS())
        asked = site.clock()
        try:
            date = await knock(http, ca.url, _limits(ca))
        except TransferError as error:
            return _Knocked(TRANSFER[error.kind](address=address_of(ca.url), detail=error))
        answered = site.clock()
    offset = None if date is None else date - (asked + (answered - asked) / 2)
    return _Knocked(_REACHED(address=address_of(ca.url)), offset)


def address_of(address: str) -> str:
    """Scheme, host and port: what else an address may carry is nobody's business here."""
    try:
        url = httpx.URL(address)
        return str(httpx.URL(scheme=url.scheme, host=url.host, port=url.port))
    except (httpx.InvalidURL, TypeError, UnicodeError):
        return "?"


async def _look_at_ca(site: Site) -> Iterable[Finding]:
    knocked = await site.once(_knocked)
    return [NOT_TOLD() if knocked is None else knocked.finding]


async def _look_at_tls(site: Site) -> Iterable[Finding]:
    ca, knocked = site.known.ca, await site.once(_knocked)
    if ca is None or knocked is None:
        return [NOT_TOLD()]
    if knocked.finding.saying != _REACHED:
        return [_NOT_REACHED()]
    url = httpx.URL(ca.url)
    if url.scheme != "https":
        return [_NO_TLS()]
    try:
        certificate = await _presented(url, Path(ca.tls_roots), _limits(ca))
        roots = read_certificate_file(Path(ca.tls_roots))
    except (OSError, TimeoutError, UnreadableCertificate):
        return [_NOT_REACHED()]
    saying = _TLS_EXPIRES if site.clock() > certificate.not_after - ENDS_SOON else _TLS_GOOD
    return [saying(root=_root_of(certificate, roots), until=_day(certificate.not_after))]


async def _presented(url: httpx.URL, roots: Path, limits: Limits) -> Certificate:
    """The certificate of the server, which TLS has found good."""
    async with asyncio.timeout(limits.total_seconds):
        _, writer = await asyncio.open_connection(url.host, url.port or 443, ssl=tls_context(roots))
    try:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return read_certificate(tls.getpeercert(binary_form=True) or b"")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _root_of(certificate: Certificate, roots: Sequence[Certificate]) -> str:
    """The trusted certificate above it; where intermediates came with the handshake alone, its issuer's name."""
    chain = chain_of(certificate, roots)
    if chain:
        return _name(chain[-1])
    itself = any(is_issued_by(certificate, root) for root in roots)
    return _name(certificate) if itself else certificate.x509.issuer.rfc4514_string()


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a question by a stranger."""

    finding: Finding
    offset: timedelta | None = None
    """The CA's clock, where that is proven to be the CA's, less this machine's."""


async def asked_as_stranger(site: Site) -> Asked | None:
    """None where nobody can be asked."""
    ca, knocked = site.known.ca, await site.once(_knocked)
    if ca is None or knocked is None or knocked.finding.saying != _REACHED:
        return None
    try:
        trust = trust_of(ca, read_anchors(Path(ca.roots)))
    except SettingsError:
        return Asked(NO_ROOTS())
    if not ca.peer.answers_general:
        return Asked(_NOT_ASKED())
    async with http_for(ca) as http:
        if http is None:
            return Asked(NO_ROOTS())
        client = CmpClient(http, ca.url, trust, peer=ca.peer, clock=site.clock, limits=_limits(ca))
        asked = site.clock()
        try:
            answer = await client.general(stranger(asked))
        except Refused as refused:
            return _of_refusal(refused, asked, site.clock())
        except CmpError as error:
            return Asked(_of_failure(error, ca))
    return Asked(_SIGNER_GOOD(), answer.offset)


def _of_refusal(refused: Refused, asked: datetime, answered: datetime) -> Asked:
    if not refused.proven:
        return Asked(_UNSIGNED(detail=refused))
    moment = refused.message_time
    return Asked(_SIGNER_GOOD(), None if moment is None else moment - (asked + (answered - asked) / 2))


def _of_failure(error: CmpError, ca: CaSettings) -> Finding:
    match error:
        case UntrustedAnswer() if error.reason in _UNAUTHORISED:
            return _SIGNER_UNAUTHORISED(detail=error.reason.value)
        case UntrustedAnswer():
            return _SIGNER_UNTRUSTED(detail=error.reason.value)
        case TransferError():
            saying = TRANSFER[error.kind]
            return (saying if saying in (_SLOW, _UNREACHABLE) else _NO_CMP)(address=address_of(ca.url), detail=error)
        case _:
            return _NO_CMP(address=address_of(ca.url), detail=type(error).__name__)


def stranger(now: datetime) -> Signer:
    """Somebody whom no CA knows: a key of this moment, and a certificate that says so itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kiosk doctor")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    return Signer(SoftwareKey(key), read_certificate(certificate.public_bytes(Encoding.DER)))


async def _look_at_signer(site: Site) -> Iterable[Finding]:
    if site.known.ca is None:
        return [NOT_TOLD()]
    asked = await site.once(asked_as_stranger)
    return [_NOT_REACHED() if asked is None else asked.finding]


async def _look_at_clock(site: Site) -> Iterable[Finding]:
    if site.known.ca is None:
        return [NOT_TOLD()]
    asked, knocked = await site.once(asked_as_stranger), await site.once(_knocked)
    offset = asked.offset if asked and asked.offset is not None else knocked.offset if knocked else None
    if offset is None:
        return [_NO_TIME()]
    apart = abs(offset)
    saying = _CLOCK_REFUSED if apart > CLOCK_REFUSED else _CLOCK_NOTED if apart > CLOCK_NOTED else _CLOCK_GOOD
    return [saying(seconds=f"{offset.total_seconds():+.0f}")]


def _name(certificate: Certificate) -> str:
    """Not every root has a common name."""
    return certificate.common_name or certificate.x509.subject.rfc4514_string()


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(JAPAN):%Y-%m-%d}"


CHECKS = (
    Check("doctor.check.trust", _look_at_trust, (_TRUST_GOOD, _EXPIRES, _UNREADABLE, _EXPIRED, _NOT_YET, NOT_TOLD)),
    Check(
        "doctor.check.ca",
        _look_at_ca,
        (_REACHED, _UNREACHABLE, _SLOW, _UNTRUSTED, _OUT_OF_ORDER, NO_ROOTS, NOT_TOLD),
    ),
    Check("doctor.check.tls", _look_at_tls, (_TLS_GOOD, _TLS_EXPIRES, _NO_TLS, _NOT_REACHED, NOT_TOLD)),
    Check(
        "doctor.check.signer",
        _look_at_signer,
        (
            _SIGNER_GOOD,
            _UNSIGNED,
            _SIGNER_UNAUTHORISED,
            _SIGNER_UNTRUSTED,
            _NO_CMP,
            _SLOW,
            _UNREACHABLE,
            _NOT_ASKED,
            NO_ROOTS,
            _NOT_REACHED,
            NOT_TOLD,
        ),
    ),
    Check("doctor.check.clock", _look_at_clock, (_CLOCK_GOOD, _CLOCK_NOTED, _CLOCK_REFUSED, _NO_TIME, NOT_TOLD)),
)
