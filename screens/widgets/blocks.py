"""What a sheet is written with: blocks that turn a width into rows of text.

Whatever a block is given is literal text; there is no markup anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len
from textual.content import Content

from screens.widgets.big import big_letters
from screens.widgets.looks import Look
from screens.widgets.phrases import wrap
from screens.widgets.plain_text import printable


class Block(Protocol):
    """Something written on a sheet."""

    def rows(self, width: int) -> list[Content]:
        """The rows of this block, none wider than `width` cells."""


@dataclass(frozen=True, slots=True)
class Prose:
    """Running text that breaks between phrases; `mark` hangs before the first line."""

    text: str
    look: Look = Look.BODY
    mark: str = ""
    mark_look: Look | None = None
    strong: str = ""
    """A part of the text that is emphasised."""

    def rows(self, width: int) -> list[Content]:
        """The lines of the text."""
        hang = cell_len(self.mark)
        lines = wrap(printable(self.text), width - hang)
        leads = [self.mark] + [" " * hang] * (len(lines) - 1)
        mark_look = self.mark_look or self.look
        bold = self._strong_columns(lines)
        return [
            Content.assemble((lead, mark_look), _emphasised(line, self.look, span))
            for lead, line, span in zip(leads, lines, bold, strict=True)
        ]

    def _strong_columns(self, lines: Sequence[str]) -> list[tuple[int, int]]:
        """Where in each line the emphasised part lies, counted without spaces: breaking a line drops some."""
        begin = _solid(self.text).find(_solid(self.strong)) if self.strong else -1
        inside = range(begin, begin + len(_solid(self.strong))) if begin >= 0 else range(0)
        spans, at = [], 0
        for line in lines:
            columns = []
            for column, letter in enumerate(line):
                if not letter.isspace():
                    if at in inside:
                        columns.append(column)
                    at += 1
            spans.append((columns[0], columns[-1] + 1) if columns else (0, 0))
        return spans


def _solid(text: str) -> str:
    return "".join(text.split())


def _emphasised(line: str, look: Look, span: tuple[int, int]) -> Content:
    content = Content.styled(line, look)
    return content.stylize("bold", *span) if span[0] < span[1] else content


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a screen, with the bar Japanese printed matter puts before one."""

    text: str

    def rows(self, width: int) -> list[Content]:
        """The lines of the heading, each behind the bar."""
        lines = wrap(printable(self.text), width - 2)
        return [Content.assemble(("▌ ", Look.KICKER), (line, Look.HEADING)) for line in lines]


