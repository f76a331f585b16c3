"""One connection to the CA, which no peer can hold by being slow (RFC 9811 §5 item 1).

The web server underneath lets a connection wait for a request's head, for the rest of a body that nobody wants, and for
a peer that does not read, as long as the peer likes. Here each of these has an end, and a crowd has one too.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a peer may take for each part of an exchange, and how many may be there."""

    handshake_seconds: float = 5.0
    """For TLS."""
    head_seconds: float = 10.0
    """Until a request's head is whole, from the connection's begin or from the answer before."""
    body_seconds: float = 10.0
    """Until a request's body is whole, from its head."""
    answer_seconds: float = 30.0
    """Until an answer has gone out, from the request's head: for peers that do not read."""
    linger_seconds: float = 2.0
    """How long a peer whose request was refused may go on sending it: closing at once could destroy the refusal."""
    farewell_seconds: float = 0.5
    """How long the end of the server waits for peers to take leave, as TLS wants it."""
    keep_alive_seconds: int = 5
    """Until the next request begins, from the answer before."""
    graceful_seconds: int = 2
    """How long the end of the server waits for requests that are on their way."""
    largest_head: int = 16 * 1024
    """Bytes of a request's line and header fields."""
    most_connections: int = 400
    """Beyond which the peer that has been waited for longest has to go."""
    most_messages: int = 100
    """Under way at once; whoever comes on top is asked to come again."""


class WholeAnswers(h11.Connection):
    """HTTP whose answers go out in one piece: a head of its own would wake the peer for nothing."""

    def __init__(self, largest_head: int) -> None:
        """`largest_head` in bytes, of a request."""
        super().__init__(h11.SERVER, largest_head)
        self._head: list[bytes] = []

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """What is to be written for this event; a head comes with what follows it."""
        parts = super().send_with_data_passthrough(event)
        if isinstance(event, h11.Response):
            self._head, parts = parts or [], []
        elif parts is not None:
            self._head, parts = [], self._head + parts
        return parts


class BoundedConnection(H11Protocol):
    """A connection of the web server that ends when its peer does not do its part in time."""

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], limits: Limits
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.conn = WholeAnswers(limits.largest_head)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the class above
        """Begin to wait for the first request, at somebody else's expense where there are too many."""
        super().connection_made(transport)
        # asyncio does so only where the listening socket was made with its protocol named. Without it a second answer
        # could wait 40 ms for the first to be acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._begin(self._limits.head_seconds, self._give_up_head)
        if len(self.connections) > self._limits.most_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def handle_events(self) -> None:
        """Take up what came; a request that begins has its own time."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._begin(self._limits.answer_seconds, self.transport.abort)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, or for the end of one that was refused."""
        answered = self.cycle
        super().on_response_complete()
        if self.cycle is not answered:
            return
        if self.transport.is_closing() or self.conn.their_state is h11.SEND_BODY:
            self._begin(self._limits.linger_seconds, self.transport.abort)
        else:
            self._begin(self._limits.head_seconds, self._give_up_head)

    def shutdown(self) -> None:
        """The server ends: let go of a peer that nothing is owed."""
        super().shutdown()
        if self.transport.is_closing():
            self._begin(self._limits.farewell_seconds, self.transport.abort)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002, the parser has a better reason
        """Refuse what is no HTTP, by the reason of the parser: 431 for a head too large, 501 for an unknown coding."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else HTTPStatus.BAD_REQUEST
        self._refuse(HTTPStatus(status))

    @property
    def _waits(self) -> bool:
        """Whether it is the peer's turn."""
        return self.cycle is None or self.cycle.more_body or self.cycle.response_complete

    def _begin(self, seconds: float, at_end: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._since = self.loop.time()
        self._timer = self.loop.call_later(seconds, at_end)

    def _make_room(self) -> None:
        waiting = [each for each in self.connections if isinstance(each, BoundedConnection) and each._waits]
        min(waiting, key=lambda each: each._since).transport.abort()

    def _give_up_head(self) -> None:
        if self.conn.trailing_data[0]:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._close()

    def _refuse(self, status: HTTPStatus) -> None:
        """Say no without asking the application, if the answer to this request has not begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [("Content-Length", "0"), ("Connection", "close")]
            reason = status.phrase.encode()
            for event in (h11.Response(status_code=status, headers=headers, reason=reason), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._begin(self._limits.linger_seconds, self.transport.abort)
