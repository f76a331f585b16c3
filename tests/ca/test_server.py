"""The CA's HTTP, byte by byte, on a real socket (RFC 9811, 9110, 9112)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h11
import httpx
import pytest

from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.connections import WholeAnswers
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.web import create_app
from kiosk.cmp.envelope import read_message
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CONTENT_TYPE, BodyType
from tests.ca.bank import Bank, new_key
from tests.ca.live import HOST, PATH, PKIX, Answer, Live, Peer, head, live, post

LARGEST = 4000
"""More than a message has, less than the server reads at once."""
CHUNKED = "Transfer-Encoding: chunked"


def question(bank: Bank) -> bytes:
    return asyncio.run(bank.write(bank.holder(), BodyType.GENM, write_general([Info(CA_CERTIFICATES)])))


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def answers(answer: Answer | None, kind: BodyType = BodyType.GENP) -> bool:
    """Whether this is what RFC 9811 §3.3 and §3.4 want of an answer."""
    assert answer is not None
    assert (answer.status, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    assert answer.headers["content-length"] == str(len(answer.body))
    return read_message(answer.body).body_type == kind


@pytest.fixture
def bank(authority: Authority, tmp_path: Path) -> Iterator[Bank]:
    with Ledger.open(tmp_path) as book:
        yield Bank(authority, book, Policy(largest_request=LARGEST))


@pytest.fixture
def server(bank: Bank) -> Iterator[Live]:
    with live(create_app(bank.responder)) as running:
        yield running


def test_an_answer_is_written_in_one_piece() -> None:
    connection = WholeAnswers(1000)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: ca\r\n\r\n")
    while connection.next_event() not in (h11.NEED_DATA, h11.PAUSED):
        pass
    head = connection.send(h11.Response(status_code=200, headers=[("Content-Length", "4")]))
    body = connection.send(h11.Data(data=b"told"))
    assert (head, connection.send(h11.EndOfMessage())) == (b"", b"")
    assert body is not None
    assert body.startswith(b"HTTP/1.1 200")
    assert body.endswith(b"\r\n\r\ntold")


def test_what_is_taken_is_answered(bank: Bank, server: Live) -> None:
    asked = question(bank)
    pieces = [asked[at : at + 100] for at in range(0, len(asked), 100)]
    begin = (f"POST {PATH} HTTP/1.1", HOST)
    rows = {
        "plain": post(asked),
        "parameters and case": head(*begin, "content-type: Application/PKIXCMP; x=y", f"content-length: {len(asked)}")
        + asked,
        "chunks": head(*begin, PKIX, CHUNKED) + chunked(*pieces),
        "identity": post(asked, "Content-Encoding: identity"),
        "what is accepted does not matter": post(asked, "Accept: text/html"),
        "a query does not matter": post(asked, path=PATH + "?x=y"),
        "an address in full": post(asked, path="http://ca.invalid" + PATH),
        "escaped letters": post(asked, path="/.well-known/%63mp"),
        "HTTP/1.0": post(asked, version="1.0"),
    }
    assert {name for name, said in rows.items() if answers(server.say(said))} == set(rows)


REFUSALS: dict[str, tuple[bytes, int]] = {
    "no content type": (head(f"POST {PATH} HTTP/1.1", HOST, "Content-Length: 1") + b"x", 415),
    "another content type": (head(f"POST {PATH} HTTP/1.1", HOST, "Content-Type: text/xml", "Content-Length: 0"), 415),
    "the type of old drafts": (
        head(f"POST {PATH} HTTP/1.1", HOST, f"{PKIX}-poll", "Content-Length: 0"),
        415,
    ),
    "compressed": (post(b"x", "Content-Encoding: gzip"), 415),
    "declared too large": (post(b"x" * (LARGEST + 1)), 413),
    "declared far too large and not sent": (
        head(f"POST {PATH} HTTP/1.1", HOST, PKIX, "Content-Length: 99999999999999999999"),
        413,
    ),
    "too large for a number": (head(f"POST {PATH} HTTP/1.1", HOST, PKIX, f"Content-Length: {'9' * 100}"), 400),
    "too large, in chunks": (
        head(f"POST {PATH} HTTP/1.1", HOST, PKIX, CHUNKED) + chunked(*[b"x" * 100] * (LARGEST // 100 + 1)),
        413,
    ),
    "too large, in chunks without end": (
        head(f"POST {PATH} HTTP/1.1", HOST, PKIX, CHUNKED) + b"ffffff\r\n" + b"x" * (LARGEST + 1),
        413,
    ),
    "a length that is none": (head(f"POST {PATH} HTTP/1.1", HOST, PKIX, "Content-Length: x"), 400),
    "a negative length": (head(f"POST {PATH} HTTP/1.1", HOST, PKIX, "Content-Length: -1"), 400),
    "two lengths": (head(f"POST {PATH} HTTP/1.1", HOST, PKIX, "Content-Length: 1", "Content-Length: 2") + b"x", 400),
    "a length and chunks": (
        head(f"POST {PATH} HTTP/1.1", HOST, PKIX, "Content-Length: 1", CHUNKED) + chunked(b"x"),
        400,
    ),
    "chunks in HTTP/1.0": (head(f"POST {PATH} HTTP/1.0", HOST, PKIX, CHUNKED) + chunked(b"x"), 400),
    "another coding": (head(f"POST {PATH} HTTP/1.1", HOST, PKIX, "Transfer-Encoding: gzip"), 501),
    "a chunk that is none": (head(f"POST {PATH} HTTP/1.1", HOST, PKIX, CHUNKED) + b"x\r\n", 400),
    "no host": (head(f"POST {PATH} HTTP/1.1", PKIX, "Content-Length: 0"), 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a line folded": (head(f"POST {PATH} HTTP/1.1", HOST, "X: y", " z", "Content Type: x"), 400),
    "a head too large": (head(f"POST {PATH} HTTP/1.1", HOST, f"X: {'y' * 20_000}"), 431),
    "a head without end": (b"POST / HTTP/1.1\r\nX: " + b"y" * 20_000, 431),
    "a line too large": (b"POST /" + b"y" * 20_000, 431),
    "GET": (head(f"GET {PATH} HTTP/1.1", HOST), 405),
    "PUT": (head(f"PUT {PATH} HTTP/1.1", HOST, PKIX, "Content-Length: 0"), 405),
    "OPTIONS": (head(f"OPTIONS {PATH} HTTP/1.1", HOST), 405),
    "a method unheard of": (head(f"RENEW {PATH} HTTP/1.1", HOST), 405),
    "elsewhere": (post(b"x", path="/"), 404),
    "out of the root": (post(b"x", path="/../../etc/passwd"), 404),
    "a proxy's method": (head("CONNECT ca.invalid:443 HTTP/1.1", HOST), 404),
    "another protocol": (head("GET / HTTP/1.1", HOST, "Connection: Upgrade", "Upgrade: websocket"), 404),
    "POST to health": (head("POST /health HTTP/1.1", HOST, "Content-Length: 0"), 405),
}


def test_what_is_refused_has_its_status_and_no_words(server: Live) -> None:
    heard = {name: server.say(said) for name, (said, _) in REFUSALS.items()}
    assert {name: answer and answer.status for name, answer in heard.items()} == {
        name: status for name, (_, status) in REFUSALS.items()
    }
    for name, answer in heard.items():
        assert answer is not None
        assert answer.headers.get("content-type") != CONTENT_TYPE, name
        assert len(answer.body) < 30, name
        if answer.status == 405:
            allowed = {method.strip() for method in answer.headers["allow"].split(",")}
            assert allowed == ({"GET", "HEAD"} if "health" in name else {"POST"}), name


def test_what_is_refused_does_not_keep_the_next_from_being_answered(bank: Bank, server: Live) -> None:
    """On the same connection, where the request's end is known."""
    asked = question(bank)
    with server.connect() as peer:
        for body, header, status in ((b"x" * (LARGEST + 1), PKIX, 413), (b"x" * LARGEST, "Content-Type: x/y", 415)):
            peer.say(head(f"POST {PATH} HTTP/1.1", HOST, header, f"Content-Length: {len(body)}") + body)
            refused = peer.hear()
            assert refused is not None
            assert refused.status == status
        peer.say(post(asked))
        assert answers(peer.hear())


