"""The CA as a process: CMP over HTTPS on this machine (RFC 9811)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kiosk.ca.authority import Authority
from kiosk.ca.responder import Responder
from kiosk.cmp.vocabulary import CONTENT_TYPE

PATH = "/.well-known/cmp"
_LOOPBACK = "127.0.0.1"
_GRACEFUL_SECONDS = 2
_BODY_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 5
_MOST_CONNECTIONS = 200
"""Beyond which HTTP 503 is answered; far more than one CA process can serve at once."""


def create_app(responder: Responder, *, body_seconds: float = _BODY_SECONDS) -> Starlette:
    """The web application: one endpoint under its plain and its labelled paths (RFC 9811 §3.4), and `/health`.

    Args:
        responder: Answers the messages.
        body_seconds: How long a request may take to arrive, once its header has.
    """

    async def cmp(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
            return Response(status_code=415)
        try:
            async with asyncio.timeout(body_seconds):
                body = await _read_bounded(request, responder.policy.largest_request)
        except TimeoutError:
            return Response(status_code=408, headers={"Connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)
        # The server ends, and nothing of this message has been taken up; uvicorn would log it as a fault.
        except asyncio.CancelledError:
            return Response(status_code=503)
        if body is None:
            return Response(status_code=413)
        return Response(await responder.answer(body), media_type=CONTENT_TYPE)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    app = Starlette(
        routes=[
            Route(PATH, cmp, methods=["POST"]),
            Route(PATH + "/p/{label}", cmp, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ]
    )
    # A redirect would be to whatever host the request claims.
    app.router.redirect_slashes = False
    return app


def serve(responder: Responder, authority: Authority, port: int, *, http: bool, until_stdin_closes: bool) -> None:
    """Serve on the loopback address until told to stop; says in one line of JSON when and where.

    Args:
        responder: Answers the messages.
        authority: Holds the TLS certificate and its key.
        port: 0 takes a free one.
        http: Without TLS.
        until_stdin_closes: End with whoever holds the other end of standard input, however that one ends.

    Raises:
        OSError: the port cannot be had.
    """
    with socket.create_server((_LOOPBACK, port)) as listening:
        config = configure(create_app(responder), None if http else authority)
        real_port = listening.getsockname()[1]
        url = f"{'http' if http else 'https'}://{_LOOPBACK}:{real_port}{PATH}"
        server = _Server(config, url, until_stdin_closes=until_stdin_closes)
        asyncio.run(server.serve(sockets=[listening]))


def configure(app: Starlette, authority: Authority | None) -> uvicorn.Config:
    """How the web server behaves; without an authority, whose TLS certificate it shows, it speaks plain HTTP."""
    return uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="off",
        server_header=False,
        ssl_certfile=None if authority is None else authority.tls_certificate,
        ssl_keyfile=None if authority is None else authority.tls_key,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        limit_concurrency=_MOST_CONNECTIONS,
        ws="none",
    )


class _Server(uvicorn.Server):
    """Announces itself, and stops at signals without dying of them."""

    def __init__(self, config: uvicorn.Config, url: str, *, until_stdin_closes: bool) -> None:
        super().__init__(config)
        self._url = url
        self._until_stdin_closes = until_stdin_closes

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        if self._until_stdin_closes:
            threading.Thread(target=self._watch_stdin, args=(loop,), daemon=True).start()
        sys.stdout.write(json.dumps({"url": self._url, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing: signals are handled by the loop, and the process ends with status 0."""
        yield

    def _stop(self) -> None:
        self.should_exit = True

    def _watch_stdin(self, loop: asyncio.AbstractEventLoop) -> None:
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop may have ended first
            loop.call_soon_threadsafe(self._stop)


async def _read_bounded(request: Request, largest: int) -> bytes | None:
    """The body, or None as soon as it is known to be too large."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > largest:
        return None
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > largest:
            return None
    return bytes(body)
