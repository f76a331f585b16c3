"""Visits of every kind in one process leave nothing in it, and nobody without a certificate.

A short form runs always; `make soak` holds a thousand, and looks at how the memory grows over the last five hundred.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from kiosk.tokens.wire import ObjectKind
from tests.cutting import CASES
from tests.flows.many_visits import CALM, TROUBLES, Lobby, census, open_files, open_lobby, slope

VISITS = int(os.environ.get("KIOSK_VISITS", "1000"))
"""For whoever has no hours; the memory is judged over the latter half of them."""
SEED = int(os.environ.get("KIOSK_SEED", "1"))
CALM_EVERY = 10
CONNECTIONS = 4
"""Of the HTTP client's pool and the proxy's; whether one is open at the end of a visit is a matter of moments."""
LONG_AGO, MOST_A_VISIT = 100, 1000
"""After so many visits whatever is made once has been made; bytes that each may leave."""


async def calm(lobby: Lobby) -> None:
    """A visit to which nothing happens comes to its end, whatever has happened to those before it.

    One that goes on with a renewal looks for nothing else; what lies beside that goes at the visit after it.
    """
    for _ in range(2):
        completion = await lobby.hold_one(CALM)
        assert completion is not None, "a visit without trouble was not finished"
        certificate, found = await lobby.look_at_token()
        assert certificate == completion.certificate
        if len(found) == len(ObjectKind):
            break
    assert sorted(each.kind for each in found) == sorted(ObjectKind), f"one credential, and nothing else: {found}"
    assert lobby.states_of_customer() == ["valid"], "the CA says the same"


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
        early, files = Counter[str](), 0
        while len(lobby.memory) < VISITS - 1:
            await (calm(lobby) if len(lobby.memory) % CALM_EVERY == 0 else lobby.hold_any())
            if len(lobby.memory) == min(LONG_AGO, VISITS // 2):
                await calm(lobby)
                early, files = census(), open_files()
        await calm(lobby)
        late = census()
        grown = slope(lobby.memory[VISITS // 2 :])
        CASES["visits in one process"] += len(lobby.memory)
        print(f"{len(lobby.memory)} visits: {dict(lobby.happened)}")
        print(f"{lobby.finished} finished; memory rises by {grown:.0f} bytes a visit over the latter half")
        print(f"resident {lobby.memory[0] >> 10}, {lobby.memory[VISITS // 2] >> 10}, {lobby.memory[-1] >> 10} KiB")
        print(f"open files {files}, {open_files()}; objects of ours {early.total()}, {late.total()}")
        assert not late - early, "objects of visits that are over"
        assert open_files() <= files + CONNECTIONS
        assert grown < MOST_A_VISIT
