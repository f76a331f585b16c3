"""Peers that are slow, silent or many, each with its end."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from kiosk.ca.connections import Limits
from kiosk.ca.responder import Responder
from kiosk.ca.server import tls_context
from kiosk.ca.web import create_app
from kiosk.cmp.vocabulary import CONTENT_TYPE
from tests.ca.bank import Bank
from tests.ca.live import HOST, PATH, PKIX, Answer, Live, Peer, head, live, post

SHORT = Limits(
    handshake_seconds=0.2,
    head_seconds=0.2,
    body_seconds=0.2,
    answer_seconds=0.5,
    linger_seconds=0.2,
)
HEALTH = head("GET /health HTTP/1.1", HOST)
CHUNKED = head(f"POST {PATH} HTTP/1.1", HOST, PKIX, "Transfer-Encoding: chunked")


@pytest.fixture
def impatient(bank: Bank) -> Iterator[Live]:
    with live(create_app(bank.responder, SHORT), limits=SHORT) as running:
        yield running


def drip(peer: Peer, drop: bytes) -> None:
    """Say it again and again until the server says something, or leaves."""
    try:
        while not select.select([peer.socket], [], [], 0.01)[0]:
            peer.say(drop)
    except ConnectionError:
        pass


def silent(_: Peer) -> None:
    pass


def half_a_head(peer: Peer) -> None:
    peer.say(post(b"x")[:50])


def a_head_in_drops(peer: Peer) -> None:
    peer.say(b"POST / HTTP/1.1\r\nX: ")
    drip(peer, b"y")


def lines_without_end(peer: Peer) -> None:
    peer.say(b"POST / HTTP/1.1\r\n")
    drip(peer, b"X: y\r\n")


def empty_lines(peer: Peer) -> None:
    drip(peer, b"\r\n")


def half_a_body(peer: Peer) -> None:
    peer.say(post(b"x" * 10)[:-1])


def a_body_in_drops(peer: Peer) -> None:
    peer.say(post(b"x" * 10_000)[:-10_000])
    drip(peer, b"x")


def chunks_in_drops(peer: Peer) -> None:
    peer.say(CHUNKED)
    drip(peer, b"1\r\nx\r\n")


def half_a_second_head(peer: Peer) -> None:
    peer.say(HEALTH)
    answer = peer.hear("GET")
    assert answer is not None
    assert answer.status == 200
    peer.say(HEALTH[:-1])


def nothing_further(peer: Peer) -> None:
    peer.say(HEALTH)
    answer = peer.hear("GET")
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize(
    ("behave", "status"),
    [
        (silent, None),
        (half_a_head, 408),
        (a_head_in_drops, 408),
        (lines_without_end, 408),
        (empty_lines, 400),
        (half_a_body, 408),
        (a_body_in_drops, 408),
        (chunks_in_drops, 408),
        (half_a_second_head, 408),
        (nothing_further, None),
    ],
)
def test_a_slow_peer_is_given_up(impatient: Live, behave: Callable[[Peer], None], status: int | None) -> None:
    with impatient.connect() as peer:
        behave(peer)
        answer = peer.hear()
        assert (answer and answer.status) == status
        assert answer is None or answer.headers["connection"] == "close"
        assert peer.is_left()
    assert impatient.is_empty()


def test_a_refused_request_may_not_go_on_for_ever(impatient: Live) -> None:
    with impatient.connect() as peer:
        peer.say(CHUNKED + b"ffffffff\r\n" + b"x" * 100_000)
        answer = peer.hear()
        assert answer is not None
        assert answer.status == 413
        drip(peer, b"x" * 1000)
        assert peer.is_left()
    assert impatient.is_empty()


def test_a_refused_request_that_ends_in_nonsense_is_no_fault_of_ours(
    impatient: Live, caplog: pytest.LogCaptureFixture
) -> None:
    with impatient.connect() as peer:
        peer.say(CHUNKED + b"20000\r\n" + b"x" * 0x20000 + b"nonsense")
        answer = peer.hear()
        assert answer is not None
        assert answer.status == 413
        assert peer.is_left()
    assert not caplog.records


async def at_once(_: Request) -> Response:
    return Response(b"x" * 16_000_000)


async def by_and_by(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 100_000

    return StreamingResponse(pieces())


@pytest.mark.parametrize("answer", [at_once, by_and_by])
def test_a_peer_that_does_not_listen_is_left(answer: Callable[[Request], Awaitable[Response]]) -> None:
    app = Starlette(routes=[Route("/", answer)])
    with live(app, limits=SHORT) as running, running.connect() as deaf:
        deaf.say(head("GET / HTTP/1.1", HOST))
        assert deaf.hear_line() == b"HTTP/1.1 200 OK\r\n"
        assert running.is_empty()


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_peer_that_does_not_do_its_part_of_tls_is_left(bank: Bank, begin: bytes) -> None:
    app = create_app(bank.responder, SHORT)
    with live(app, tls_context(bank.authority), SHORT) as running, running.connect() as peer:
        peer.say(begin)
        while not peer.is_left():  # it may have said an alert
            pass


# --- a crowd ---


class Held(Responder):
    """Answers when it is let."""

    held = threading.Event()
    begun = threading.Semaphore(0)

    async def answer(self, request: bytes, accepted: Collection[int] | None = None) -> bytes:
        self.begun.release()
        assert await asyncio.to_thread(self.held.wait, 20)
        return await super().answer(request, accepted)


@pytest.fixture
def held(bank: Bank) -> Iterator[Held]:
    responder = Held(bank.authority, bank.book, bank.policy)
    responder.held, responder.begun = threading.Event(), threading.Semaphore(0)
    yield responder
    responder.held.set()


def test_too_many_messages_are_asked_to_come_again(held: Held) -> None:
    limits = Limits(most_messages=2)
    message = post(b"no message")
    with (
        live(create_app(held, limits), limits=limits) as running,
        running.connect() as first,
        running.connect() as second,
        running.connect() as third,
    ):
        for peer in (first, second):
            peer.say(message)
            assert held.begun.acquire(timeout=20)
        third.say(message)
        assert comes_again(third.hear())
        health = running.say(HEALTH)
        assert health is not None
        assert health.status == 200, "health is still told"
        held.held.set()
        assert all(is_answer(peer.hear()) for peer in (first, second))
        third.say(message)
        assert is_answer(third.hear()), "on the connection on which it was asked to"


def test_among_too_many_who_was_waited_for_longest_has_to_go(held: Held) -> None:
    limits = Limits(most_connections=4)
    with (
        live(create_app(held, limits), limits=limits) as running,
        running.connect() as answered,
        running.connect() as slow,
        running.connect() as idle,
    ):
        answered.say(post(b"no message"))
        assert held.begun.acquire(timeout=20)
        slow.say(post(b"x")[:-1])
        idle.say(HEALTH)
        assert idle.hear("GET") is not None
        with running.connect() as fourth, running.connect() as fifth:
            fourth.say(HEALTH)
            assert fourth.hear("GET") is not None
            fifth.say(HEALTH)
            assert fifth.hear("GET") is not None
            assert slow.is_left()
            idle.say(HEALTH)
            assert idle.hear("GET") is not None
            held.held.set()
            assert is_answer(answered.hear())


def comes_again(answer: Answer | None) -> bool:
    assert answer is not None
    return answer.status == 503 and int(answer.headers["retry-after"]) > 0


def is_answer(answer: Answer | None) -> bool:
    assert answer is not None
    return (answer.status, answer.headers["content-type"]) == (200, CONTENT_TYPE)
