"""OCSP and CRL over HTTP, and a CRL that is made when it is due (RFC 6960 app. A, RFC 5019 §6, RFC 9110 §13)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponse, OCSPResponseStatus
from sqlalchemy import func, select

from kiosk.ca.connections import Limits
from kiosk.ca.crl import up_to_date
from kiosk.ca.ledger import Ledger
from kiosk.ca.ocsp import LARGEST_REQUEST
from kiosk.ca.schema import CRLS
from kiosk.ca.status_web import CERTIFICATE, CRL, OCSP_REQUEST, OCSP_RESPONSE
from kiosk.ca.web import create_app, create_status_app
from kiosk.certificates import Certificate
from tests.ca.bank import START, Bank, new_key, on_both
from tests.ca.live import HOST, Answer, Live, head, live
from tests.ca.test_ocsp import request

URL = "http://ca.invalid"
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def asked_for(bank: Bank, certificate: Certificate, *extensions: x509.ExtensionType) -> bytes:
    return request(certificate, bank.authority.issuing, *extensions)


async def get(bank: Bank, path: str, **headers: str) -> httpx.Response:
    return await bank.http.get(URL + path, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def post(bank: Bank, body: bytes, kind: str = OCSP_REQUEST, **headers: str) -> httpx.Response:
    return await bank.http.post(URL + "/ocsp", content=body, headers={"Content-Type": kind, **headers})


def read(response: httpx.Response) -> OCSPResponse:
    assert (response.status_code, response.headers["content-type"]) == (200, OCSP_RESPONSE)
    return ocsp.load_der_ocsp_response(response.content)


def serials(der: bytes) -> set[int]:
    return {each.serial_number for each in x509.load_der_x509_crl(der)}


# --- OCSP -----------------------------------------------------------------------------------------------------------


@on_both
async def test_the_same_by_post_and_by_get(bank: Bank) -> None:
    good, bad = bank.holder().certificate, bank.holder().certificate
    bank.revoke(bad)
    for certificate, status in ((good, OCSPCertStatus.GOOD), (bad, OCSPCertStatus.REVOKED)):
        asked = asked_for(bank, certificate)
        text = base64.b64encode(asked).decode()
        ways = [
            await post(bank, asked),
            await get(bank, f"/ocsp/{quote(text, safe='')}"),
            await get(bank, f"/ocsp/{text}"),
        ]
        assert [read(each).certificate_status for each in ways] == [status] * 3


async def test_base64_is_taken_with_whatever_letters_it_has(bank: Bank) -> None:
    """Slashes are part of the path, two of them too, and a plus is no space."""
    for serial in range(2**64, 2**64 + 400):
        asked = request(serial, bank.authority.issuing)
        text = base64.b64encode(asked).decode()
        if "+" in text and "/" in text:
            break
    assert read(await get(bank, f"/ocsp/{text}")).serial_number == serial
    assert read(await get(bank, f"/ocsp/{quote(text, safe='')}")).serial_number == serial


@pytest.mark.parametrize(
    "path", ["/ocsp/", "/ocsp/!", "/ocsp/MA", "/ocsp/MAA=", "/ocsp/%00", "/ocsp/MA==MA==", "/ocsp/あ"]
)
async def test_what_is_no_request_is_told_so(bank: Bank, path: str) -> None:
    response = await get(bank, path)
    assert read(response).response_status is OCSPResponseStatus.MALFORMED_REQUEST
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * (LARGEST_REQUEST + 1), OCSP_REQUEST, 413),
        (b"x" * LARGEST_REQUEST, OCSP_REQUEST, 200),
        (b"x", "application/octet-stream", 415),
        (b"x", "", 415),
    ],
)
async def test_the_type_and_the_size_are_looked_at_first(bank: Bank, body: bytes, kind: str, status: int) -> None:
    assert (await post(bank, body, kind)).status_code == status


async def test_methods_that_are_not_for_this(bank: Bank) -> None:
    for method, path, allowed in (
        ("GET", "/ocsp", {"POST"}),
        ("POST", "/crl", {"GET", "HEAD"}),
        ("PUT", "/ocsp", {"POST"}),
    ):
        response = await bank.http.request(method, URL + path)
        assert response.status_code == 405
        assert set(response.headers["allow"].split(", ")) == allowed


async def test_caches_keep_an_answer_until_it_ends_and_not_one_for_a_nonce(bank: Bank) -> None:
    holder = bank.holder().certificate
    kept = await get(bank, "/ocsp/" + base64.b64encode(asked_for(bank, holder)).decode())
    told = read(kept)
    assert kept.headers["cache-control"] == "max-age=600, public, no-transform, must-revalidate"
    assert parsedate_to_datetime(kept.headers["last-modified"]) == told.this_update_utc
    assert parsedate_to_datetime(kept.headers["expires"]) == told.next_update_utc
    assert kept.headers["etag"].startswith('"')
    fresh = await post(bank, asked_for(bank, holder, x509.OCSPNonce(b"n" * 32)))
    assert read(fresh).certificate_status is OCSPCertStatus.GOOD
    unknown = await post(bank, request(77, bank.authority.issuing))
    assert [each.headers["cache-control"] for each in (fresh, unknown)] == ["no-store"] * 2
    assert "etag" not in fresh.headers


async def test_a_ledger_that_does_not_answer_is_no_answer_about_a_certificate(bank: Bank) -> None:
    holder = bank.holder().certificate
    with bank.book.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE certificates RENAME TO gone")
    response = await post(bank, asked_for(bank, holder))
    assert read(response).response_status is OCSPResponseStatus.TRY_LATER
    assert response.headers["cache-control"] == "no-store"
    assert (await get(bank, "/crl")).status_code == 503


async def test_more_than_can_be_answered_soon_are_asked_to_come_again(bank: Bank) -> None:
    app = create_status_app(bank.status, Limits(most_messages=0))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
        response = await http.get(URL + "/ocsp/MAA=")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")


# --- CRL ------------------------------------------------------------------------------------------------------------


async def test_the_crl_and_what_is_said_of_it(bank: Bank) -> None:
    bad = bank.holder().certificate
    bank.revoke(bad)
    response = await get(bank, "/crl")
    assert (response.status_code, response.headers["content-type"]) == (200, CRL)
    assert serials(response.content) == {bad.serial_number}
    assert response.headers["cache-control"] == "max-age=600, public, no-transform, must-revalidate"
    assert parsedate_to_datetime(response.headers["last-modified"]) == START


async def test_whoever_has_it_is_not_sent_it_again(bank: Bank) -> None:
    first = await get(bank, "/crl")
    tag, modified = first.headers["etag"], first.headers["last-modified"]
    later = format_datetime(START + DAY, usegmt=True)
    earlier = format_datetime(START - SECOND, usegmt=True)
    rows: dict[str, tuple[dict[str, str], int]] = {
        "its tag": ({"if_none_match": tag}, 304),
        "among others, weak": ({"if_none_match": f'"x", W/{tag}'}, 304),
        "any": ({"if_none_match": "*"}, 304),
        "another tag": ({"if_none_match": '"x"'}, 200),
        "another tag counts more than a date": ({"if_none_match": '"x"', "if_modified_since": modified}, 200),
        "its date": ({"if_modified_since": modified}, 304),
        "a later date": ({"if_modified_since": later}, 304),
        "an earlier date": ({"if_modified_since": earlier}, 200),
        "no date": ({"if_modified_since": "yesterday"}, 200),
        "a date without a zone": ({"if_modified_since": "Sun, 01 Mar 2026 03:04:05"}, 200),
    }
    for name, (headers, status) in rows.items():
        response = await get(bank, "/crl", **headers)
        assert response.status_code == status, name
        assert bool(response.content) == (status == 200)
        assert response.headers["etag"] == tag
    bank.revoke(bank.holder().certificate)
    assert (await get(bank, "/crl", if_none_match=tag)).status_code == 200


async def test_a_crl_that_ends_soon_is_not_kept_beyond_its_end(bank: Bank) -> None:
    bank.obey(bank.policy.__class__(crl_life=timedelta(minutes=2)))
    assert (await get(bank, "/crl")).headers["cache-control"].startswith("max-age=120,")


@on_both
async def test_it_is_there_at_once_after_a_revocation_by_somebody_else(bank: Bank, tmp_path: Path) -> None:
    """A teller's command, and another CA process, have the ledger open beside this server."""
    holder = bank.holder().certificate
    before = await get(bank, "/crl")
    assert serials(before.content) == set()
    with Ledger.open_beside(tmp_path) as beside:
        Bank(bank.authority, beside, bank.policy).revoke(holder)
    after = await get(bank, "/crl")
    assert serials(after.content) == {holder.serial_number}
    assert read(await post(bank, asked_for(bank, holder))).certificate_status is OCSPCertStatus.REVOKED


