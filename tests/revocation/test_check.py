"""Whom the kiosk asks, in which order, and what it does where nobody tells anything."""

from __future__ import annotations

import asyncio
from functools import cache

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseBuilder, OCSPResponseStatus

from kiosk.certificates import Certificate
from kiosk.revocation.check import RevocationCheck, RevocationRule
from kiosk.revocation.status import CertStatus, Status, StatusNotTold, StatusNotTrusted
from tests.cmp.pki import NOW, Pki
from tests.revocation.teller import CrlTeller, Handle, OcspTeller, delegated, of_kind, serve, with_addresses

OCSP, CRL = "http://status.invalid/ocsp", "http://status.invalid/crl"


@cache
def pki() -> Pki:
    return Pki()


@cache
def good() -> OcspTeller:
    return OcspTeller(pki=pki(), signer=delegated(pki()))


class Line:
    """What was asked, and of whom."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self._handle(request)

    def check(self, **rules: object) -> RevocationCheck:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        authorities = (pki().issuing.certificate, pki().root.certificate)
        return RevocationCheck(http=http, authorities=authorities, **rules)  # type: ignore[arg-type]

    @property
    def ways(self) -> list[tuple[str, str]]:
        return [(each.method, str(each.url)) for each in self.asked]


async def ask(line: Line, certificate: Certificate | None = None, **rules: object) -> Status | None:
    rules = {"ocsp_url": OCSP, "crl_url": CRL} | rules
    return await line.check(**rules).ask(certificate or pki().customer.certificate, NOW)


async def test_ocsp_first_and_then_nobody_else() -> None:
    line = Line(serve(good(), CrlTeller(pki=pki())))
    assert await ask(line) == Status(CertStatus.GOOD, "ocsp")
    assert line.ways == [("POST", OCSP)]
    assert line.asked[0].headers["content-type"] == "application/ocsp-request"


async def test_each_question_has_its_own_nonce() -> None:
    line = Line(serve(good()))
    check = line.check(ocsp_url=OCSP)
    for _ in range(2):
        await check.ask(pki().customer.certificate, NOW)
    assert len({each.content for each in line.asked}) == 2


def unsuccessful(status: OCSPResponseStatus) -> httpx.Response:
    content = OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
    return httpx.Response(200, content=content, headers=of_kind("ocsp-response"))


SILENT: dict[str, httpx.Response | Exception | None] = {
    "not there": None,
    "unreachable": httpx.ConnectError("no"),
    "slow": httpx.ReadTimeout("no"),
    "out of order": httpx.Response(500),
    "a web page": httpx.Response(200, content=b"<html>", headers={"Content-Type": "text/html"}),
    "too large": httpx.Response(200, content=b"x" * (64 * 1024 + 1), headers=of_kind("ocsp-response")),
    "try later": unsuccessful(OCSPResponseStatus.TRY_LATER),
}


@pytest.mark.parametrize("silence", SILENT)
async def test_the_list_where_ocsp_says_nothing(silence: str) -> None:
    line = Line(serve(SILENT[silence], CrlTeller(pki=pki(), revoked={pki().customer.certificate.serial_number: None})))
    status = await ask(line)
    assert status is not None
    assert (status.cert_status, status.source) == (CertStatus.REVOKED, "crl")
    assert line.ways == [("POST", OCSP), ("GET", CRL)]


async def test_nobody_tells_anything() -> None:
    with pytest.raises(StatusNotTold, match=r"^ocsp: status: 404; crl: busy: 503$"):
        await ask(Line(serve(None, httpx.Response(503))))
    with pytest.raises(StatusNotTold, match=r"^ocsp: status: 404$"):
        await ask(Line(serve()), crl_url="")


def busy(seconds: str) -> httpx.Response:
    return httpx.Response(503, headers={"Retry-After": seconds})


@pytest.mark.parametrize(
    ("ocsp", "crl", "passing", "after"),
    [
        (httpx.ReadTimeout("no"), None, True, 0.0),
        (httpx.ConnectError("no"), httpx.Response(404), True, 0.0),
        (httpx.Response(500), httpx.Response(404), False, None),
        (unsuccessful(OCSPResponseStatus.TRY_LATER), None, True, 0.0),
        (unsuccessful(OCSPResponseStatus.INTERNAL_ERROR), None, True, 0.0),
        (unsuccessful(OCSPResponseStatus.UNAUTHORIZED), None, False, None),
        (unsuccessful(OCSPResponseStatus.MALFORMED_REQUEST), None, False, None),
        (httpx.Response(404), busy("7"), True, 7.0),
        (busy("17"), busy("7"), True, 7.0),
        (busy("17"), httpx.ReadTimeout("no"), True, 0.0),
    ],
)
async def test_whether_and_when_it_is_worth_asking_again(
    ocsp: httpx.Response | Exception, crl: httpx.Response | Exception | None, passing: bool, after: float | None
) -> None:
    with pytest.raises(StatusNotTold) as caught:
        await ask(Line(serve(ocsp, crl)))
    assert (caught.value.is_passing, caught.value.retry_after) == (passing, after)


async def test_whoever_forges_an_answer_is_not_given_another_chance() -> None:
    line = Line(serve(OcspTeller(pki=pki(), signer=delegated(pki(), purposes=[])), CrlTeller(pki=pki())))
    with pytest.raises(StatusNotTrusted, match=r"^ocsp: signer-purpose$"):
        await ask(line)
    assert line.ways == [("POST", OCSP)]


async def test_unknown_is_an_answer() -> None:
    line = Line(
        serve(OcspTeller(pki=pki(), signer=delegated(pki()), status=OCSPCertStatus.UNKNOWN), CrlTeller(pki=pki()))
    )
    assert await ask(line) == Status(CertStatus.UNKNOWN, "ocsp")
    assert len(line.asked) == 1


async def test_where_the_certificate_says_unless_the_settings_do() -> None:
    certificate = with_addresses(pki(), "http://aia.invalid/ocsp", "http://cdp.invalid/crl")
    line = Line(serve(None, CrlTeller(pki=pki())))
    assert await ask(line, certificate, ocsp_url="", crl_url="") == Status(CertStatus.GOOD, "crl")
    assert [url for _, url in line.ways] == ["http://aia.invalid/ocsp", "http://cdp.invalid/crl"]
    line.asked.clear()
    await ask(line, certificate)
    assert [url for _, url in line.ways] == [OCSP, CRL]


@pytest.mark.parametrize("url", ["ldap://aia.invalid/ocsp", "file:///etc/passwd", "ftp://aia.invalid/ocsp"])
async def test_addresses_that_are_not_http_are_none(url: str) -> None:
    certificate = with_addresses(pki(), url, url)
    assert (certificate.ocsp_urls, certificate.crl_urls) == ((), ())
    line = Line(serve(good()))
    assert await ask(line, certificate, ocsp_url="", crl_url="") is None
    assert line.asked == []


async def test_nobody_is_asked_where_nobody_is_known_or_wanted() -> None:
    line = Line(serve(good()))
    assert await ask(line, ocsp_url="", crl_url="") is None
    assert await ask(line, rule=RevocationRule.OFF) is None
    stranger = Pki("Another ").customer.certificate
    assert await ask(line, stranger) is None
    assert line.asked == []


async def test_waiting_can_be_left() -> None:
    """The customer pulls the USB out: nothing holds the visit back."""
    begun = asyncio.Event()

    async def never(_: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    http = httpx.AsyncClient(transport=httpx.MockTransport(never))
    check = RevocationCheck(http=http, authorities=(pki().issuing.certificate,), ocsp_url=OCSP, crl_url=CRL)
    task = asyncio.create_task(check.ask(pki().customer.certificate, NOW))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
