from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.transfer import Limits, exchange, open_http_client, tls_context
from tests.cmp.conftest import URL
from tests.cmp.pki import Pki

PKIX = {"Content-Type": "application/pkixcmp"}
SOON = 10.0
"""Seconds, also on a busy machine: what is bounded by nothing else fails then."""


async def failure(answer: httpx.Response | Exception, limits: Limits | None = None) -> TransferError:
    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    with pytest.raises(TransferError) as caught:
        async with asyncio.timeout(SOON):
            await exchange(http, URL, b"request", limits or Limits())
    return caught.value


class Endless(httpx.AsyncByteStream):
    """Nobody takes more than a little of it: what is not bounded fails here, and takes no machine's memory."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(4000):
            yield b"x" * 1000
        pytest.fail("it was read for ever")


class Garbled(httpx.AsyncByteStream):
    """As TLS does when bytes come that are none of its own."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"x"
        raise ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")


class Silent(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


@pytest.mark.parametrize(
    ("answer", "kind", "may_have_arrived"),
    [
        (httpx.Response(500, headers=PKIX), TransferFailure.STATUS, True),
        *((httpx.Response(each, headers=PKIX), TransferFailure.BUSY, True) for each in (429, 502, 503, 504)),
        (httpx.Response(302, headers={"Location": "http://elsewhere.invalid/"}), TransferFailure.STATUS, True),
        (httpx.Response(200, headers={"Content-Type": "text/html"}), TransferFailure.CONTENT_TYPE, True),
        (
            httpx.Response(200, headers=PKIX | {"Content-Encoding": "gzip"}, stream=Endless()),
            TransferFailure.CONTENT_TYPE,
            True,
        ),
        (httpx.Response(200, headers=PKIX, stream=Endless()), TransferFailure.TOO_LARGE, True),
        (httpx.Response(200, headers=PKIX, stream=Garbled()), TransferFailure.BROKEN_OFF, True),
        (httpx.ReadTimeout("slow"), TransferFailure.TIME_OUT, True),
        (httpx.RemoteProtocolError("gone"), TransferFailure.BROKEN_OFF, True),
        (httpx.ConnectError("nobody"), TransferFailure.UNREACHABLE, False),
        (httpx.ConnectTimeout("nobody"), TransferFailure.UNREACHABLE, False),
    ],
    ids=lambda value: value.value if isinstance(value, TransferFailure) else None,
)
async def test_each_failure_has_its_kind(
    answer: httpx.Response | Exception, kind: TransferFailure, may_have_arrived: bool
) -> None:
    error = await failure(answer)
    assert (error.kind, error.may_have_arrived) == (kind, may_have_arrived)


async def test_a_server_that_trickles_is_given_up() -> None:
    error = await failure(httpx.Response(200, headers=PKIX, stream=Silent()), Limits(total_seconds=0.01))
    assert error.kind is TransferFailure.TIME_OUT


DATE = "Thu, 26 Nov 2026 09:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (503, {"Retry-After": "17"}, 17.0),
        (429, {"Retry-After": " 0 "}, 0.0),
        (503, {"Retry-After": "9" * 400}, float("inf")),
        (503, {"Retry-After": "Thu, 26 Nov 2026 09:00:42 GMT", "Date": DATE}, 42.0),
        (503, {"Retry-After": "Thu, 26 Nov 2026 08:00:00 GMT", "Date": DATE}, 0.0),
        (503, {"Retry-After": "Thu, 26 Nov 2026 09:00:42 GMT"}, None),
        (503, {"Retry-After": "soon"}, None),
        (503, {"Retry-After": "-5"}, None),
        (503, {"Retry-After": "１７"}, None),
        (503, {}, None),
        (500, {"Retry-After": "17"}, None),
    ],
)
async def test_when_a_server_wants_to_be_asked_again(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert (await failure(httpx.Response(status, headers=told))).retry_after == seconds


async def test_a_content_type_may_have_parameters() -> None:
    answer = httpx.Response(200, headers={"Content-Type": "application/PKIXCMP; charset=x"}, content=b"yes")
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer))
    assert await exchange(http, URL, b"request", Limits()) == b"yes"


async def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    async with open_http_client(None) as http:
        with pytest.raises(TransferError) as caught:
            await exchange(http, f"http://127.0.0.1:{port}/", b"", Limits())
    assert caught.value.kind is TransferFailure.UNREACHABLE


@pytest.mark.parametrize(
    "url",
    [
        "ftp://ca.invalid/",
        "http://",
        "ca.invalid",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://ca.invalid:abc/",
        "http://xn--/",
        "http://ca..invalid/",
        f"http://{'a' * 300}.invalid/",
    ],
)
async def test_an_address_that_is_none_is_unreachable(url: str) -> None:
    async with open_http_client(None) as http:
        with pytest.raises(TransferError) as caught:
            await exchange(http, url, b"", Limits())
    assert (caught.value.kind, caught.value.may_have_arrived) == (TransferFailure.UNREACHABLE, False)


async def test_the_client_takes_nothing_from_its_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    async with open_http_client(None, Limits(connect_seconds=3, total_seconds=7)) as http:
        assert (http.trust_env, http.follow_redirects) == (False, False)
        assert http.timeout == httpx.Timeout(7, connect=3)
        assert http._mounts == {}, "no proxy"


def test_tls_is_new_enough_and_checks_names_under_the_given_roots_alone(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(pki.root.certificate.x509.public_bytes(Encoding.PEM))
    context = tls_context(tmp_path / "root.pem")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs(binary_form=True) == [pki.root.certificate.der]
    assert tls_context(None).get_ca_certs() == []


def test_roots_that_are_none_are_no_client(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ssl.SSLError):
        open_http_client(tmp_path / "empty.pem")
    with pytest.raises(FileNotFoundError):
        open_http_client(tmp_path / "absent.pem")
