"""The button bar at the foot of a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget

from screens.widgets.choice import TIGHT, Choice

_GAP = 2
_NARROW = 60
"""Cells of a bar below which the gaps between buttons are smaller."""
_WIDEST = 46
_LEAST = 16
"""Cells of a button that anybody can hit."""
_FEW = 2
"""So many buttons always share a row."""
_TALLEST = 4
"""Rows of a button with two lines: words in more lines than that are hard to read as one name."""


class Choices(Widget):
    """Buttons of one size in a row; those that lead back or turn pages stand at the right, or in a row below."""

    @dataclass
    class Widened(Message):
        """The bar has another width than before, and its buttons other sizes."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        super().__init__()
        self.buttons = tuple(choices)
        self._fitted_to = 0

    def compose(self) -> ComposeResult:
        """The two rows."""
        yield Horizontal(*(each for each in self.buttons if not each.back), classes="forward")
        yield Horizontal(*(each for each in self.buttons if each.back), classes="back")

    def on_mount(self) -> None:
        """Sizes are known once there is a width."""
        self.fit()

    def on_resize(self, _event: events.Resize) -> None:
        """Other width, other sizes."""
        self.fit()
        if self.size.width != self._fitted_to:
            self._fitted_to = self.size.width
            self.post_message(self.Widened())

    def fit(self) -> None:
        """Give the buttons their sizes for the present width."""
        width = self.size.width
        if not width:
            return
        shown = [each for each in self.buttons if each.display]
        forward = [each for each in shown if not each.back]
        back = [each for each in shown if each.back]
        gap = self._gap()
        for each in self.buttons:
            each.set_class(gap < _GAP, TIGHT)
        one_row = bool(forward) and sum(each.least_width() + gap for each in shown) - gap <= width
        self.set_class(not one_row, "-stacked")
        self.set_class(gap < _GAP, "-narrow")
        taken = sum(each.least_width() + gap for each in back) if one_row else 0
        tall = self._size_row(forward, width - taken)
        low = self._size_row(back, width, equal=False)
        wrapped = len(back) > _FEW and (low > _TALLEST or len(back) * (_LEAST + gap) - gap > width)
        self.set_class(wrapped, "-wrapped")
        if wrapped:
            low = self._size_wrapped(back, width)
        if one_row:
            self._heighten(shown, max(tall, low))

    def _size_row(self, row: Sequence[Choice], width: int, *, equal: bool = True) -> int:
        if not row:
            return 0
        gap = self._gap()
        share = min(_WIDEST, (width - gap * (len(row) - 1)) // len(row))
        equal = equal or sum(each.least_width() + gap for each in row) - gap > width
        widths = self._widths(row, share, width) if equal else [each.least_width() for each in row]
        for each, cells in zip(row, widths, strict=True):
            each.styles.width = cells
        rows = max(each.rows_at(cells) for each, cells in zip(row, widths, strict=True))
        self._heighten(row, rows)
        return rows

    def _size_wrapped(self, row: Sequence[Choice], width: int) -> int:
        """The first, whose words are the longest, has a row of its own, and the others share the next."""
        first, *others = row
        rows = self._size_row([first], width, equal=False), self._size_row(others, width)
        back = self.query_one(".back")
        back.styles.grid_size_columns = first.styles.column_span = len(others)
        back.styles.grid_rows = " ".join(map(str, rows))
        return sum(rows)

    def _widths(self, row: Sequence[Choice], share: int, width: int) -> list[int]:
        """The same for all; more for the one whose words would be broken, where the others can do with less."""
        whole = [max(each.whole_width(), _LEAST) for each in row]
        spare = width - self._gap() * (len(row) - 1) - sum(whole)
        if max(whole) <= share or spare < 0:
            return [share] * len(row)
        return [cells + spare // len(row) for cells in whole]

    def _gap(self) -> int:
        return _GAP if self.size.width >= _NARROW else 1

    @staticmethod
    def _heighten(row: Sequence[Choice], rows: int) -> None:
        for each in row:
            each.styles.height = rows
