"""A web server on a real socket, and peers that say exactly the bytes they are told to."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Self

from starlette.applications import Starlette

from kiosk.ca.connections import Limits
from kiosk.ca.server import Server
from kiosk.cmp.vocabulary import CONTENT_TYPE

PATH = "/.well-known/cmp"
PKIX = f"Content-Type: {CONTENT_TYPE}"
HOST = "Host: ca.invalid"
_PATIENCE = 20.0
"""Seconds after which a test gives up; nothing here takes as long."""


@dataclass
class Live:
    """A server that runs."""

    port: int
    server: Server

    def connect(self) -> Peer:
        """A peer with a new connection."""
        return Peer.connect(self.port)

    def is_empty(self) -> bool:
        """Whether every connection comes to its end."""
        give_up = time.monotonic() + _PATIENCE
        while self.server.server_state.connections and time.monotonic() < give_up:
            os.sched_yield()
        return not self.server.server_state.connections

    def say(self, said: bytes) -> Answer | None:
        """Say this on a new connection, and hear the answer."""
        with self.connect() as peer:
            peer.say(said)
            return peer.hear()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """Somebody with one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._incoming = _Kept(connection.makefile("rb", buffering=0))

    @classmethod
    def connect(cls, port: int) -> Self:
        return cls(socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._incoming.raw.close()
        self.socket.close()

    def say(self, said: bytes) -> None:
        self.socket.sendall(said)

    def hear(self, method: str = "POST") -> Answer | None:
        """The next answer; None where the server closes without one."""
        response = HTTPResponse(self, method=method)  # type: ignore[arg-type]  # all it wants is makefile
        try:
            response.begin()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (ConnectionError, ssl.SSLEOFError):
            return None

    def hear_line(self) -> bytes:
        return self._incoming.readline()

    def is_left(self) -> bool:
        """Whether the server ends the connection, having said nothing further."""
        try:
            return self._incoming.read(1) == b""
        except (ConnectionError, ssl.SSLEOFError):
            return True

    def makefile(self, _mode: str) -> io.BufferedReader:
        return self._incoming


class _Kept(io.BufferedReader):
    """Stays open, with what it has read ahead, when an answer has been heard to its end."""

    def close(self) -> None:
        pass


@contextmanager
def live(app: Starlette, tls: ssl.SSLContext | None = None, limits: Limits | None = None) -> Iterator[Live]:
    """Run a server in a thread, until the block ends."""
    listens = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = Server(app, tls, limits, on_start=listens.set)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        try:
            assert listens.wait(_PATIENCE)
            yield Live(port, server)
        finally:
            server.should_exit = True
            thread.join(_PATIENCE)
    assert not thread.is_alive()


def post(body: bytes, *headers: str, path: str = PATH, version: str = "1.1") -> bytes:
    """A request with these header fields, and the ones that are always needed."""
    return head(f"POST {path} HTTP/{version}", HOST, PKIX, f"Content-Length: {len(body)}", *headers) + body


def head(*lines: str) -> bytes:
    """The head of a request."""
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")
