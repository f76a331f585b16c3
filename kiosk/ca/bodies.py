"""The body of a request over HTTP, taken in as far as it is what it should be, in bounded time and size."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

CLOSE = {"Connection": "close"}
COME_AGAIN = {"Retry-After": "2", "Cache-Control": "no-store"}
"""Seconds: longer than it takes to answer as many messages as may be under way."""


async def take(request: Request, kind: str, *, seconds: float, largest: int) -> bytes | Response:
    """The body, or what is answered in HTTP's own words where it is not one of this type, comes late, or is too large.

    Args:
        request: Whose head has been read.
        kind: The media type it must have.
        seconds: From now until its end.
        largest: Bytes.
    """
    if not _says_it_is(kind, request):
        return Response(status_code=415)
    try:
        async with asyncio.timeout(seconds):
            body = await _read_bounded(request, largest)
    except TimeoutError:
        return Response(status_code=408, headers=CLOSE)
    except ClientDisconnect:
        return Response(status_code=400)
    # The server ends, and nothing of this message has been taken up; uvicorn would log it as a fault.
    except asyncio.CancelledError:
        return Response(status_code=503, headers=COME_AGAIN)
    return Response(status_code=413) if body is None else body


def _says_it_is(kind: str, request: Request) -> bool:
    """Whether a request says that it carries a message of this type as it is (RFC 9811 §3.4)."""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return said == kind and request.headers.get("content-encoding", "identity").lower() == "identity"


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
