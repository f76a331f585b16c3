"""A QR code of half blocks, two modules a cell, dark on light in every theme."""

from __future__ import annotations

import segno
from textual.content import Content
from textual.widget import Widget

QUIET_ZONE = 4
"""Modules of light around the code (ISO/IEC 18004 §9.1)."""
_LOOK = "$code-ink on $code-paper"
_CELLS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def qr_rows(text: str) -> tuple[str, ...]:
    """The code of `text`, quiet zone included, in rows of cells.

    The lowest level of correction: a screen has no scratches, and cells are scarce.
    """
    code = segno.make(text, error="l", micro=False, boost_error=False, encoding="utf-8")
    modules = [[bool(module) for module in row] for row in code.matrix_iter(border=QUIET_ZONE)]
    if len(modules) % 2:
        modules.append([False] * len(modules[0]))
    pairs = zip(modules[::2], modules[1::2], strict=True)
    return tuple("".join(_CELLS[pair] for pair in zip(*rows, strict=True)) for rows in pairs)


class QrPicture(Widget):
    """The code, as large as it is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.say(text)

    def say(self, text: str) -> None:
        """Show the code of another text."""
        self._rows = qr_rows(text)
        self.styles.width, self.styles.height = len(self._rows[0]), len(self._rows)
        self.refresh()

    def render(self) -> Content:
        """The rows."""
        return Content.styled("\n".join(self._rows), _LOOK)
