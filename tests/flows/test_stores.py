"""One renewal, the same code, over every store; `tests/pc` has the rows that are nothing for root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.tokens.wire import KeyKind
from tests.flows.renewal_over_stores import KINDS, renew_over
from tests.flows.stores import STORES, Store


def _rows() -> Iterator[object]:
    for store in STORES:
        for old, new in KINDS:
            if not store.ordinary_user and {old, new} <= store.kinds:
                marks = [pytest.mark.tokens] if store.why_not else []
                yield pytest.param(store, old, new, id=f"{store.name}-{old.value}-{new.value}", marks=marks)


@pytest.mark.parametrize(("store", "old", "new"), _rows())
async def test_a_renewal(store: Store, old: KeyKind, new: KeyKind, tmp_path: Path) -> None:
    if store.why_not and (why := store.why_not()):
        pytest.skip(f"{store.name}: {why}")
    await renew_over(store, tmp_path / "bank", old, new)
