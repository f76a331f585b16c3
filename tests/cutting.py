"""A way on which an exchange is cut: a TCP proxy that stops, waits, drips, closes, resets or flips at one place.

It takes what passes apart as it passes: TLS into records, plain HTTP into its parts. So a place is named by what stands
there and not by a number, and is the same in every exchange of a kind.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit

_RECORD_HEAD = 5
HANG_UP = struct.pack("ii", 1, 0)
"""SO_LINGER that has `close` send RST."""
HELD_UP = 0.3
"""Seconds."""

CASES: Counter[str] = Counter()
"""How many cases of each table were run, and lost, in this process; `tests/conftest.py` tells it at the end."""


@contextmanager
def counted(table: str) -> Iterator[None]:
    """One more case of this table, which is lost where anything is raised."""
    CASES[f"{table}: cases run"] += 1
    CASES[f"{table}: lost"] += 1  # until it has ended as it has to
    yield
    CASES[f"{table}: lost"] -= 1


class Toward(Enum):
    """Whose bytes they are: those toward the CA are the kiosk's."""

    CA = "to the CA"
    KIOSK = "to the kiosk"


class Place(Enum):
    """Where in a part."""

    FIRST = "before its first byte"
    MIDDLE = "in its middle"
    LAST = "before its last byte"
    AFTER = "after its last byte"

    def within(self, size: int) -> int:
        """How many bytes of it have passed."""
        return {Place.FIRST: 0, Place.MIDDLE: size // 2, Place.LAST: max(0, size - 1), Place.AFTER: size}[self]


class Fault(Enum):
    """What happens there."""

    STALL = "stalls"
    """Nothing passes any more, and nobody is told."""
    DRIP = "drips"
    """The part passes byte by byte."""
    PAUSE = "holds up"
    """Nothing passes for a moment, which is well within the time there is; then the rest does."""
    CLOSE = "closes"
    RESET = "resets"
    FLIP = "flips"
    """The next byte passes with a bit that is another."""


@dataclass(frozen=True)
class Cut:
    """One fault in one exchange."""

    exchange: str
    toward: Toward
    part: str
    place: Place
    fault: Fault

    def __str__(self) -> str:
        return f"{self.exchange}, {self.toward.value}: {self.fault.value} {self.part} {self.place.value}"


@dataclass
class _Connection:
    """From the kiosk to the CA and back."""

    exchange: str
    kiosk: asyncio.StreamWriter
    ca: asyncio.StreamWriter

    def end(self, *, hard: bool) -> None:
        for writer in (self.kiosk, self.ca):
            if hard:
                with suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HANG_UP)
                writer.transport.abort()
            else:
                writer.close()


@dataclass
class CutWay:
    """The proxy; what is on it is `exchange`, which whoever asks has to tell, and each exchange has its connection."""

    upstream: tuple[str, int]
    tls: bool
    cut: Cut | None = None
    exchange: str = ""
    seen: dict[tuple[str, Toward], list[str]] = field(default_factory=dict)
    """The parts of each exchange, in order."""
    url: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_done(self) -> bool:
        """Whether the fault has happened."""
        return self.cut is None

    async def announce(self, exchange: str) -> bool:
        """What is on the way from now on; answers whether it is what is to be cut."""
        self.exchange = exchange
        return self.cut is not None and self.cut.exchange == exchange

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the kiosk's."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            ca_reader, ca_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self.exchange, writer, ca_writer)
        ways = (
            self._pass_on(connection, Toward.CA, reader, ca_writer),
            self._pass_on(connection, Toward.KIOSK, ca_reader, writer),
        )
        with suppress(asyncio.CancelledError):  # by `end`; asyncio's servers complain of a task that ends as cancelled
            await asyncio.gather(*ways, return_exceptions=True)
        connection.end(hard=False)

    async def _pass_on(
        self, connection: _Connection, toward: Toward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        parts = self.seen.setdefault((connection.exchange, toward), [])
        numbers: Counter[str] = Counter()
        async for kind, data in _records(reader) if self.tls else _http_parts(reader):
            numbers[kind] += 1
            name = f"{kind} {numbers[kind]}" if self.tls else kind
            if name not in parts:
                parts.append(name)
            cut = self.cut
            if cut and (cut.exchange, cut.toward, cut.part) == (connection.exchange, toward, name):
                self.cut = None
                if not await _spoil(cut, data, connection, writer):
                    return
            else:
                writer.write(data)
                await writer.drain()
        writer.write_eof() if writer.can_write_eof() else writer.close()

    async def end(self) -> None:
        """Let go of what stalls."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _spoil(cut: Cut, data: bytes, connection: _Connection, writer: asyncio.StreamWriter) -> bool:
    """Whether anything passes after that."""
    at = cut.place.within(len(data))
    if cut.fault is Fault.DRIP:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        return True
    if cut.fault is Fault.FLIP:
        writer.write(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        await writer.drain()
        return True
    writer.write(data[:at])
    with suppress(ConnectionError):
        await writer.drain()
    if cut.fault is Fault.PAUSE:
        await asyncio.sleep(HELD_UP)  # it is what is to happen
        writer.write(data[at:])
        await writer.drain()
        return True
    if cut.fault is Fault.STALL:
        await asyncio.Event().wait()  # until this way is ended
    connection.end(hard=cut.fault is Fault.RESET)
    return False


async def _records(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    """TLS records (RFC 8446 §5.1), by what the head says they are."""
    kinds = {20: "change", 21: "alert", 22: "handshake", 23: "sealed"}
    while True:
        try:
            head = await reader.readexactly(_RECORD_HEAD)
            yield kinds.get(head[0], "unknown"), head + await reader.readexactly(int.from_bytes(head[3:], "big"))
        except asyncio.IncompleteReadError as rest:
            if rest.partial:
                yield "rest", rest.partial
            return


async def _http_parts(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    """One message: its first line, its headers, the empty line below them, its body."""
    try:
        yield "the first line", await reader.readuntil(b"\r\n")
        headers = await reader.readuntil(b"\r\n\r\n")
        yield "the headers", headers[:-2]
        yield "the empty line", headers[-2:]
        lengths = [line for line in headers.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        yield "the body", await reader.readexactly(int(lengths[0].partition(b":")[2]))
    except asyncio.IncompleteReadError as rest:
        if rest.partial:
            yield "rest", rest.partial
        return
    while data := await reader.read(4096):
        yield "more", data


@asynccontextmanager
async def cut_way(url: str, cut: Cut | None = None) -> AsyncIterator[CutWay]:
    """Such a proxy before the CA at `url`, on this machine."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    way = CutWay((parts.hostname, parts.port), parts.scheme == "https", cut)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    way.url = parts._replace(netloc=f"{parts.hostname}:{port}").geturl()
    try:
        yield way
    finally:
        server.close()
        await way.end()


def cuts_of(seen: dict[tuple[str, Toward], list[str]]) -> Sequence[Cut]:
    """Every fault at every place of every part of what a visit without any has shown."""
    found = []
    for (exchange, toward), parts in seen.items():
        for part in parts:
            for place in Place:
                found += [Cut(exchange, toward, part, place, each) for each in (Fault.STALL, Fault.CLOSE, Fault.RESET)]
                if place is not Place.AFTER:
                    found += [Cut(exchange, toward, part, place, each) for each in (Fault.FLIP, Fault.PAUSE)]
            found.append(Cut(exchange, toward, part, Place.MIDDLE, Fault.DRIP))
    return found