def test_a_length_that_lies(bank: Bank, server: Live) -> None:
    asked = question(bank)
    with server.connect() as peer:
        short = head(f"POST {PATH} HTTP/1.1", HOST, PKIX, f"Content-Length: {len(asked) - 1}")
        peer.say(short + asked)
        assert answers(peer.hear(), BodyType.ERROR)
        assert peer.is_left(), "and the rest is not taken for a request"


def test_one_connection_carries_many_messages(bank: Bank, server: Live) -> None:
    with server.connect() as peer:
        for _ in range(5):
            peer.say(post(question(bank)))
            assert answers(peer.hear())
        peer.say(b"".join(post(question(bank)) for _ in range(3)))
        assert all(answers(peer.hear()) for _ in range(3)), "also without waiting for the answers"
        peer.say(post(question(bank), "Connection: close"))
        assert answers(peer.hear())
        assert peer.is_left()


def test_http_1_0_is_answered_once(bank: Bank, server: Live) -> None:
    with server.connect() as peer:
        peer.say(post(question(bank), version="1.0"))
        answer = peer.hear()
        assert answers(answer)
        assert peer.is_left()


def test_the_connection_ends_with_an_error(server: Live) -> None:
    """RFC 9811 §5 item 1."""
    with server.connect() as peer:
        peer.say(post(b"no message"))
        answer = peer.hear()
        assert answers(answer, BodyType.ERROR)
        assert answer is not None
        assert answer.headers["connection"] == "close"
        assert peer.is_left()


