"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.bank import Bank, open_bank
from tests.cutting import CASES
from tests.mutations import TRIED
from tests.postgres import Postgres, running_postgres
from tests.ready_tokens import ReadyTokens, ready_tokens
from tests.soaking import LEAST_INPUTS, is_whole

# A machine that is busy with other tests is slow, which is no fault of what is tested.
settings.register_profile("kiosk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kiosk")


def pytest_collection_finish() -> None:
    """Spare every later collection the modules and tests that stay for good: a third of what a screen test costs."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests of processes wait a good part of their time."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A worker tells how much it has tried; of `make test-tokens` something has to have run, of a whole soak enough."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tried"] = dict(TRIED)
        session.config.workeroutput["cases"] = dict(CASES)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and session.config.option.markexpr == "tokens" and not exitstatus and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
    if reporter and not exitstatus and _has_tried_too_little(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _has_tried_too_little(config: pytest.Config) -> bool:
    chosen = config.option.keyword or config.option.markexpr or config.option.collectonly
    return not chosen and is_whole(config.args) and TRIED.total() < LEAST_INPUTS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Add up what the workers have tried."""
    told = getattr(node, "workeroutput", {})
    TRIED.update(told.get("tried", {}))
    CASES.update(told.get("cases", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell how many spoiled inputs were tried, parser by parser, and how many cases of tables."""
    for name, number in sorted(CASES.items()):
        terminalreporter.write_line(f"{number:>11,} {name}")
    if TRIED:
        for name, number in sorted(TRIED.items()):
            terminalreporter.write_line(f"{number:>11,} {name}")
        terminalreporter.write_line(f"{TRIED.total():>11,} spoiled inputs in all")
    if _has_tried_too_little(config):
        terminalreporter.write_line(f"too few spoiled inputs: {LEAST_INPUTS:,} are promised", red=True)


@pytest.fixture(scope="session")
def _ready_tokens() -> Iterator[ReadyTokens]:
    with ready_tokens() as ready:
        yield ready


@pytest.fixture(autouse=True)
def _token_processes(request: pytest.FixtureRequest, _ready_tokens: ReadyTokens) -> Iterator[None]:
    """Ready ones, but where it is tested how they come to be."""
    if request.node.get_closest_marker("token_processes_as_they_are"):
        yield
    else:
        with _ready_tokens.in_use():
            yield


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank whose customer has 20 days left and a P-256 key."""
    async with open_bank(tmp_path / "bank") as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of this process; each takes databases of its own."""
    with running_postgres() as server:
        yield server
