"""One Japanese picture a screen, in the cells of the kiosk display."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.screens.gallery import NAMES, gallery_app
from tests.screens.stage import SIZE, undrawn


async def _settle(pilot: Pilot[None]) -> None:
    await pilot.pause()


@pytest.mark.parametrize("name", NAMES)
def test_screen(name: str, snap_compare: Callable[..., bool]) -> None:
    with undrawn():
        assert snap_compare(gallery_app(name), terminal_size=SIZE, run_before=_settle)


def test_no_picture_is_left_over(request: pytest.FixtureRequest) -> None:
    """Where tests run side by side nobody else looks for pictures of screens that are gone."""
    if request.config.getoption("update_snapshots"):
        pytest.skip("they are made and removed when this session ends")
    pictures = {file.name for file in Path(__file__).with_name("__snapshots__").rglob("*.svg")}
    assert pictures == {f"test_screen[{name}].svg" for name in NAMES}
