"""A PostgreSQL that is stopped at once and started again: meanwhile the CA says so, and what it has said stays true."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.transfer import open_http_client
from tests.ca.bank import new_key
from tests.postgres import Postgres, running_postgres
from tests.processes.database import until
from tests.processes.entering import enter
from tests.processes.offices import Offices, offices


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One of our own, for others go on with theirs; and it waits for the disk."""
    with running_postgres(durable=True) as running:
        yield running


@pytest.fixture
def office(authority: Authority, server: Postgres, tmp_path: Path) -> Iterator[Offices]:
    with server.database() as url, offices(authority, server, url, tmp_path) as opened:
        yield opened


async def test_a_database_that_stops_and_starts(office: Offices, server: Postgres) -> None:
    with Ledger.open(office.directory(Policy())) as book:
        first, second = enter(book, office.authority, "FIRST", "SECOND")
    url = office.open(Policy()).url
    async with open_http_client(None) as http:
        client = CmpClient(http, url, Trust((office.authority.root,)))
        key, other = new_key(), new_key()
        issued = await client.update(first, key)
        in_the_middle = await cut_in_the_middle(office, client, second, other)
        assert in_the_middle.kind is TransferFailure.BUSY

        health = await http.get(httpx.URL(url).copy_with(path="/health"))
        assert (health.status_code, "Retry-After" in health.headers) == (503, True)
        with pytest.raises(TransferError) as refused:
            await client.confirm(issued)
        assert (refused.value.kind, str(refused.value)) == (TransferFailure.BUSY, "busy: 503")

        server.start()
        await client.confirm(issued)
        again = await client.update(second, other)
        await client.confirm(again)
        assert (await http.get(httpx.URL(url).copy_with(path="/health"))).status_code == 200
        assert (await client.update(first, key)).certificate == issued.certificate


async def cut_in_the_middle(office: Offices, client: CmpClient, holder: Signer, key: SoftwareKey) -> TransferError:
    """The database stops while it works on a request; what comes of that."""
    database, server = office.database, office.database.server
    gate = server.connect(database.name)
    gate.execute("BEGIN")
    gate.execute("LOCK TABLE promises IN ACCESS EXCLUSIVE MODE")
    asked = asyncio.ensure_future(client.update(holder, key))
    await until(lambda: database.waiting() > 0)
    server.stop()
    with pytest.raises(TransferError) as caught:
        await asked
    return caught.value
