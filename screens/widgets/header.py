"""The band at the top: whose kiosk this is, and what time it is."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from kiosk.moments import now_words
from screens.lobby import Lobby
from screens.widgets.plain_text import printable

COLUMN = 100
"""Cells of the column in which header, trail and sheet stand."""


class Header(Widget):
    """Bank and branch at the left, date and time by the minute at the right. It draws once a minute."""

    def __init__(self, lobby: Lobby) -> None:
        super().__init__()
        self._lobby = lobby
        self._shown = ""

    def on_mount(self) -> None:
        """Start the clock."""
        self.set_interval(1, self._tick)

    def render(self) -> Content:
        """One line."""
        margin = " " * max(2, (self.size.width - COLUMN) // 2)
        left = f"{margin}{printable(self._lobby.branch.bank)}  "
        branch = printable(self._lobby.branch.name)
        self._shown = self._now()
        right = self._shown + margin
        space = self.size.width - cell_len(left) - cell_len(branch) - cell_len(right)
        if space < 2:
            return Content.assemble((left, "bold"), branch)
        return Content.assemble((left, "bold"), branch, " " * space, right)

    def _tick(self) -> None:
        if self._now() != self._shown:
            self.refresh()

    def _now(self) -> str:
        return now_words(self._lobby.clock(), self._lobby.texts)
