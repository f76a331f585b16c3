from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from kiosk.ca.server import configure, create_app
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CONTENT_TYPE, BodyType
from tests.ca.bank import Bank, new_key

URL = "http://ca.invalid/.well-known/cmp"
PKIX = {"Content-Type": CONTENT_TYPE}


@pytest.mark.parametrize("path", ["", "/p/renewals"])
async def test_messages_are_answered_at_the_plain_and_the_labelled_path(bank: Bank, path: str) -> None:
    request = await bank.write(bank.holder(), BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))
    answer = await bank.http.post(URL + path, content=request, headers=PKIX)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)


async def test_http_says_no_in_its_own_words(bank: Bank) -> None:
    huge = b"x" * (bank.policy.largest_request + 1)

    async def undeclared() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield huge[: len(huge) // 2 + 1]

    statuses = [
        (await bank.http.post(URL, content=b"", headers={"Content-Type": "text/plain"})).status_code,
        (await bank.http.post(URL, content=b"")).status_code,
        (await bank.http.post(URL, content=huge, headers=PKIX)).status_code,
        (await bank.http.post(URL, content=undeclared(), headers=PKIX)).status_code,
        (await bank.http.get(URL)).status_code,
        (await bank.http.post(URL + "/x/y", content=b"", headers=PKIX)).status_code,
        (await bank.http.get("http://ca.invalid/health")).status_code,
    ]
    assert statuses == [415, 415, 413, 413, 405, 404, 200]


async def test_many_at_once_get_one_certificate_each(bank: Bank) -> None:
    holders = [bank.holder(name=f"HOLDER{number}") for number in range(10)]
    keys = [new_key() for _ in holders]
    asked = [bank.client.update(holder, key) for holder, key in zip(holders, keys, strict=True) for _ in range(3)]
    issued = await asyncio.gather(*asked)
    assert len({each.certificate.fingerprint for each in issued}) == len(holders)
    await asyncio.gather(*(bank.client.confirm(each) for each in issued))
    assert (bank.issued(), bank.rows()) == (2 * len(holders), len(holders))


async def test_a_body_that_does_not_come_is_given_up(bank: Bank) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"0"
        await asyncio.Event().wait()

    transport = httpx.ASGITransport(app=create_app(bank.responder, body_seconds=0.01))
    async with httpx.AsyncClient(transport=transport) as http, asyncio.timeout(5):
        answer = await http.post(URL, content=trickle(), headers=PKIX)
    assert (answer.status_code, answer.headers["Connection"]) == (408, "close")


def test_a_server_holds_out_against_many_and_idle_clients(bank: Bank) -> None:
    config = configure(create_app(bank.responder), bank.authority)
    assert (config.limit_concurrency, config.timeout_keep_alive) == (200, 5)
    assert config.ws == "none"
    assert config.is_ssl
    assert not configure(create_app(bank.responder), None).is_ssl


async def test_nobody_is_sent_elsewhere(bank: Bank) -> None:
    for path in ("/", "/p/renewals/"):
        answer = await bank.http.post(URL + path, content=b"", headers=PKIX | {"Host": "evil.invalid"})
        assert answer.status_code == 404
