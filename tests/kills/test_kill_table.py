"""The kill table: cut anywhere, finished anywhere (issue 8)."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from tests.kills.table import Case, CommitCase, Table
from tests.kills.visit import Victim
from tests.processes.dying import WHENS

EVERY = int(os.environ.get("KIOSK_KILL_EVERY", "1"))
FROM = int(os.environ.get("KIOSK_KILL_FROM", "0"))
"""For whoever has no hours: every so-manieth case of the whole table, from this one on."""

PARTS = 8 if "KIOSK_SOAK" in os.environ else 1
"""The whole table is cut into so many, for the workers of pytest-xdist."""

IN_SHORT = {
    # In `make test`: where each kind of cut hurts most, the customer going to the same kiosk and to another in turn.
    False: (
        (Victim.KIOSK, "token MakeKeyPair under way"),
        (Victim.TOKEN_PROCESS, "token WriteCertificate under way"),
        (Victim.CA, "http requesting answered"),
        (Victim.TOKEN, "token Remove after"),
        (Victim.ALL, "http confirming answered"),
        (Victim.ALL, "token Relabel under way"),
    ),
    True: ((Victim.ALL, "http confirming answered"),),
}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("enrols", [False, True], ids=["renewal", "enrolment"])
async def test_cut_anywhere_finished_anywhere(tmp_path: Path, enrols: bool, part: int) -> None:
    table = Table(tmp_path, enrols)
    await table.prepare()
    await table.record()
    everything = "KIOSK_SOAK" in os.environ
    for case in every_case(table)[part::PARTS] if everything else short_cases(table):
        await table.try_case(case)
    print(table.summary())
    assert not table.lost, "\n".join([table.summary(), *table.lost])


def every_case(table: Table) -> list[Case | CommitCase]:
    points, commits = range(1, len(table.points) + 1), range(1, table.commits + 1)
    every: list[Case | CommitCase] = [Case(*each) for each in itertools.product(Victim, points, (False, True))]
    every += [CommitCase(*each) for each in itertools.product(WHENS, commits, (False, True))]
    return every[FROM::EVERY]


def short_cases(table: Table) -> list[Case | CommitCase]:
    at = ((victim, table.points.index(name) + 1) for victim, name in IN_SHORT[table.enrols])
    cut = [Case(victim, point, bool(number % 2)) for number, (victim, point) in enumerate(at)]
    return [*cut, unheard_of(table)]


def unheard_of(table: Table) -> CommitCase:
    """A certificate is issued, or a code used up, and nobody was told."""
    return CommitCase("after", table.commits if table.enrols else 1, elsewhere=table.enrols)
