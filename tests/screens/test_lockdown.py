"""Nothing but the kiosk answers."""

from __future__ import annotations

import pytest

from kiosk.desk import RenewalNotice
from tests.screens.samples import NOW, credential
from tests.screens.stage import asking, kiosk, screen_text

NOTICE = RenewalNotice(credential(), 20, NOW)
KEYS = (
    *("ctrl+c", "ctrl+q", "ctrl+p", "ctrl+z", "ctrl+d", "ctrl+backslash", "super+c", "ctrl+v", "alt+f4"),
    *("f1", "f12", "home", "pagedown", "shift+home", "q", "colon", "7"),
)
ACTIONS = (
    *("quit", "app.quit", "app.suspend_process", "app.command_palette", "app.screenshot", "app.toggle_dark"),
    *("app.push_screen('x')", "app.pop_screen", "app.switch_mode('standby')", "app.simulate_key('1')", "app.back"),
    *("screen.copy_text", "app.bell", "app.focus('now')", "app.change_theme", "app.notify('x')"),
)


async def test_keys_that_are_not_the_kiosks_do_nothing() -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, reception):
        before, stack = screen_text(pilot.app), list(pilot.app.screen_stack)
        await pilot.press(*KEYS)
        await pilot.pause()
        assert pilot.app.is_running
        assert reception.answers == []
        assert list(pilot.app.screen_stack) == stack
        assert screen_text(pilot.app) == before


async def test_no_action_is_allowed() -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, reception):
        before = list(pilot.app.screen_stack)
        for action in ACTIONS:
            await pilot.app.run_action(action)
        await pilot.pause()
        assert pilot.app.is_running
        assert list(pilot.app.screen_stack) == before
        assert reception.answers == []


async def test_nothing_leaves_the_kiosk(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, _):
        app = kiosk(pilot.app)
        monkeypatch.setattr(app._driver, "open_url", _never)
        monkeypatch.setattr(app._driver, "write", lambda data: _never() if "]52;" in data else None)
        app.open_url("https://example.com")
        app.copy_to_clipboard("x")
        app.deliver_screenshot()
        app.deliver_text("x")
        app.deliver_binary("x")
        assert not app.clipboard


async def test_text_cannot_be_selected() -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, _):
        await pilot.mouse_down("#sheet", offset=(5, 2))
        await pilot.hover("#sheet", offset=(40, 5))
        await pilot.mouse_up("#sheet", offset=(40, 5))
        assert pilot.app.screen.get_selected_text() is None


def _never(*_args: object, **_options: object) -> None:
    pytest.fail("this reaches out of the kiosk")
