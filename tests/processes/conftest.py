from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.cmp.transfer import open_http_client
from tests.ca.bank import START
from tests.postgres import Postgres
from tests.processes.database import clear
from tests.processes.offices import Offices, SharedBank, offices


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return create_authority(tmp_path_factory.mktemp("authority") / "ca", clock=lambda: START)


@pytest.fixture(scope="package")
def shared(authority: Authority, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offices]:
    """Processes that all tests here ask, over a database whose clock they turn."""
    with (
        postgres.database() as url,
        offices(authority, postgres, url, tmp_path_factory.mktemp("offices")) as opened,
    ):
        Ledger.open(opened.directory(Policy())).close()
        opened.database.have_a_clock_to_turn()
        yield opened


@pytest.fixture(scope="package")
def book(shared: Offices) -> Iterator[Ledger]:
    """The same ledger, as a teller's commands have it."""
    with Ledger.open_beside(shared.directory(Policy())) as opened:
        yield opened


@pytest.fixture
async def bank(shared: Offices, book: Ledger) -> AsyncIterator[SharedBank]:
    """Two processes with a ledger in which nothing stands."""
    clear(book)
    async with open_http_client(None) as http:
        yield SharedBank(shared, book, http)
