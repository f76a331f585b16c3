"""待機画面, while nobody touches it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kiosk.app import KioskApp
from kiosk.desk import Standby
from tests.screens.gallery import gallery_app
from tests.screens.samples import NOW
from tests.screens.stage import BRANCH, SIZE, screen_text, until
from tests.screens.tour import Guide


async def test_the_clock_in_the_header_goes() -> None:
    now = [NOW]
    guide = Guide()
    guide.tell(None, (Standby.INSERT, None))
    app = KioskApp(guide, BRANCH, lambda: now[0], settle_seconds=0.0)
    async with app.run_test(size=SIZE):
        await until(lambda: "14:05" in screen_text(app))
        now[0] += timedelta(minutes=1)
        await until(lambda: "14:06" in screen_text(app))


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize(("name", "size"), [("standby", (60, 18)), ("forgotten", (60, 18)), ("enrol-code", (80, 24))])
async def test_the_time_is_told_where_there_is_no_room_for_the_date(
    name: str, size: tuple[int, int], language: str
) -> None:
    app = gallery_app(name, language)
    async with app.run_test(size=size):
        await until(lambda: "14:05" in screen_text(app).splitlines()[0])
