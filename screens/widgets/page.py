"""The written part of a sheet, in pages where the terminal is too low for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from screens.widgets.blocks import Beside, Block, Drawn, Gap, Prose, Together

_LEAST_BEGINNING = 2
"""Rows of a text that may begin at the foot of a page, where more than half of the page would stay empty without."""


class Page(Widget):
    """Blocks, shown a page at a time. A block is broken only if it is taller than a page, or to fill one."""

    @dataclass
    class Turned(Message):
        """Another page is shown, or there are more or fewer of them."""

        number: int
        of: int

    def __init__(self, blocks: Sequence[Block], id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._blocks = tuple(blocks)
        self._number = 0
        self._told = (0, 1)
        self._laid_out: tuple[Size, list[list[Content]]] | None = None

    def show(self, blocks: Sequence[Block]) -> None:
        """Show `blocks` instead, on the same page number if there still is one."""
        self._blocks = tuple(blocks)
        self._laid_out = None
        self.refresh(layout=True)
        self.call_after_refresh(self._settle)

    def turn(self, by: int) -> None:
        """Turn `by` pages on; behind the last comes the first."""
        self._number = (self._number + by) % len(self._pages())
        self._tell()
        self.refresh()

    @property
    def count(self) -> int:
        """How many pages there are."""
        return len(self._pages())

    def all_rows(self) -> list[Content]:
        """Every row of every page, in order."""
        return [row for page in self._pages() for row in page]

    def render(self) -> Content:
        """The rows of the page."""
        pages = self._pages()
        return Content("\n").join(pages[min(self._number, len(pages) - 1)])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """All rows; the stylesheet limits it."""
        return sum(len(block.rows(width)) for block in self._blocks)

    def on_resize(self, _event: events.Resize) -> None:
        """Other size, other pages."""
        self._settle()

    def _settle(self) -> None:
        self._number = min(self._number, len(self._pages()) - 1)
        self._tell()

    def _tell(self) -> None:
        now = (self._number, len(self._pages()))
        if now != self._told:
            self._told = now
            self.post_message(self.Turned(self._number + 1, now[1]))

    def _pages(self) -> list[list[Content]]:
        size = self.size
        if self._laid_out is None or self._laid_out[0] != size:
            self._laid_out = (size, paginate(self._blocks, max(size.width, 2), max(size.height, 1)))
        return self._laid_out[1]


def paginate(blocks: Sequence[Block], width: int, height: int) -> list[list[Content]]:
    """Lay `blocks` out on pages of `width` by `height` cells; gaps at either end of a page are dropped.

    Pictures are decoration: where there is more than one page, they are left out.
    """
    pages = _laid_out(blocks, width, height)
    if len(pages) > 1 and any(isinstance(block, Drawn) for block in blocks):
        pages = _laid_out([block for block in blocks if not isinstance(block, Drawn)], width, height)
    return pages


def _laid_out(blocks: Sequence[Block], width: int, height: int) -> list[list[Content]]:
    pages: list[list[Content]] = [[]]
    for block in blocks:
        _lay_out(block, pages, width, height)
    return [_trimmed(page) for page in pages if page] or [[]]


def _lay_out(block: Block, pages: list[list[Content]], width: int, height: int) -> None:
    """Set `block` behind what is on the last page, or on new ones."""
    rows = block.rows(width)
    rest = height - len(pages[-1])
    if isinstance(block, Gap):
        pages[-1] += rows[:rest] if pages[-1] else []
        return
    if len(rows) > rest:
        much_left = rest >= max(_LEAST_BEGINNING, height // 2)
        parts = block.parts(width) if isinstance(block, Together | Beside) else ()
        if parts and (len(rows) > height or much_left):
            for part in parts:
                _lay_out(part, pages, width, height)
            return
        if pages[-1]:
            begun = rest if isinstance(block, Prose) and much_left else 0
            pages[-1] += rows[:begun]
            rows = rows[begun:]
            pages.append([])
    while len(rows) > height:
        pages[-1] += rows[:height]
        rows = rows[height:]
        pages.append([])
    pages[-1] += rows


def _trimmed(page: list[Content]) -> list[Content]:
    while page and not page[-1].plain:
        page = page[:-1]
    return page
