"""The way to the CA, cut at each class of byte of each exchange: what the customer is told is true, nothing is lost.

A short form runs always; with `KIOSK_SOAK` in the environment (`make soak`) it is every fault at every place of every
part that a visit without faults has shown, in both directions, over TLS and over plain HTTP; and every way in which a
connection that is kept between two exchanges may be gone.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from tests.cutting import Cut, Fault, Place, Toward, counted, cuts_of
from tests.flows.cut_table import (
    APPROVED,
    APPROVED_ENROLMENT,
    CERTCONF,
    ENROLMENT,
    ERRANDS,
    GENM,
    KUR,
    POLLREQ,
    REJECTED,
    RENEWAL,
    RESUMED,
    Errand,
    cut_visit,
    kept_visit,
)
from tests.keeping import Drop, Parting, drops_of

EVERY = int(os.environ.get("KIOSK_CUT_EVERY", "1"))
"""For whoever has no hours: every so-manieth case of the whole table."""
TABLE = "cut table"
T = TypeVar("T")
whole = pytest.mark.skipif("KIOSK_SOAK" not in os.environ, reason="the whole table takes hours: `make soak`")
both_ways = pytest.mark.parametrize("tls", [True, False], ids=["TLS", "plain HTTP"])

CA, KIOSK = Toward
SOME: Sequence[tuple[Errand, bool, Cut]] = (
    (RENEWAL, True, Cut(GENM, KIOSK, "sealed 1", Place.MIDDLE, Fault.FLIP)),
    (RENEWAL, True, Cut(KUR, KIOSK, "sealed 4", Place.LAST, Fault.CLOSE)),
    (RENEWAL, False, Cut(KUR, CA, "the body", Place.MIDDLE, Fault.FLIP)),
    (RENEWAL, False, Cut(CERTCONF, KIOSK, "the first line", Place.FIRST, Fault.RESET)),
    (ENROLMENT, False, Cut(CERTCONF, KIOSK, "the body", Place.LAST, Fault.STALL)),
    (APPROVED_ENROLMENT, False, Cut(POLLREQ, KIOSK, "the body", Place.MIDDLE, Fault.PAUSE)),
    (REJECTED, False, Cut(CERTCONF, KIOSK, "the empty line", Place.FIRST, Fault.CLOSE)),
    (RESUMED, False, Cut(KUR, KIOSK, "the body", Place.MIDDLE, Fault.RESET)),
    (RESUMED, False, Cut(GENM, CA, "the body", Place.MIDDLE, Fault.FLIP)),
)
SOME_DROPS: Sequence[tuple[Errand, bool, Drop]] = (
    (RENEWAL, True, Drop(1, Parting.RESET)),
    (RENEWAL, False, Drop(2, Parting.CROSS)),
)


@pytest.mark.parametrize(("errand", "tls", "cut"), SOME, ids=[f"{a.name}-{c}" for a, _, c in SOME])
async def test_a_cut_loses_nothing(tmp_path: Path, errand: Errand, tls: bool, cut: Cut) -> None:
    with counted(TABLE):
        await cut_visit(tmp_path / "bank", errand, cut, tls=tls)


@pytest.mark.parametrize(("errand", "tls", "drop"), SOME_DROPS, ids=[each.parting.value for _, _, each in SOME_DROPS])
async def test_a_kept_connection_that_is_gone_loses_nothing(
    tmp_path: Path, errand: Errand, tls: bool, drop: Drop
) -> None:
    with counted(TABLE):
        await kept_visit(tmp_path / "bank", errand, drop, tls=tls)


@whole
@both_ways
@pytest.mark.parametrize("errand", ERRANDS, ids=lambda errand: errand.name)
async def test_cut_anywhere(tmp_path: Path, errand: Errand, tls: bool) -> None:
    shown = await cut_visit(tmp_path / "whole", errand, None, tls=tls)
    cuts = [each for each in cuts_of(shown.seen) if errand.cuts(each.exchange)]
    await none_is_lost(cuts, lambda name, cut: cut_visit(tmp_path / name, errand, cut, tls=tls))


@whole
@both_ways
@pytest.mark.parametrize("errand", [RENEWAL, ENROLMENT, APPROVED], ids=lambda errand: errand.name)
async def test_gone_between_any_two_exchanges(tmp_path: Path, errand: Errand, tls: bool) -> None:
    shown = await kept_visit(tmp_path / "whole", errand, None, tls=tls)
    drops = drops_of(shown.exchanges)
    await none_is_lost(drops, lambda name, drop: kept_visit(tmp_path / name, errand, drop, tls=tls))


async def none_is_lost(cases: Iterable[T], run: Callable[[str, T], Awaitable[object]]) -> None:
    lost: list[str] = []
    for number, case in enumerate(cases):
        if number % EVERY:
            continue
        try:
            with counted(TABLE):
                await run(str(number), case)
        except Exception as error:
            lost.append(f"{case}: {error!r}")
    assert not lost, "\n".join(lost)