@on_both
def test_looking_at_one_that_holds_writes_nothing(bank: Bank) -> None:
    up_to_date(bank.book, bank.authority, bank.policy, bank.now)
    with bank.book.begin():  # whoever wrote now would have to wait
        assert up_to_date(bank.book, bank.authority, bank.policy, bank.now).number == 1


class Enough(Exception):
    """The test has seen what it wanted."""


async def kept_while(bank: Bank, *happenings: object) -> list[int]:
    """The numbers of the CRLs that are there each time the keeper has looked, with these events in between."""
    numbers, left = [], list(happenings)

    async def sleep(_: float) -> None:
        with bank.book.read() as connection:
            numbers.append(connection.execute(select(func.max(CRLS.c.number))).scalar_one())
        if not left:
            raise Enough
        happens = left.pop(0)
        if callable(happens):
            happens()
        elif isinstance(happens, timedelta):
            bank.now += happens

    with pytest.raises(Enough):
        await bank.status.keep(sleep)
    return numbers


@on_both
async def test_it_is_made_on_time_though_nobody_asks(bank: Bank) -> None:
    half = bank.policy.crl_life / 2
    assert await kept_while(bank, half - SECOND, SECOND, half, SECOND) == [1, 1, 2, 3, 3]


@on_both
async def test_it_is_made_after_a_revocation_though_nobody_asks(bank: Bank) -> None:
    holder = bank.holder().certificate
    assert await kept_while(bank, SECOND, lambda: bank.revoke(holder), SECOND) == [1, 1, 2, 2]


