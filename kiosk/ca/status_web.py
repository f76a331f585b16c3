"""OCSP, the CRL and the issuing certificate over HTTP (RFC 6960 app. A, RFC 5280 §4.2.1.13, RFC 5019 §6)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPResponseBuilder, OCSPResponseStatus
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kiosk.ca import bodies
from kiosk.ca.connections import Limits
from kiosk.ca.ocsp import LARGEST_REQUEST, OcspAnswer
from kiosk.ca.paths import CRL_PATH, ISSUING_PATH, OCSP_PATH
from kiosk.ca.status import StatusService

OCSP_REQUEST, OCSP_RESPONSE = "application/ocsp-request", "application/ocsp-response"
CRL, CERTIFICATE = "application/pkix-crl", "application/pkix-cert"
_NOT_KEPT = {"Cache-Control": "no-store"}
_DAY = 24 * 60 * 60
_LONGEST_TEXT = LARGEST_REQUEST * 4 // 3
_LOG = logging.getLogger(__name__)


def status_routes(service: StatusService, limits: Limits) -> Sequence[BaseRoute]:
    """The paths at which everybody is told."""
    desk = _StatusDesk(service, limits)
    return (
        Route(OCSP_PATH, desk.post_ocsp, methods=["POST"]),
        Route(OCSP_PATH + "/{request:path}", desk.get_ocsp, methods=["GET"]),
        Route(CRL_PATH, desk.crl, methods=["GET"]),
        Route(ISSUING_PATH, desk.issuing, methods=["GET"]),
    )


class _StatusDesk:
    def __init__(self, service: StatusService, limits: Limits) -> None:
        self._service = service
        self._limits = limits
        self._under_way = 0

    async def post_ocsp(self, request: Request) -> Response:
        """A request as a body."""
        body = await bodies.take(request, OCSP_REQUEST, seconds=self._limits.body_seconds, largest=LARGEST_REQUEST)
        return body if isinstance(body, Response) else await self._answer(body)

    async def get_ocsp(self, request: Request) -> Response:
        """A request in base64, as the rest of the path; what is none is answered as any other that cannot be read."""
        text = request.path_params["request"]
        if len(text) > _LONGEST_TEXT:
            return Response(status_code=414)
        try:
            asked = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            asked = b""
        return await self._answer(asked)

    async def crl(self, request: Request) -> Response:
        """The newest CRL."""
        try:
            newest = await self._service.crl()
        except Exception:
            _LOG.exception("the CRL cannot be told")
            return Response(status_code=503, headers=bodies.COME_AGAIN)
        return _kept(request, newest.crl.der, CRL, newest.crl.this_update, newest.seconds)

    async def issuing(self, request: Request) -> Response:
        """The certificate of whoever signs certificates and CRL."""
        issuing = self._service.authority.issuing
        return _kept(request, issuing.der, CERTIFICATE, issuing.not_before, _DAY)

    async def _answer(self, asked: bytes) -> Response:
        if self._under_way >= self._limits.most_messages:
            return Response(status_code=503, headers=bodies.COME_AGAIN)
        self._under_way += 1
        try:
            answer = await self._service.ocsp(asked)
        # A full disk, a ledger that is gone: this is not the certificate's fault, and must not look like an answer.
        except Exception:
            _LOG.exception("an OCSP request could not be answered")
            answer = OcspAnswer(_TRY_LATER)
        finally:
            self._under_way -= 1
        return Response(answer.der, media_type=OCSP_RESPONSE, headers=_caching(answer))


def _caching(answer: OcspAnswer) -> dict[str, str]:
    """How long a cache may keep it (RFC 5019 §6.2): until the answer itself ends, not longer."""
    if answer.this_update is None or answer.next_update is None:
        return _NOT_KEPT
    return {
        "Cache-Control": f"max-age={answer.seconds}, public, no-transform, must-revalidate",
        "Last-Modified": _http_date(answer.this_update),
        "Expires": _http_date(answer.next_update),
        "ETag": _tag(answer.der),
    }


_TRY_LATER = OCSPResponseBuilder.build_unsuccessful(OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER)


def _kept(request: Request, content: bytes, kind: str, modified: datetime, seconds: int) -> Response:
    """The content, or 304 for whoever has it already (RFC 9110 §13.1)."""
    tag = _tag(content)
    headers = {
        "Cache-Control": f"max-age={seconds}, public, no-transform, must-revalidate",
        "Last-Modified": _http_date(modified),
        "ETag": tag,
    }
    if _has_it(request, tag, modified):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def _has_it(request: Request, tag: str, modified: datetime) -> bool:
    tags = request.headers.get("if-none-match")
    if tags is not None:
        return any(each.strip().removeprefix("W/") in (tag, "*") for each in tags.split(","))
    since = request.headers.get("if-modified-since")
    try:
        return since is not None and modified.replace(microsecond=0) <= parsedate_to_datetime(since)
    # A date without a zone cannot be compared, and one that is none is overlooked (RFC 9110 §13.1.3).
    except (ValueError, TypeError):
        return False


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
