"""Things to pick one of: rows numbered for the ten-key, in pages where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget

from screens.widgets.choice import Choice

MOST_ON_A_PAGE = 7
"""8 turns pages, 9 changes the language, 0 leads back."""


class Picks(Widget):
    """Buttons of one width, one below another, a page at a time; each page numbers its rows from 1."""

    @dataclass
    class Turned(Message):
        """Another page is shown, or there are more or fewer of them."""

        number: int
        of: int

    def __init__(self, picks: Sequence[Choice]) -> None:
        super().__init__()
        self.picks = tuple(picks)
        self._page = 0

    def compose(self) -> ComposeResult:
        """All of them; those of other pages are not displayed."""
        yield from self.picks

    def on_resize(self, _event: events.Resize) -> None:
        """Other size, other pages."""
        self.fit()

    def turn(self, by: int) -> None:
        """Turn `by` pages on; behind the last comes the first."""
        self._page = (self._page + by) % self._pages()
        self.fit()
        next(each for each in self.picks if each.display).focus()

    def fit(self) -> None:
        """Give the rows of the page their height and number."""
        if not self.size.width:
            return
        height, on_a_page = self._row_height(), self._on_a_page()
        self._page = min(self._page, self._pages() - 1)
        first = self._page * on_a_page
        for place, each in enumerate(self.picks):
            each.display = first <= place < first + on_a_page
            each.digit = str(place - first + 1) if each.display else ""
            each.styles.height = height
            each.refresh()
        self.post_message(self.Turned(self._page + 1, self._pages()))

    def _row_height(self) -> int:
        return max(each.rows_at(self.size.width) for each in self.picks)

    def _on_a_page(self) -> int:
        return max(1, min(MOST_ON_A_PAGE, self.size.height // self._row_height()))

    def _pages(self) -> int:
        return -(-len(self.picks) // self._on_a_page())
