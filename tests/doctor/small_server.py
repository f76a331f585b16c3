"""An HTTP server that answers as a test has it, with TLS or without."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kiosk.cmp.vocabulary import CONTENT_TYPE

Answer = Callable[[bytes], Awaitable[bytes]]
"""The body of a POST, and what comes back."""


@asynccontextmanager
async def serving(
    answer: Answer | None = None,
    *,
    get: Callable[[], Awaitable[bytes]] | None = None,
    status: int = 200,
    kind: str = CONTENT_TYPE,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """Answers a POST like this and a GET by `get`, by 404 where there is nothing; gives its address."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            body = await reader.readexactly(int(lines.get(b"content-length", b"0")))
            if head.startswith(b"HEAD"):
                code, said = (status if status >= 500 else 405), b""
            elif head.startswith(b"GET"):
                code, said = (404, b"") if get is None else (status, await get())
            else:
                code, said = (404, b"") if answer is None else (status, await answer(body))
            writer.write(
                f"HTTP/1.1 {code} X\r\nContent-Type: {kind}\r\nContent-Length: {len(said)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + said
            )
            await writer.drain()
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with server:
        scheme = "https" if context else "http"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/.well-known/cmp"


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A server that takes a connection, and says nothing."""
    connected: list[asyncio.StreamWriter] = []

    async def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        for writer in connected:
            writer.close()
        server.close()
