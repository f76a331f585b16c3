"""One renewal, the same code, over every store; `tests/pc` has the rows that are nothing for root."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiosk.tokens.wire import KeyKind
from tests.flows.renewal_over_stores import KINDS, renew_over
from tests.flows.stores import STORES, Store

HERE = [each for each in STORES if not each.ordinary_user]


@pytest.mark.parametrize(("old", "new"), KINDS)
@pytest.mark.parametrize("store", HERE, ids=lambda store: store.name)
async def test_a_renewal(store: Store, old: KeyKind, new: KeyKind, tmp_path: Path) -> None:
    await renew_over(store, tmp_path / "bank", old, new)
