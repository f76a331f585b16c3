"""待機画面, while nobody touches it."""

from __future__ import annotations

from datetime import timedelta

from kiosk.app import KioskApp
from kiosk.desk import Standby
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
