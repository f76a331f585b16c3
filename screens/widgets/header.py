"""The band at the top: whose kiosk this is, and what time it is."""

from __future__ import annotations

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget

from kiosk.moments import now_words, time_words
from screens.countdown import STEP
from screens.lobby import Lobby
from screens.widgets.language_key import LanguageKey
from screens.widgets.plain_text import printable

COLUMN = 100
"""Cells of the column in which header, trail and sheet stand."""


_GAP = 2
"""Cells between branch and time, and between the time and the button."""


class Header(Widget):
    """Bank and branch at the left, date and time by the minute at the right; it draws once a minute.

    Where there is no room for both, the time alone stands there.
    """

    def __init__(self, lobby: Lobby, language_digit: str | None = None) -> None:
        """Show a button for the language, with this digit, unless that is None."""
        super().__init__()
        self._lobby = lobby
        self._shown = ""
        self._language = None if language_digit is None else LanguageKey(lobby, language_digit)

    def compose(self) -> ComposeResult:
        """The button, at the right end of the column."""
        if self._language:
            yield self._language

    def on_mount(self) -> None:
        """Look at the clock every second; nothing is drawn before another minute has come."""
        self.set_interval(STEP, self._tick)

    def on_resize(self) -> None:
        """Keep the button in its column."""
        self._place()

    def retell(self) -> None:
        """Say everything anew, in the present language."""
        self._place()
        self.refresh()

    def render(self) -> Content:
        """One line."""
        margin = " " * self._margin()
        left = f"{margin}{printable(self._lobby.branch.bank)}  "
        branch = printable(self._lobby.branch.name)
        self._shown = self._now()
        behind = (" " * (self._language.width() + _GAP) if self._language else "") + margin
        room = self.size.width - cell_len(left) - cell_len(branch) - cell_len(behind) - _GAP
        told = (self._shown, time_words(self._lobby.clock(), self._lobby.texts))
        clock = next((each for each in told if cell_len(each) <= room), "")
        space = " " * max(0, room + _GAP - cell_len(clock))
        return Content.assemble((left, "bold"), branch, space, clock, behind)

    def _margin(self) -> int:
        return max(2, (self.size.width - COLUMN) // 2)

    def _place(self) -> None:
        if self._language:
            self._language.styles.width = self._language.width()
            self._language.styles.margin = (0, self._margin(), 0, 0)
            self._language.refresh()

    def _tick(self) -> None:
        if self._now() != self._shown:
            self.refresh()

    def _now(self) -> str:
        return now_words(self._lobby.clock(), self._lobby.texts)
