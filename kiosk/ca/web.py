"""CMP over HTTP as a web application (RFC 9811): what is no CMP message is refused in HTTP's own words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kiosk.ca import bodies
from kiosk.ca.connections import Limits
from kiosk.ca.ledger import LedgerAway
from kiosk.ca.paths import accepted_at
from kiosk.ca.responder import Responder
from kiosk.ca.status import StatusService
from kiosk.ca.status_web import status_routes
from kiosk.cmp.envelope import read_body_type, read_message
from kiosk.cmp.status import read_error
from kiosk.cmp.vocabulary import CONTENT_TYPE, BodyType, Status


def create_app(responder: Responder, limits: Limits | None = None, status: StatusService | None = None) -> Starlette:
    """The web application: every path of RFC 9811 §3.6 that the CA has, those of OCSP and CRL, and `/health`.

    Args:
        responder: Answers the messages.
        limits: How long a body may take, and how many messages may be under way.
        status: Tells of certificates; without it nobody is told here.
    """
    limits = limits or Limits()
    desk = _Desk(responder, limits)
    paths = accepted_at(responder.policy.profiles).items()
    routes = [Route(path, desk.endpoint(accepted), methods=["POST"]) for path, accepted in paths]
    routes.append(Route("/health", desk.health, methods=["GET"]))
    return _app([*routes, *(status_routes(status, limits) if status else ())], limits)


def create_status_app(status: StatusService, limits: Limits | None = None) -> Starlette:
    """OCSP and CRL, and nothing else: for a port of its own, without TLS."""
    limits = limits or Limits()
    return _app(status_routes(status, limits), limits)


def _app(routes: Sequence[BaseRoute], limits: Limits) -> Starlette:
    app = Starlette(routes=routes, middleware=[Middleware(_Gate, limits.largest_head)])
    # A redirect would be to whatever host the request claims.
    app.router.redirect_slashes = False
    return app


class _Gate:
    """Lets in requests whose head leaves no doubt (RFC 9112)."""

    def __init__(self, app: ASGIApp, largest_head: int) -> None:
        self._app = app
        self._largest_head = largest_head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refusal(scope)
        if refused is not None:
            await Response(status_code=refused, headers=bodies.CLOSE)(scope, receive, send)
            return
        # An address in full, which every server has to take (RFC 9112 §3.2.2).
        scheme, found, rest = scope["path"].partition("://")
        if found and scheme.lower() in ("http", "https"):
            scope["path"] = "/" + rest.partition("/")[2]
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> int | None:
        names = {name for name, _ in scope["headers"]}
        if scope["http_version"] not in ("1.0", "1.1"):
            return 505
        # The server below bounds a head that comes in pieces; this is for one that came at once.
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self._largest_head:
            return 431
        # Two ideas of where the request ends: somebody on the way may have the other one (RFC 9112 §6.1).
        if b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] == "1.0"):
            return 400
        return None


class _Desk:
    """Takes in messages, as many as can be answered soon."""

    def __init__(self, responder: Responder, limits: Limits) -> None:
        self._responder = responder
        self._limits = limits
        self._under_way = 0

    def endpoint(self, accepted: Collection[int] | None) -> Callable[[Request], Awaitable[Response]]:
        """One path that takes these body types, None for all of them."""

        async def cmp(request: Request) -> Response:
            largest = self._responder.policy.largest_request
            body = await bodies.take(request, CONTENT_TYPE, seconds=self._limits.body_seconds, largest=largest)
            if isinstance(body, Response):
                return body
            return await self._answer(body, accepted)

        return cmp

    async def health(self, _: Request) -> Response:
        """Whether the CA can work: 200, or 503 where its ledger does not answer."""
        if await self._responder.is_able():
            return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})
        return JSONResponse({"status": "the ledger does not answer"}, status_code=503, headers=bodies.COME_AGAIN)

    async def _answer(self, body: bytes, accepted: Collection[int] | None) -> Response:
        if self._under_way >= self._limits.most_messages:
            return Response(status_code=503, headers=bodies.COME_AGAIN)
        self._under_way += 1
        try:
            answer = await self._responder.answer(body, accepted)
        except LedgerAway:
            return Response(status_code=503, headers=bodies.COME_AGAIN)
        finally:
            self._under_way -= 1
        return Response(answer, media_type=CONTENT_TYPE, headers=bodies.CLOSE if _is_final_error(answer) else None)


def _is_final_error(answer: bytes) -> bool:
    """Whether the connection should be closed after this answer (RFC 9811 §5 item 1)."""
    if read_body_type(answer) != BodyType.ERROR:
        return False
    return read_error(read_message(answer).body).status != Status.WAITING
