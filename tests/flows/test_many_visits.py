"""Visits of every kind in one process leave nothing in it, and nobody without a certificate.

A short form runs always; `make soak` holds a thousand, and looks at how the memory grows over the last five hundred.
`tests/screens/test_many_visits.py` does so with the screens.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.flows.many_visits import SEED, TROUBLES, VISITS, calm, census, hold_many, open_lobby


async def test_after_each_trouble_the_next_visit_is_whole(tmp_path: Path) -> None:
    async with open_lobby(tmp_path / "bank", SEED) as lobby:
        print(f"seed {SEED}")
        for trouble in TROUBLES:
            if "hangs" not in trouble and "silent" not in trouble:
                await lobby.hold_one(trouble)
        await calm(lobby)


@pytest.mark.skipif("KIOSK_SOAK" not in os.environ, reason="a thousand visits take an hour: `make soak`")
async def test_a_thousand_visits_leave_nothing_behind(tmp_path: Path) -> None:
    async with open_lobby(tmp_path / "bank", SEED) as lobby:
        print(f"seed {SEED}")
        await hold_many(lobby, VISITS, census)
