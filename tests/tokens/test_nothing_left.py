"""Of the processes of a token nothing is left in the kiosk's: no descriptor, no child."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from kiosk.tokens.wire import KeyKind, KeyOrigin
from tests.bank import Bank, child_processes

pytestmark = pytest.mark.token_processes_as_they_are

KEY_ID = b"nothing left"
LIMIT = 30.0
"""Seconds after which a test is over; nothing here takes as long."""


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_descriptor_of_a_pin_that_was_lent(bank: Bank) -> None:
    async with await bank.open_token() as token:
        await token.log_in_afresh()
        before = descriptors()
        await token.log_in_afresh()
        assert descriptors() == before


async def test_no_process_that_has_held_a_key(bank: Bank) -> None:
    async with await bank.open_token() as token:
        before = child_processes()
        await token.make_key_pair(KeyKind.EC_P256, KEY_ID, "nothing left", KeyOrigin.EXPORT)
        assert len(child_processes()) == len(before)


async def test_no_process_of_a_visit_that_was_cancelled_twice(bank: Bank) -> None:
    """Once when the token goes, once more when the kiosk ends."""
    before = child_processes()
    opened = asyncio.Event()

    async def visit() -> None:
        async with await bank.open_token():
            opened.set()
            await asyncio.Event().wait()

    visiting = asyncio.create_task(visit())
    await opened.wait()
    for _ in range(2):
        visiting.cancel()
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError):
        await visiting
    async with asyncio.timeout(LIMIT):
        while child_processes() - before:  # noqa: ASYNC110 - nothing tells of a burial
            await asyncio.sleep(0.05)
