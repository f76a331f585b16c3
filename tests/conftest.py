"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bank import Bank, open_bank


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank whose customer has 20 days left and a P-256 key."""
    async with open_bank(tmp_path / "bank") as opened:
        yield opened