@dataclass(frozen=True, slots=True)
class Gap:
    """Empty rows; dropped where a page begins or ends."""

    size: int = 1

    def rows(self, width: int) -> list[Content]:
        """Nothing, `size` times."""
        return [Content("")] * (self.size if width else 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """A thin line across the sheet."""

    def rows(self, width: int) -> list[Content]:
        """The line."""
        return [Content.styled("─" * width, Look.RULE)]


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and what they say, in two columns."""

    pairs: Sequence[tuple[str, str]]
    joint: str = "  "
    value_look: Look = Look.STRONG

    def rows(self, width: int) -> list[Content]:
        """A row for each pair, more where the value is long; labels above values where the sheet is narrow."""
        column = max(cell_len(label) for label, _ in self.pairs)
        hang = column + cell_len(self.joint)
        if width - hang < 16:
            return self._stacked(width)
        found: list[Content] = []
        for label, value in self.pairs:
            lead = label + " " * (column - cell_len(label)) + self.joint
            for line in wrap(printable(value), width - hang):
                found.append(Content.assemble((lead, Look.QUIET), (line, self.value_look)))
                lead = " " * hang
        return found

    def _stacked(self, width: int) -> list[Content]:
        found: list[Content] = []
        for label, value in self.pairs:
            found += Prose(label, Look.QUIET).rows(width) + Prose(value, self.value_look, mark="  ").rows(width)
        return found


@dataclass(frozen=True, slots=True)
class Big:
    """Big letters with a word before and behind, on their last row."""

    letters: str
    before: str = ""
    behind: str = ""
    look: Look = Look.BIG

    def rows(self, width: int) -> list[Content]:
        """Three rows, or one of plain letters where they do not fit."""
        shapes = big_letters(self.letters)
        before = f"{self.before} " if self.before else ""
        if cell_len(before) + len(shapes[0]) + 1 + cell_len(self.behind) > width:
            return [Content.styled(f"{before}{self.letters} {self.behind}".strip(), self.look)]
        blank = " " * cell_len(before)
        return [
            Content.assemble((blank, Look.BODY), (shapes[0], self.look)),
            Content.assemble((blank, Look.BODY), (shapes[1], self.look)),
            Content.assemble((before, Look.STRONG), (shapes[2], self.look), (f" {self.behind}", Look.STRONG)),
        ]


@dataclass(frozen=True, slots=True)
class Beside:
    """Two blocks side by side where both fit, one above the other where not."""

    left: Block
    right: Block
    left_width: int
    gap: int = 4
    needs: int = 36
    """Cells the right one needs to stand beside."""
    above: Block | None = None
    """What takes the place of the left one above the right one, where rows are dear."""

    def rows(self, width: int) -> list[Content]:
        """The rows of both."""
        rest = width - self.left_width - self.gap
        if rest < self.needs:
            return [row for part in self.parts(width) for row in part.rows(width)]
        left, right = self.left.rows(self.left_width), self.right.rows(rest)
        height = max(len(left), len(right))
        left += [Content("")] * (height - len(left))
        right += [Content("")] * (height - len(right))
        return [
            Content.assemble(a, " " * (self.left_width + self.gap - a.cell_length), b)
            for a, b in zip(left, right, strict=True)
        ]

    def parts(self, width: int) -> Sequence[Block]:
        """What it is made of where the two do not fit beside each other."""
        if width - self.left_width - self.gap >= self.needs:
            return ()
        return (self.above or self.left, Gap(), self.right)


@dataclass(frozen=True, slots=True)
class Meter:
    """A bar that is full up to `part`, with a word at either end below it."""

    part: float
    first: str = ""
    last: str = ""
    widest: int = 120

    def rows(self, width: int) -> list[Content]:
        """The bar, and below it the words."""
        length = min(width, self.widest)
        full = round(max(0.0, min(1.0, self.part)) * length)
        bar = Content.assemble(("▄" * full, Look.KICKER), ("▁" * (length - full), Look.RULE))
        if not (self.first or self.last):
            return [bar]
        space = length - cell_len(self.first) - cell_len(self.last)
        if space < 2:
            return [bar]
        return [bar, Content.styled(self.first + " " * space + self.last, Look.QUIET)]


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning: a mark, and text that must not be missed."""

    text: str

    def rows(self, width: int) -> list[Content]:
        """The warning behind its mark."""
        return Prose(self.text, Look.WARNING, mark="! ", mark_look=Look.WARNING).rows(width)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows drawn beforehand, centred."""

    picture: Sequence[Content]

    def rows(self, width: int) -> list[Content]:
        """The picture in the middle, or nothing where it does not fit."""
        widest = max(row.cell_length for row in self.picture)
        if widest > width:
            return []
        return [Content.assemble(" " * ((width - widest) // 2), row) for row in self.picture]


@dataclass(frozen=True, slots=True)
class Centred:
    """Text in the middle of the sheet."""

    text: str
    look: Look = Look.BODY

    def rows(self, width: int) -> list[Content]:
        """The lines, each in the middle."""
        lines = wrap(printable(self.text), width)
        return [Content.assemble(" " * ((width - cell_len(line)) // 2), (line, self.look)) for line in lines]


@dataclass(frozen=True, slots=True)
class Banner:
    """The one thing a screen has to say, between two rules in the middle of the sheet."""

    text: str

    def rows(self, width: int) -> list[Content]:
        """The rules, and the text between them."""
        lines = wrap(printable(self.text), width - 8)
        length = min(width, max(cell_len(line) for line in lines) + 16)
        rule = Content.assemble(" " * ((width - length) // 2), ("━" * length, Look.KICKER))
        return [rule, *Centred(self.text, Look.HEADING).rows(width), rule]


@dataclass(frozen=True, slots=True)
class Together:
    """Blocks that stay on one page."""

    blocks: Sequence[Block]

    def rows(self, width: int) -> list[Content]:
        """The rows of all of them."""
        return [row for block in self.blocks for row in block.rows(width)]

    def parts(self, width: int) -> Sequence[Block]:  # noqa: ARG002
        """What it is made of, for a page that is too low for all of it."""
        return self.blocks
