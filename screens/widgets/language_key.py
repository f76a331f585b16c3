"""The small button that changes the language, on every screen at the same place."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from screens.lobby import Lobby


class LanguageKey(Widget, can_focus=True):
    """Names the next language in that language itself; a touch leaves the focus where it is."""

    FOCUS_ON_CLICK = False

    @dataclass
    class Pressed(Message):
        """Another language is wanted."""

    def __init__(self, lobby: Lobby, digit: str) -> None:
        super().__init__()
        self._lobby = lobby
        self._digit = digit

    def width(self) -> int:
        """Cells it takes."""
        return cell_len(self._words())

    def render(self) -> Content:
        """The key, and the language."""
        return Content(self._words())

    def on_click(self, event: events.Click) -> None:
        """A touch presses."""
        event.stop()
        self.post_message(self.Pressed())

    def on_key(self, event: events.Key) -> None:
        """Enter presses it where it has the focus."""
        if event.key in {"enter", "space"}:
            event.stop()
            self.post_message(self.Pressed())

    def _words(self) -> str:
        other = self._lobby.next_language_name()
        return f" {self._digit} {other} " if self._digit else f" {other} "
