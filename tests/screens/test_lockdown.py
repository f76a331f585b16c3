"""Nothing but the kiosk answers."""

from __future__ import annotations

import string
from collections.abc import Awaitable, Callable
from itertools import product

import pytest
from textual import events
from textual.app import App
from textual.content import Content
from textual.keys import Keys
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from kiosk.desk import CodeQuestion, Completion, Desk, Destination, RenewalNotice, RetirementQuestion
from tests.screens.samples import NOW, certificate, credential
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


PLAIN_KEYS = (*string.ascii_lowercase, *string.digits, *(f"f{number}" for number in range(1, 25)), *Keys.__members__)
MODIFIERS = ("ctrl", "alt", "shift", "super", "hyper", "meta", "ctrl+shift", "ctrl+alt", "alt+shift")
OURS = frozenset({*"1290", "enter", "space", "tab", "shift+tab", "up", "down", "left", "right", "escape", "backspace"})
"""What the notice answers to. 0, escape and backspace lead back where there is a way back."""


def every_key() -> list[tuple[str, str | None]]:
    """Every key and chord Textual has a name for, and every sign a keyboard types; name and sign."""
    names = {*(key.value for key in Keys), *PLAIN_KEYS}
    names |= {f"{modifier}+{key}" for modifier, key in product(MODIFIERS, names) if "+" not in key}
    signs = [(sign, sign) for sign in string.printable if sign not in OURS and not sign.isspace()]
    return [*((name, None) for name in sorted(names - OURS) if not name.startswith("<")), *signs]


async def test_every_key_and_chord_does_nothing() -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, reception):
        app = kiosk(pilot.app)
        before, stack = screen_text(app), list(app.screen_stack)
        theme, language, focused = app.theme, app._lobby.texts.language, app.focused
        keys = every_key()
        assert len(keys) > 1000
        for number, (name, sign) in enumerate(keys):
            app.post_message(events.Key(name, sign))
            if number % 100 == 0:
                await pilot.pause()
        await pilot.pause()
        assert app.is_running
        assert reception.answers == []
        assert list(app.screen_stack) == stack
        assert screen_text(app) == before
        assert (app.theme, app._lobby.texts.language, app.focused) == (theme, language, focused)
        assert not app.clipboard


MORE: dict[str, Callable[[Desk], Awaitable[object]]] = {
    "code": lambda desk: desk.ask_code(CodeQuestion("TKYM1408054")),
    "retirement": lambda desk: desk.confirm_retirement(RetirementQuestion(certificate(), 600)),
    "saved to the PC": lambda desk: desk.show_completion(Completion(Destination.PC, certificate(), certificate())),
}


@pytest.mark.parametrize("name", MORE)
async def test_every_other_key_does_nothing_on_screens_of_the_pc_and_of_an_enrolment(name: str) -> None:
    async with asking(MORE[name]) as (pilot, reception):
        app = kiosk(pilot.app)
        before, stack = screen_text(app), list(app.screen_stack)
        for number, (key, sign) in enumerate(every_key()):
            if key not in string.digits:
                app.post_message(events.Key(key, sign))
            if number % 100 == 0:
                await pilot.pause()
        await pilot.pause()
        assert app.is_running
        assert reception.answers == []
        assert list(app.screen_stack) == stack
        assert screen_text(app) == before


def every_action() -> list[str]:
    """Every action that Textual's app, screens and widgets have, wherever it is called from."""
    kinds = (App, Screen, Widget, *Widget.__subclasses__())
    names = {name.removeprefix("action_") for kind in kinds for name in dir(kind) if name.startswith("action_")}
    return [f"{place}{name}" for place in ("", "app.", "screen.", "focused.") for name in sorted(names)]


async def test_every_action_is_refused() -> None:
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, reception):
        app = kiosk(pilot.app)
        before, stack, theme = screen_text(app), list(app.screen_stack), app.theme
        actions = every_action()
        assert {"app.quit", "app.screenshot", "screen.copy_text", "app.change_theme"} <= set(actions)
        for action in actions:
            for call in (action, f"{action}()", f"{action}('x')"):
                await app.run_action(call)
        await pilot.pause()
        assert app.is_running
        assert reception.answers == []
        assert (screen_text(app), list(app.screen_stack), app.theme) == (before, stack, theme)


async def test_a_link_to_an_action_leads_nowhere() -> None:
    """No text of ours is markup; where some were, a touch on it would still do nothing."""
    links = ("app.quit", "app.screenshot", "app.suspend_process", "screen.dismiss", "app.switch_mode('standby')")
    async with asking(lambda desk: desk.show_notice(NOTICE)) as (pilot, reception):
        app = kiosk(pilot.app)
        stack = list(app.screen_stack)
        for link in links:
            label = Static(Content.from_markup(f"[@click={link}]{'x' * 30}[/]"))
            await app.screen.mount(label, before=0)
            await pilot.click(label, offset=(2, 0))
            await pilot.pause()
            assert app.is_running, link
            assert list(app.screen_stack) == stack, link
            await label.remove()
        assert reception.answers == []


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
