"""Design decision 7, cell by cell, where one process has made what has been and another one is asked."""

from __future__ import annotations

import os

import pytest

from kiosk.cmp.vocabulary import BodyType
from tests.ca import certificate_cells, code_cells
from tests.processes.offices import SharedBank

# Additional certificates go the same way as renewals; `make soak` asks for them as well.
KINDS = (BodyType.KUR, BodyType.CR) if "KIOSK_SOAK" in os.environ else (BodyType.KUR,)
CELLS = [each for each in certificate_cells.CELLS if each[1] in KINDS]


@pytest.mark.parametrize(("row", "kind", "same_key"), CELLS)
async def test_every_cell_by_a_certificate(bank: SharedBank, row: str, kind: BodyType, same_key: bool) -> None:
    await certificate_cells.check_cell(bank, row, kind, same_key=same_key)


@pytest.mark.parametrize(("row", "same_key"), code_cells.CELLS)
async def test_every_cell_by_a_code(bank: SharedBank, row: str, same_key: bool) -> None:
    await code_cells.check_cell(bank, row, same_key=same_key)
