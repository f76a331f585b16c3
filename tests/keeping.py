"""A way on which connections are kept between exchanges, as a kiosk keeps them, until the far end drops one.

A server ends what is idle, a firewall forgets it; the kiosk learns of that before its next request, as it sends it, or
never.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit

from tests.cutting import HANG_UP


class Parting(Enum):
    """How a connection goes on which nothing was going on."""

    CLOSE = "closed"
    RESET = "reset"
    CROSS = "closed just as the request comes"
    """The request has gone out, and nobody has read it."""
    FORGET = "forgotten"
    """What is sent on it is lost, and nobody is told."""


@dataclass(frozen=True)
class Drop:
    """Before the exchange with this number, counted from 0; the first one has no connection yet."""

    before: int
    parting: Parting


@dataclass(eq=False)
class _Connection:
    kiosk: asyncio.StreamWriter
    ca: asyncio.StreamWriter
    parting: Parting | None = None
    """What becomes of it at the next byte of the kiosk's."""

    async def end(self, *, hard: bool) -> None:
        """Gone when this returns, for the kiosk as well."""
        if hard:
            self.kiosk.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HANG_UP)
            self.kiosk.transport.abort()
        self.ca.close()
        self.kiosk.close()
        with suppress(OSError):
            await self.kiosk.wait_closed()


@dataclass
class KeptWay:
    """The proxy; whoever asks tells it of each exchange before it begins."""

    upstream: tuple[str, int]
    drop: Drop | None = None
    url: str = ""
    exchanges: list[str] = field(default_factory=list)
    connections: int = 0
    """How many there were."""
    _open: list[_Connection] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_done(self) -> bool:
        """Whether the connection was dropped."""
        return self.drop is None

    async def announce(self, exchange: str) -> bool:
        """This one begins now, and none is under way; answers whether something is to befall it."""
        number = len(self.exchanges)
        self.exchanges.append(exchange)
        if self.drop is None or number != self.drop.before:
            return False
        (idle,) = self._open
        if self.drop.parting in (Parting.CLOSE, Parting.RESET):
            await idle.end(hard=self.drop.parting is Parting.RESET)
            self.drop = None
            return False
        idle.parting = self.drop.parting
        return True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the kiosk's."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        ca_reader, ca_writer = await asyncio.open_connection(*self.upstream)
        connection = _Connection(writer, ca_writer)
        self.connections += 1
        self._open.append(connection)
        ways = (self._to_ca(connection, reader), _pass_on(ca_reader, writer))
        with suppress(asyncio.CancelledError):  # by `end`; asyncio's servers complain of a task that ends as cancelled
            await asyncio.gather(*ways, return_exceptions=True)
        self._open.remove(connection)
        await connection.end(hard=False)

    async def _to_ca(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(4096):
            if connection.parting:
                self.drop = None
                if connection.parting is Parting.FORGET:
                    await asyncio.Event().wait()  # until this way is ended
                await connection.end(hard=False)
                return
            connection.ca.write(data)
            await connection.ca.drain()
        connection.ca.close()

    async def end(self) -> None:
        """Let go of what was forgotten."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def kept_way(url: str, drop: Drop | None = None) -> AsyncIterator[KeptWay]:
    """Such a proxy before the CA at `url`, on this machine."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    way = KeptWay((parts.hostname, parts.port), drop)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    way.url = parts._replace(netloc=f"{parts.hostname}:{server.sockets[0].getsockname()[1]}").geturl()
    try:
        yield way
    finally:
        server.close()
        await way.end()


def drops_of(exchanges: list[str]) -> list[Drop]:
    """Every way to part, before every exchange that a visit without any has shown."""
    return [Drop(number, parting) for number in range(1, len(exchanges)) for parting in Parting]
