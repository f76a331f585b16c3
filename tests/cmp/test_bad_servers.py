"""Whatever a network or a server does: what it is told as, whether the request may have arrived, and that it ends."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from math import inf

import pytest

from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.transfer import Limits, exchange, knock, open_http_client
from kiosk.errors import Code
from kiosk.problems import ca_problem
from tests.cmp import bad_servers as bad

F = TransferFailure
LIMITS = Limits(connect_seconds=0.4, total_seconds=0.8, largest_answer=64 * 1024)
SLACK = 5.0
"""Seconds for a machine that is busy."""
REQUEST = b"request"

YES = bad.HEAD + b"Content-Length: 3\r\n\r\nyes"
CHUNK = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
CODES = {
    F.UNREACHABLE: Code.CA_NOT_REACHED,
    F.BROKEN_OFF: Code.CA_NOT_REACHED,
    F.HANDSHAKE: Code.CONNECTION_NOT_TRUSTED,
    F.TIME_OUT: Code.CA_TOO_SLOW,
    F.STATUS: Code.CA_OUT_OF_ORDER,
    F.CONTENT_TYPE: Code.CA_OUT_OF_ORDER,
    F.TOO_LARGE: Code.CA_OUT_OF_ORDER,
}


async def failure(url: str) -> TransferError:
    """How asking there fails; in no more time than there is."""
    async with open_http_client(None, LIMITS) as http:
        with pytest.raises(TransferError) as caught:
            async with asyncio.timeout(LIMITS.total_seconds + SLACK):
                await exchange(http, url, REQUEST, LIMITS)
    assert ca_problem(caught.value).problem.code is CODES[caught.value.kind]
    return caught.value


SERVERS: dict[str, tuple[bad.Serve, TransferFailure]] = {
    "takes the connection and never reads": (bad.never_reads, F.TIME_OUT),
    "reads and never answers": (bad.never_answers, F.TIME_OUT),
    "hangs up without a word": (bad.hangs_up, F.BROKEN_OFF),
    "drips its head": (bad.drips(YES), F.TIME_OUT),
    "drips its body": (bad.says_for_ever(bad.CHUNKED, b"1\r\nx\r\n", bad.DRIP_SECONDS), F.TIME_OUT),
    "drips a head without an end": (bad.says_for_ever(bad.HEAD, b"X: y\r\n", bad.DRIP_SECONDS), F.TIME_OUT),
    "only ever says 100 Continue": (
        bad.says_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", bad.DRIP_SECONDS),
        F.TIME_OUT,
    ),
    "pours 103 Early Hints": (bad.says_for_ever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100, most=inf), F.TIME_OUT),
    "stops within a length it has told": (bad.says(bad.HEAD, b"Content-Length: 9\r\n\r\nyes"), F.BROKEN_OFF),
    "stops within a chunk": (bad.says(bad.CHUNKED, b"9\r\nyes"), F.BROKEN_OFF),
    "stops before the last chunk": (bad.says(bad.CHUNKED, b"3\r\nyes\r\n"), F.BROKEN_OFF),
    "says a chunk that is none": (bad.says(bad.CHUNKED, b"-3\r\nyes\r\n"), F.BROKEN_OFF),
    "tells two lengths": (bad.says(bad.HEAD, b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nyes"), F.BROKEN_OFF),
    "tells a length below nothing": (bad.says(bad.HEAD, b"Content-Length: -3\r\n\r\nyes"), F.BROKEN_OFF),
    "sends chunks without end": (bad.says_for_ever(bad.CHUNKED, CHUNK), F.TOO_LARGE),
    "sends a body without end": (bad.says_for_ever(bad.HEAD + b"\r\n", b"x" * 1000), F.TOO_LARGE),
    "tells a length beyond all bounds": (
        bad.says_for_ever(bad.HEAD + b"Content-Length: 999999999999\r\n\r\n", b"x" * 1000),
        F.TOO_LARGE,
    ),
    "sends a header without end": (bad.says_for_ever(bad.HEAD + b"X: ", b"x" * 1000), F.BROKEN_OFF),
    "sends headers without end": (bad.says_for_ever(bad.HEAD, b"X: y\r\n" * 100), F.BROKEN_OFF),
    "sends a line of status without end": (bad.says_for_ever(b"HTTP/1.1 200 ", b"x" * 1000), F.BROKEN_OFF),
    "sends a chunk's extension without end": (bad.says_for_ever(bad.CHUNKED + b"3;", b"x" * 1000), F.BROKEN_OFF),
    "sends trailers without end": (bad.says_for_ever(bad.CHUNKED + b"0\r\n", b"X: y\r\n" * 100), F.BROKEN_OFF),
    "sends a bomb": (bad.says(bad.bomb(50 * 1024 * 1024)), F.CONTENT_TYPE),
    "says what is no HTTP": (bad.says(b"SSH-2.0-OpenSSH_9.6\r\n"), F.BROKEN_OFF),
    "says nothing but a body (HTTP/0.9)": (bad.says(b"yes"), F.BROKEN_OFF),
    "speaks HTTP/2": (bad.says(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), F.BROKEN_OFF),
    "has no content": (bad.says(b"HTTP/1.1 204 No Content\r\n\r\n"), F.STATUS),
    "has a part of it": (bad.says(YES.replace(b"200 OK", b"206 Partial Content")), F.STATUS),
    "does not say what it sends": (bad.says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"), F.CONTENT_TYPE),
    "wants a proxy's password": (bad.says(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"), F.STATUS),
    "would rather speak something else": (
        bad.says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
        F.BROKEN_OFF,
    ),
}


@pytest.mark.parametrize("server", SERVERS)
async def test_a_server_that(server: str) -> None:
    serve, kind = SERVERS[server]
    async with bad.serving(serve) as (place, _):
        error = await failure(f"http://{place}/")
    assert (error.kind, error.may_have_arrived) == (kind, True)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_nobody_is_sent_to_another_server(status: int) -> None:
    async with bad.serving(bad.says(YES)) as (elsewhere, came):
        location = b"HTTP/1.1 %d Elsewhere\r\nLocation: http://%s/\r\nContent-Length: 0\r\n\r\n"
        async with bad.serving(bad.says(location % (status, elsewhere.encode()))) as (place, _):
            assert (await failure(f"http://{place}/")).kind is F.STATUS
        assert came == []


@pytest.mark.parametrize(
    "serve", [bad.never_answers, bad.never_reads, bad.drips_unasked(b"\x16\x03\x03\x40\x00" + bytes(2000))]
)
async def test_a_handshake_that_never_ends(serve: bad.Serve) -> None:
    async with bad.serving(serve) as (place, _):
        error = await failure(f"https://{place}/")
    assert not error.may_have_arrived, "nothing was said that anybody could hear"
    assert error.kind is F.UNREACHABLE


@pytest.mark.parametrize("why", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EMFILE])
async def test_no_way_leads_there(monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    bad.no_way(monkeypatch, why)
    error = await failure("http://192.0.2.1/")
    assert (error.kind, error.may_have_arrived) == (F.UNREACHABLE, False)


@pytest.mark.parametrize("why", [socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL])
async def test_nobody_knows_the_name(monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    bad.no_name(monkeypatch, why)
    error = await failure("http://ca.bank.example/")
    assert (error.kind, error.may_have_arrived) == (F.UNREACHABLE, False)


async def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait())
    try:
        error = await failure("http://ca.bank.example/")
    finally:
        ended.set()
    assert (error.kind, error.may_have_arrived) == (F.UNREACHABLE, False)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
async def test_no_proxy_of_the_surroundings_hears_anything(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    async with bad.serving(bad.says(YES)) as (proxy, came), bad.serving(bad.says(YES)) as (place, _):
        monkeypatch.setenv(variable, f"http://{proxy}")
        async with open_http_client(None, LIMITS) as http:
            assert await exchange(http, f"http://{place}/", REQUEST, LIMITS) == b"yes"
        assert came == []


@pytest.mark.parametrize(
    "said",
    [
        YES.replace(b"HTTP/1.1", b"HTTP/1.0"),
        bad.HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\nyes",
        bad.HEAD + b"Connection: close\r\n\r\nyes",
        bad.CHUNKED + b"1\r\ny\r\n2;a=b\r\nes\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + YES,
    ],
    ids=["HTTP/1.0", "HTTP/1.0 to its end", "to its end", "in chunks", "after 100 Continue"],
)
async def test_peers_of_every_age_are_understood(said: bytes) -> None:
    async with bad.serving(bad.says(said)) as (place, _), open_http_client(None, LIMITS) as http:
        assert await exchange(http, f"http://{place}/", REQUEST, LIMITS) == b"yes"


async def test_knocking_is_bounded_too() -> None:
    serve = bad.says_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", bad.DRIP_SECONDS)
    async with bad.serving(serve) as (place, _), open_http_client(None, LIMITS) as http:
        with pytest.raises(TransferError) as caught:
            async with asyncio.timeout(LIMITS.total_seconds + SLACK):
                await knock(http, f"http://{place}/", LIMITS)
    assert caught.value.kind is F.TIME_OUT


async def test_a_server_that_says_it_does_not_work_is_not_there() -> None:
    serve = bad.says(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    async with bad.serving(serve) as (place, _), open_http_client(None, LIMITS) as http:
        with pytest.raises(TransferError) as caught:
            await knock(http, f"http://{place}/", LIMITS)
    assert caught.value.kind is F.STATUS