def test_a_peer_that_wants_to_be_told_to_go_on_is(bank: Bank, server: Live) -> None:
    asked = question(bank)
    with server.connect() as peer:
        peer.say(post(asked, "Expect: 100-continue")[: -len(asked)])
        assert peer.hear_line().startswith(b"HTTP/1.1 100")
        while peer.hear_line() != b"\r\n":
            pass
        peer.say(asked)
        assert answers(peer.hear())
    huge = head(f"POST {PATH} HTTP/1.1", HOST, PKIX, f"Content-Length: {LARGEST + 1}", "Expect: 100-continue")
    refused = server.say(huge)
    assert refused is not None
    assert refused.status == 413, "or not to"


def test_nothing_waits_for_the_rest_of_a_packet(bank: Bank) -> None:
    """An answer has head and body, which without TCP_NODELAY would be 40 ms apart."""
    app = create_app(bank.responder)
    with live(app) as running, running.connect() as peer:
        peer.say(post(question(bank)))
        assert answers(peer.hear())
        (connection,) = running.server.server_state.connections
        served: socket.socket = connection.transport.get_extra_info("socket")
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_many_at_once_get_one_certificate_each(bank: Bank) -> None:
    holders = [bank.holder(name=f"HOLDER{number}") for number in range(10)]
    keys = [new_key() for _ in holders]
    asked = [bank.client.update(holder, key) for holder, key in zip(holders, keys, strict=True) for _ in range(3)]
    issued = await asyncio.gather(*asked)
    assert len({each.certificate.fingerprint for each in issued}) == len(holders)
    await asyncio.gather(*(bank.client.confirm(each) for each in issued))
    assert (bank.issued(), bank.rows()) == (2 * len(holders), len(holders))


async def test_health_is_that_of_the_ledger(bank: Bank) -> None:
    well = await bank.http.get("http://ca.invalid/health")
    assert (well.status_code, well.json()) == (200, {"status": "ok"})
    with bank.book.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE certificates RENAME TO elsewhere")
    ill = await bank.http.get("http://ca.invalid/health")
    assert (ill.status_code, "Retry-After" in ill.headers) == (503, True)


# --- the process ---


@contextmanager
def process(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`kiosk ca serve`, and its port."""
    command = [sys.executable, "-P", "-m", "kiosk.ca", "serve", "--directory", str(directory), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield running, httpx.URL(json.loads(running.stdout.readline())["url"]).port or 0
        finally:
            running.kill()


def test_a_server_that_is_told_to_stop_answers_what_it_has_begun(tmp_path: Path) -> None:
    create_authority(tmp_path / "ca")
    with process(tmp_path / "ca", "--http") as (running, port):
        begun = post(b"x" * 10)
        with Peer.connect(port) as peer:
            peer.say(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + begun[:-1])
            health = peer.hear("GET")
            assert health is not None
            assert health.status == 200, "so what follows on this connection has come, too"
            running.send_signal(signal.SIGTERM)
            _wait_until_refused(port)
            peer.say(begun[-1:])
            assert answers(peer.hear(), BodyType.ERROR)
            assert peer.is_left()
        out, err = running.communicate(timeout=20)
        assert (running.returncode, out, err) == (0, "", "")
        with process(tmp_path / "ca", "--http", "--port", str(port)) as (again, same_port):
            assert same_port == port, "at once, although a connection of it was closed by the server just now"
            again.send_signal(signal.SIGINT)
            assert again.wait(timeout=20) == 0


def _wait_until_refused(port: int) -> None:
    """Returns once nobody is let in any more."""
    for _ in range(100_000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=20).close()
        except ConnectionRefusedError:
            return
    raise AssertionError("it still lets people in")


def test_a_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    create_authority(tmp_path / "ca")
    command = [sys.executable, "-P", "-m", "kiosk.ca", "serve", "--directory", str(tmp_path / "ca")]
    reading, writing = os.pipe()
    with subprocess.Popen([*command, "--until-stdin-closes"], stdin=reading, stdout=subprocess.PIPE) as running:
        os.close(reading)
        try:
            assert running.stdout is not None
            assert b"https://127.0.0.1:" in running.stdout.readline()
            os.close(writing)
            assert running.wait(timeout=20) == 0
        finally:
            running.kill()
