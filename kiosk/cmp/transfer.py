"""CMP over HTTP (RFC 9811): one POST, one answer, bounded in size and time.

Trust in the TLS server is a setting of its own: no environment variable and no system store has a say.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.vocabulary import CONTENT_TYPE

_HIGHEST_PORT = 65535
_BUSY = frozenset({429, 502, 503, 504})
"""With which a server, or what stands before it, says that another time would do (RFC 9110 §15.6, RFC 6585 §4)."""
_SAYS_NOTHING = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""The connection was ended, or was waiting for the other side when the time was up."""
_OUT_OF_DATE = frozenset({9, 10})
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how large an exchange may be."""

    connect_seconds: float = 5.0
    total_seconds: float = 30.0
    """From the first byte sent to the last one read."""
    largest_answer: int = 256 * 1024
    """Bytes, checked before anything is parsed."""


def open_http_client(tls_roots: Path | None, limits: Limits | None = None) -> httpx.AsyncClient:
    """A client that trusts the TLS roots in this PEM file and nothing else; with None it can speak no HTTPS.

    Raises:
        OSError: the file cannot be read, or (`ssl.SSLError`) holds no certificate.
    """
    limits = limits or Limits()
    return httpx.AsyncClient(
        verify=tls_context(tls_roots),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(limits.total_seconds, connect=limits.connect_seconds),
    )


def tls_context(roots: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer with servers under these roots.

    Raises:
        OSError: the file cannot be read, or (`ssl.SSLError`) holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if roots is not None:
        context.load_verify_locations(cafile=roots)
    return context


async def exchange(http: httpx.AsyncClient, url: str, request: bytes, limits: Limits) -> bytes:
    """Send a message, give back the bytes of the answer.

    Raises:
        TransferError: anything but a 200 with a bounded body of the right type.
    """
    return await fetch(http, url, limits, kind=CONTENT_TYPE, request=request, request_kind=CONTENT_TYPE)


async def fetch(
    http: httpx.AsyncClient,
    url: str,
    limits: Limits,
    *,
    kind: str,
    request: bytes | None = None,
    request_kind: str = "",
) -> bytes:
    """What is at this address, or what answers a request that is sent there.

    Args:
        http: The client, with its trust.
        url: Where.
        limits: How long it may take, and how large the answer may be.
        kind: The media type that the answer must have.
        request: What to send by POST; None asks by GET.
        request_kind: Its media type.

    Raises:
        TransferError: anything but a 200 with a bounded body of the right type.
    """
    address = _address(url)
    headers = {"Accept": kind, "Accept-Encoding": "identity"}
    if request is not None:
        headers["Content-Type"] = request_kind
    asked = http.build_request("GET" if request is None else "POST", address, content=request, headers=headers)
    async with _failures(limits):
        return await _answer(http, asked, kind, limits.largest_answer)


async def knock(http: httpx.AsyncClient, url: str, limits: Limits) -> datetime | None:
    """Ask only whether somebody is there who may use the TLS name; the time in the answer's `Date`, where it has one.

    What is said otherwise does not matter: a CA that knows CMP alone refuses a HEAD (RFC 9811 §3.3).

    Raises:
        TransferError: nobody answers, or only to say that the server does not work.
    """
    address = _address(url)
    async with _failures(limits):
        response = await http.head(address)
    if response.is_server_error and response.status_code != httpx.codes.NOT_IMPLEMENTED:
        raise _of_status(response)
    return _moment(response.headers.get("Date", ""))


def _moment(date: str) -> datetime | None:
    """Of an HTTP date; None for one that says none, or one that no calendar of ours reaches."""
    try:
        moment = parsedate_to_datetime(date)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


@asynccontextmanager
async def _failures(limits: Limits) -> AsyncIterator[None]:
    """Within the time there is, and every way in which HTTP fails as a `TransferError`."""
    try:
        async with asyncio.timeout(limits.total_seconds):
            yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise TransferError(_why_not_connected(error), type(error).__name__, may_have_arrived=False) from error
    except (TimeoutError, httpx.TimeoutException) as error:
        raise TransferError(TransferFailure.TIME_OUT) from error
    # OSError too: bytes that are no TLS, in the middle of an answer, come through httpx as they are (ssl.SSLError).
    except (httpx.HTTPError, OSError) as error:
        raise TransferError(TransferFailure.BROKEN_OFF, type(error).__name__) from error


def _address(url: str) -> httpx.URL:
    """Checked before anything is sent: a host or port that cannot be would fail in the depths, in many ways."""
    try:
        address = httpx.URL(url)
        address.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise TransferError(TransferFailure.UNREACHABLE, "no http address", may_have_arrived=False) from error
    port_can_be = address.port is None or 0 < address.port <= _HIGHEST_PORT
    if address.scheme not in ("http", "https") or not address.host or not port_can_be:
        raise TransferError(TransferFailure.UNREACHABLE, "no http address", may_have_arrived=False)
    return address


async def _answer(http: httpx.AsyncClient, asked: httpx.Request, kind: str, largest: int) -> bytes:
    response = await http.send(asked, stream=True)
    async with aclosing(response):
        if response.status_code != httpx.codes.OK:
            raise _of_status(response)
        if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() != kind:
            raise TransferError(TransferFailure.CONTENT_TYPE)
        # A compressed answer nobody asked for could grow beyond the limit before it is counted.
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise TransferError(TransferFailure.CONTENT_TYPE, "compressed")
        return await _read_bounded(response, largest)


async def _read_bounded(response: httpx.Response, largest: int) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes(chunk_size=16 * 1024):
        content += piece
        if len(content) > largest:
            raise TransferError(TransferFailure.TOO_LARGE, f"more than {largest} bytes")
    return bytes(content)


def _of_status(response: httpx.Response) -> TransferError:
    busy = response.status_code in _BUSY
    return TransferError(
        TransferFailure.BUSY if busy else TransferFailure.STATUS,
        str(response.status_code),
        retry_after=_retry_after(response) if busy else None,
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, as RFC 9110 §10.2.3 has them: a number, or a date, which is taken by the server's own `Date`."""
    told = response.headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdigit():
        return float(told)
    until, now = _moment(told), _moment(response.headers.get("Date", ""))
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def _why_not_connected(error: BaseException | None) -> TransferFailure:
    """A handshake that was cut, or never came to its end, says nothing of the server; one that failed does."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return TransferFailure.OUT_OF_DATE if error.verify_code in _OUT_OF_DATE else TransferFailure.TLS
        if isinstance(error, ssl.SSLError) and not isinstance(error, _SAYS_NOTHING):
            return TransferFailure.HANDSHAKE
        error = error.__cause__ or error.__context__
    return TransferFailure.UNREACHABLE
