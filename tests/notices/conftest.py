from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.ca.ledger import Ledger
from tests.ca.conftest import database, empty_ledger, kind_of_database, place, pytest_generate_tests
from tests.notices.samples import Clock, days_before

__all__ = ["database", "empty_ledger", "kind_of_database", "place", "pytest_generate_tests"]
"""Ledgers in either database are those of the CA's tests."""


@pytest.fixture
def clock() -> Clock:
    """Noon, thirty days before the end of the usual certificate."""
    return Clock(days_before(30))


@pytest.fixture
def directory(place: Path) -> Path:
    """Where an empty ledger is."""
    return place


@pytest.fixture
def book(directory: Path, clock: Clock) -> Iterator[Ledger]:
    """That ledger, open, and going by `clock`."""
    with Ledger.open_beside(directory) as opened:
        yield opened.told_by(clock)