@on_both
async def test_what_nobody_confirmed_comes_to_its_end_and_onto_the_list(bank: Bank) -> None:
    issued = await bank.client.update(bank.holder(), new_key())
    assert await kept_while(bank, bank.policy.confirmation + SECOND) == [1, 2]
    assert serials((await get(bank, "/crl")).content) == {issued.certificate.serial_number}


@on_both
async def test_a_failure_now_is_no_failure_later(bank: Bank) -> None:
    def rename(old: str, new: str) -> None:
        with bank.book.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    happens = [lambda: rename("promises", "gone"), bank.policy.crl_life, lambda: rename("gone", "promises"), SECOND]
    assert await kept_while(bank, *happens) == [1, 1, 1, 2, 2]


# --- the rest -------------------------------------------------------------------------------------------------------


async def test_the_issuing_certificate(bank: Bank) -> None:
    response = await get(bank, "/issuing.cer")
    assert (response.headers["content-type"], response.content) == (CERTIFICATE, bank.authority.issuing.der)
    assert (await get(bank, "/issuing.cer", if_none_match=response.headers["etag"])).status_code == 304


async def test_a_port_for_status_alone_answers_nothing_else(bank: Bank) -> None:
    app = create_status_app(bank.status)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
        assert (await http.get(URL + "/crl")).status_code == 200
        for path in ("/.well-known/cmp", "/health", "/"):
            assert (await http.get(URL + path)).status_code == 404


@pytest.fixture
def server(bank: Bank) -> Iterator[Live]:
    app = create_app(bank.responder, Limits(body_seconds=0.2), bank.status)
    with live(app, None, Limits(body_seconds=0.2)) as running:
        yield running


def test_a_slow_peer_and_a_head_too_large_end_here_too(server: Live) -> None:
    kind = f"Content-Type: {OCSP_REQUEST}"
    slow = server.say(head("POST /ocsp HTTP/1.1", HOST, kind, "Content-Length: 100") + b"x")
    long = server.say(head(f"GET /ocsp/{'M' * 12_000} HTTP/1.1", HOST))
    large = server.say(head("GET /crl HTTP/1.1", HOST, f"X: {'y' * 20_000}"))
    assert [each.status for each in (slow, long, large) if isinstance(each, Answer)] == [408, 414, 431]
    assert server.is_empty()


def test_certificates_say_where(bank: Bank) -> None:
    """Only where the policy names a place that everybody can reach."""

    def places(authority_url: str) -> list[str]:
        authority = replace(bank.authority, status_url=authority_url)
        end = bank.now + DAY
        certificate = authority.issue(bank.authority.issuing.x509.subject, new_key().public_key, bank.now, end)
        extensions = certificate.x509.extensions
        found: list[str] = []
        for extension in extensions:
            if isinstance(extension.value, x509.AuthorityInformationAccess):
                found += [f"{each.access_method._name} {each.access_location.value}" for each in extension.value]
            if isinstance(extension.value, x509.CRLDistributionPoints):
                found += [each.value for point in extension.value for each in point.full_name or ()]
        return found

    assert places("") == []
    assert places("http://pki.example.jp/ca") == [
        "OCSP http://pki.example.jp/ca/ocsp",
        "caIssuers http://pki.example.jp/ca/issuing.cer",
        "http://pki.example.jp/ca/crl",
    ]


def test_a_moment_is_whole_seconds(bank: Bank) -> None:
    bank.now = datetime.fromisoformat("2026-03-01T03:04:05.999999+00:00")
    assert up_to_date(bank.book, bank.authority, bank.policy, bank.now).this_update == START
