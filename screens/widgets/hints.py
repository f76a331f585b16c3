"""The quiet line at the foot of a screen that names the keys."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


class Hints(Widget):
    """One line for whoever has a keyboard or a ten-key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def say(self, text: str) -> None:
        """Show another line."""
        self._text = text
        self.refresh()

    def render(self) -> Content:
        """The line."""
        return Content(self._text)
