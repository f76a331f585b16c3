"""The points of a visit at which something can be cut: found by recording, not by hand.

A point is wherever the kiosk touches the journal, the token or the CA: before and after each line of the journal;
before each request to a token process, while the module carries it out, and after its reply; before each exchange over
HTTP, once the CA has answered, and once the answer was read. They are watched in a process of their own, in which the
program is otherwise the program as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from kiosk.cmp import transfer
from kiosk.journal import Event, Journal
from kiosk.tokens import wire
from kiosk.tokens.process import TokenProcess

_CHANGING = (wire.MakeKeyPair, wire.WriteCertificate, wire.Relabel, wire.Remove)
"""Requests that are worth cutting while they are carried out."""


def watch(reached: Callable[[str], None]) -> None:
    """Have `reached` told the name of every point from now on, in this process."""
    _watch_journal(reached)
    _watch_tokens(reached)
    _watch_http(reached)


class _Stage:
    """The last line of the journal, by which exchanges over HTTP are called."""

    name = "begin"


def _watch_journal(reached: Callable[[str], None]) -> None:
    append = Journal.append

    def watched(self: Journal, visit: str, event: Event, *fields: str) -> None:
        reached(f"journal {event} before")
        append(self, visit, event, *fields)
        _Stage.name = event.value
        reached(f"journal {event} after")

    Journal.append = watched  # type: ignore[method-assign, assignment]


def _watch_tokens(reached: Callable[[str], None]) -> None:
    exchange, exactly = TokenProcess._exchange, TokenProcess._exactly
    under_way: dict[int, str] = {}

    async def watched(self: TokenProcess, order: wire.Order, *rest: Any) -> wire.Reply:  # noqa: ANN401
        name = type(order.request).__name__
        if isinstance(order.request, wire.FindTokens):
            return await exchange(self, order, *rest)  # the watch over the slots looks whenever its time comes
        reached(f"token {name} before")
        if isinstance(order.request, _CHANGING):
            under_way[id(self)] = name
        reply = await exchange(self, order, *rest)
        reached(f"token {name} after")
        return reply

    async def reading(self: TokenProcess, size: int) -> bytes:
        name = under_way.pop(id(self), None)
        if name:
            reached(f"token {name} under way")
        return await exactly(self, size)

    TokenProcess._exchange = watched  # type: ignore[method-assign, assignment]
    TokenProcess._exactly = reading  # type: ignore[method-assign]


def _watch_http(reached: Callable[[str], None]) -> None:
    send, read = httpx.AsyncClient.send, transfer._read_bounded

    async def watched(self: httpx.AsyncClient, *args: Any, **options: Any) -> httpx.Response:  # noqa: ANN401
        stage = _Stage.name
        reached(f"http {stage} before")
        response = await send(self, *args, **options)
        reached(f"http {stage} answered")
        return response

    async def reading(response: httpx.Response, largest: int) -> bytes:
        content = await read(response, largest)
        reached(f"http {_Stage.name} read")
        return content

    httpx.AsyncClient.send = watched  # type: ignore[method-assign]
    transfer._read_bounded = reading
