"""The CA as a process: CMP over HTTPS on this machine (RFC 9811)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack

import uvicorn
from starlette.applications import Starlette

from kiosk.ca.authority import Authority
from kiosk.ca.connections import BoundedConnection, Limits
from kiosk.ca.paths import WELL_KNOWN
from kiosk.ca.responder import Responder
from kiosk.ca.status import StatusService
from kiosk.ca.web import create_app, create_status_app

_LOOPBACK = "127.0.0.1"
_UNTIL_A_SEARCH = 10_000
"""Objects made and not given back; an answer leaves behind a few hundred."""
_CIPHERS_OF_TLS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Forward secret and authenticated, nothing else (RFC 9325 §4.2)."""


def serve(
    responder: Responder,
    status: StatusService,
    port: int,
    *,
    http: bool,
    status_port: int | None = None,
    until_stdin_closes: bool,
) -> None:
    """Serve on the loopback address until told to stop; says in one line of JSON when and where.

    A message that is being answered then still is; nobody else is let in. OCSP and CRL are told at the same port, and
    at another one without TLS where that is wanted.

    Args:
        responder: Answers the messages.
        status: Answers who asks whether a certificate is revoked; its authority has the TLS certificate and its key.
        port: 0 takes a free one.
        http: Without TLS.
        status_port: Where OCSP and CRL are told without TLS; 0 takes a free one, None has none.
        until_stdin_closes: End with whoever holds the other end of standard input, however that one ends.

    Raises:
        OSError: a port cannot be had.
    """
    with ExitStack() as opened:
        listening = opened.enter_context(socket.create_server((_LOOPBACK, port)))
        own = _url(listening, http=http)
        told = {"url": own + WELL_KNOWN, "pid": os.getpid(), "status": own}
        tls = None if http else tls_context(status.authority)
        servers = {Server(create_app(responder, status=status), tls, on_start=lambda: begin()): listening}
        if status_port is not None:
            beside = opened.enter_context(socket.create_server((_LOOPBACK, status_port)))
            servers[Server(create_status_app(status), None)] = beside
            told["status"] = _url(beside, http=True)

        def begin() -> None:
            _stop_when_told(list(servers), until_stdin_closes=until_stdin_closes)
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()

        _spare_what_stays()
        asyncio.run(_serve_all(servers, status))


def _spare_what_stays() -> None:
    """Have the search for garbage pass over what was loaded, and be made less often: each costs the answer it is in."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_UNTIL_A_SEARCH, *gc.get_threshold()[1:])


async def _serve_all(servers: Mapping[Server, socket.socket], status: StatusService) -> None:
    keeper = asyncio.create_task(status.keep())
    try:
        async with asyncio.TaskGroup() as group:
            for server, listening in servers.items():
                group.create_task(server.serve(sockets=[listening]))
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])


def _url(listening: socket.socket, *, http: bool) -> str:
    return f"{'http' if http else 'https'}://{_LOOPBACK}:{listening.getsockname()[1]}"


def tls_context(authority: Authority) -> ssl.SSLContext:
    """TLS 1.2 or 1.3 by the authority's TLS certificate.

    Raises:
        OSError: certificate or key cannot be read, or (`ssl.SSLError`) do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_CIPHERS_OF_TLS_1_2)
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(authority.tls_certificate, authority.tls_key, authority.passphrase.secret)
    return context


class Server(uvicorn.Server):
    """The web server, with bounds for its peers. `should_exit = True` stops it."""

    def __init__(
        self,
        app: Starlette,
        tls: ssl.SSLContext | None,
        limits: Limits | None = None,
        *,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a server.

        Args:
            app: Answers requests.
            tls: None for plain HTTP.
            limits: Of its connections.
            on_start: Called in its loop once it listens.
        """
        self._limits = limits or Limits()
        self._tls = tls
        self._on_start = on_start
        super().__init__(_configure(app, self._limits))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on these sockets."""
        await super().startup([])
        loop = asyncio.get_running_loop()
        handshake = None if self._tls is None else self._limits.handshake_seconds
        for each in sockets or []:
            listener = await loop.create_server(
                self._connection, sock=each, ssl=self._tls, ssl_handshake_timeout=handshake
            )
            self.servers.append(listener)
        self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing: signals are handled by the loop, and the process ends with status 0."""
        yield

    def _connection(self) -> BoundedConnection:
        return BoundedConnection(self.config, self.server_state, self.lifespan.state, self._limits)


def _configure(app: Starlette, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        access_log=False,
        lifespan="off",
        log_level="error",  # what peers do wrong is their affair
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=limits.graceful_seconds,
        timeout_keep_alive=limits.keep_alive_seconds,
        ws="none",
    )


def _stop_when_told(servers: Sequence[Server], *, until_stdin_closes: bool) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    def watch_stdin() -> None:
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop may have ended first
            loop.call_soon_threadsafe(stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if until_stdin_closes:
        threading.Thread(target=watch_stdin, daemon=True).start()
