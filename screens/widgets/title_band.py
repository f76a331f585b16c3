"""The band at the top of a dialog."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


class TitleBand(Widget):
    """The dialog's title, across its whole width."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title_text = title

    def say(self, title: str) -> None:
        """Show another title."""
        self._title_text = title
        self.refresh()

    def render(self) -> Content:
        """The title."""
        return Content.styled(self._title_text, "bold")
