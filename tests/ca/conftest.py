from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import METADATA, fill
from tests.ca.bank import START, Bank, settle
from tests.postgres import Postgres


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind_of_database" in metafunc.fixturenames and metafunc.definition.get_closest_marker("on_both"):
        metafunc.parametrize("kind_of_database", ["sqlite", "postgres"], indirect=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return create_authority(tmp_path_factory.mktemp("authority") / "ca", clock=lambda: START)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a ledger in which nothing stands: its tables take longer to make than most tests."""
    directory = tmp_path_factory.mktemp("ledger")
    Ledger.open(directory).close()
    return directory / "ledger.sqlite"


@pytest.fixture(scope="session")
def database(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One in PostgreSQL for all tests of this process: to make one takes longer than most tests."""
    directory = tmp_path_factory.mktemp("ledger")
    with postgres.database() as url:
        settle(directory, url)
        Ledger.open(directory).close()
        yield url


@pytest.fixture
def kind_of_database(request: pytest.FixtureRequest) -> str:
    """SQLite, unless a test is marked with `on_both`."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def place(kind_of_database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory with an empty ledger."""
    if kind_of_database == "sqlite":
        shutil.copy(request.getfixturevalue("empty_ledger"), tmp_path)
        yield tmp_path
        return
    settle(tmp_path, request.getfixturevalue("database"))
    yield tmp_path
    with Ledger.open(tmp_path) as book, book.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())
        fill(connection)


@pytest.fixture
def bank(authority: Authority, place: Path) -> Iterator[Bank]:
    with Ledger.open(place) as book:
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
