"""Stylesheets are read once; what they say goes by the theme all the same."""

from __future__ import annotations

from unittest.mock import patch

from textual.color import Color
from textual.css import stylesheet

from screens.themes import DEFAULT_THEME, other_theme, themes
from tests.screens.gallery import SCENES
from tests.screens.stage import asking


async def test_a_second_kiosk_and_a_second_change_of_theme_read_nothing_anew() -> None:
    await a_visit_in_both_themes()
    with patch.object(stylesheet, "parse", side_effect=AssertionError("read again")):
        await a_visit_in_both_themes()


async def a_visit_in_both_themes() -> None:
    grounds = {theme.name: Color.parse(theme.variables["ground"]) for theme in themes()}
    async with asking(SCENES["main-menu"]) as (pilot, _):
        for name in (DEFAULT_THEME, other_theme(DEFAULT_THEME), DEFAULT_THEME):
            pilot.app.theme = name
            await pilot.pause()
            assert pilot.app.screen.styles.background == grounds[name]
