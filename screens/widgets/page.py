"""The written part of a sheet, in pages where the terminal is too low for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from screens.widgets.blocks import Block, Gap


class Page(Widget):
    """Blocks, shown a page at a time. A block is broken over pages only if it is taller than a page."""

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
    """Lay `blocks` out on pages of `width` by `height` cells; gaps at either end of a page are dropped."""
    pages: list[list[Content]] = [[]]
    for block in blocks:
        rows = block.rows(width)
        if isinstance(block, Gap):
            if pages[-1]:
                pages[-1] += rows[: height - len(pages[-1])]
            continue
        if pages[-1] and len(pages[-1]) + len(rows) > height:
            pages.append([])
        while len(rows) > height:
            pages[-1] += rows[:height]
            rows = rows[height:]
            pages.append([])
        pages[-1] += rows
    return [_trimmed(page) for page in pages if page] or [[]]


def _trimmed(page: list[Content]) -> list[Content]:
    while page and not page[-1].plain:
        page = page[:-1]
    return page
