"""Servers as no CA should be, on real sockets, and networks that lead to none: each what a kiosk may meet."""

from __future__ import annotations

import asyncio
import errno
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DRIP_SECONDS = 0.02
"""Between two bytes of a server that drips: many in the time there is, as one a second is in thirty."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(*pieces: bytes) -> Serve:
    """Reads a request, says this, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.writelines(pieces)
        await writer.drain()

    return serve


MOST = 4 * 1024 * 1024
"""Which a kiosk takes of any answer, and what lies in the buffers of two sockets."""


class TakenForEver(AssertionError):
    """A client has taken more than `MOST`: what is not bounded fails here, and takes no machine's memory."""


def says_for_ever(begin: bytes, more: bytes, every: float = 0.0, most: float = MOST) -> Serve:
    """Reads a request, says `begin`, and then `more` again and again; nobody takes more than `most` bytes of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(begin)
        said = len(begin)
        while not writer.is_closing():
            if said > most:
                raise TakenForEver
            writer.write(more)
            said += len(more)
            await writer.drain()
            await asyncio.sleep(every)

    return serve


def drips(said: bytes) -> Serve:
    """Reads a request, and says this byte by byte (slow loris, the other way round)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        await drips_unasked(said)(reader, writer)

    return serve


def drips_unasked(said: bytes) -> Serve:
    """Says this byte by byte without having heard anything, as in a handshake."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in said:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)

    return serve


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads, and says nothing; where it should shake hands it does not."""
    while await reader.read(1024):
        pass
    writer.close()


async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
    """Takes the connection and leaves it."""
    await asyncio.Event().wait()


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a request and ends the connection without a word."""
    await _request(reader)
    writer.close()


def bomb(size: int) -> bytes:
    """So many bytes, compressed to hardly any, by a server that nobody has asked to."""
    packed = gzip.compress(bytes(size))
    return HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed


async def _request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    await reader.readexactly(int(length.partition(b":")[2]))


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[tuple[str, list[object]]]:
    """Such a server on this machine; its host and port, and whoever has come to it."""
    came: list[object] = []
    serving: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("peername"))
        task = asyncio.ensure_future(_served(serve, reader, writer))
        serving.add(task)
        await asyncio.wait([task])

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname()), came
    finally:
        server.close()
        for each in serving:
            each.cancel()
        for end in await asyncio.gather(*serving, return_exceptions=True):
            if isinstance(end, TakenForEver):
                raise end


async def _served(serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
    finally:
        writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()


def no_way(monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    """The kernel knows no way to any host, or nobody answers there."""

    def connect(*_: object) -> None:
        raise OSError(why, errno.errorcode[why])

    monkeypatch.setattr(socket.socket, "connect", connect)


def no_name(monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    """The resolver does not tell any address."""

    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(why, "as a test has it")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
