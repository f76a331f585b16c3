"""Visits of every kind on the real screens in one process leave nothing in it: no widget, task, process or descriptor.

A short form runs always; `make soak` holds a thousand, and looks at how the memory grows over the last five hundred.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.flows.many_visits import CALM, SEED, VISITS, Lobby, census, hold_many
from tests.screens.served_at_screens import open_lobby_with_screens, shown

_ROUNDS = (("the customer turns back", CALM), ("the token is pulled", CALM))
"""What leads over most screens and takes no long waits."""
_TURNS = 20
"""Looks at what lives, until what was on its way has come; what is held for good fails the test."""


async def test_a_second_round_of_visits_leaves_no_more_than_the_first(tmp_path: Path) -> None:
    async with open_lobby_with_screens(tmp_path / "bank", SEED) as lobby:
        print(f"seed {SEED}")
        first, second = [await _hold(lobby, troubles) for troubles in _ROUNDS]
        for _ in range(_TURNS):
            if not second - first:
                break
            await asyncio.sleep(0.1)
            second &= census(shown)
        assert not second - first, "objects of visits that are over"


async def _hold(lobby: Lobby, troubles: Sequence[str]) -> Counter[str]:
    """What lives after visits with these troubles."""
    for trouble in troubles:
        await lobby.hold_one(trouble)
    return census(shown)


@pytest.mark.skipif("KIOSK_SOAK" not in os.environ, reason="a thousand visits take more than an hour: `make soak`")
async def test_a_thousand_visits_leave_nothing_behind(tmp_path: Path) -> None:
    async with open_lobby_with_screens(tmp_path / "bank", SEED) as lobby:
        print(f"seed {SEED}")
        await hold_many(lobby, VISITS, partial(census, shown))
