"""Nothing here can be done as root: p11-kit takes no user's configuration from it, and no kiosk offers it.

Where root runs the suite (as in CI), each file of this folder is run by an ordinary user in a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bank import Bank, open_bank

collect_ignore_glob = ["test_by_*.py"] if os.geteuid() else ["test_[!b]*.py"]

_BY_ROOT = Path(__file__).with_name("test_by_an_ordinary_user.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell root who names one of the files that are not for him how to run it; naming it passes over the list above."""
    if not os.geteuid() and item.path != _BY_ROOT:
        pytest.fail(f"not as root: pytest {_BY_ROOT} -k {item.path.stem}", pytrace=False)


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank whose policy offers this PC, and whose customer has 20 days left and a P-256 key."""
    async with open_bank(tmp_path / "bank", pc=True) as opened:
        yield opened
