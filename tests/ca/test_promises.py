"""Design decision 7 in one process, for whoever asks by a certificate; that of one-time codes is in test_codes."""

from __future__ import annotations

import pytest

from kiosk.cmp.vocabulary import BodyType
from tests.ca.bank import Bank, on_both
from tests.ca.certificate_cells import CELLS, TABLE, check_cell

pytestmark = on_both


@pytest.mark.parametrize(("row", "kind", "same_key"), CELLS)
async def test_every_cell(bank: Bank, row: str, kind: BodyType, same_key: bool) -> None:
    await check_cell(bank, row, kind, same_key=same_key)


def test_the_table_says_how_many_cells_it_has() -> None:
    print(f"{len(CELLS)} cells for kur and cr")
    assert len(CELLS) == 4 * len(TABLE)
