from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.ledger import Ledger
from tests.ca.bank import START, Bank


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return create_authority(tmp_path_factory.mktemp("authority") / "ca", clock=lambda: START)


@pytest.fixture
def bank(authority: Authority, tmp_path: Path) -> Iterator[Bank]:
    with Ledger.open(tmp_path) as book:
        yield Bank(authority, book)
