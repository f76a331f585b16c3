from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.ledger import Ledger
from tests.ca.bank import START, Bank


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return create_authority(tmp_path_factory.mktemp("authority") / "ca", clock=lambda: START)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a ledger in which nothing stands: its tables take longer to make than most tests."""
    directory = tmp_path_factory.mktemp("ledger")
    Ledger.open(directory).close()
    return directory / "ledger.sqlite"


@pytest.fixture
def bank(authority: Authority, empty_ledger: Path, tmp_path: Path) -> Iterator[Bank]:
    shutil.copy(empty_ledger, tmp_path)
    with Ledger.open(tmp_path) as book:
        yield Bank(authority, book)


@pytest.fixture(scope="session")
def office_template(tmp_path_factory: pytest.TempPathFactory, empty_ledger: Path) -> Path:
    """A CA's directory as of today, for the commands, which know no other clock."""
    directory = create_authority(tmp_path_factory.mktemp("office") / "ca").directory
    shutil.copy(empty_ledger, directory)
    return directory


@pytest.fixture
def directory(office_template: Path, tmp_path: Path) -> Path:
    """One of its own for a test."""
    return Path(shutil.copytree(office_template, tmp_path / "ca"))
