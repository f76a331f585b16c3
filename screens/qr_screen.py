"""What the screens have in common that a phone's camera can read."""

from __future__ import annotations

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Size

from kiosk.text_keys import TextKey
from screens.frame import Question
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.page import Page
from screens.widgets.qr_picture import QrPicture, qr_rows

TEXT_CELLS = 30
"""Cells that the text beside a code needs."""
_BETWEEN = 3


class QrScreen(Question[None]):
    """A code at the left, what it is at the right; where the code does not fit, the text says so instead."""

    HINT = "hint.back"
    fits = True
    """Whether there is room for the code."""

    def encoded(self) -> str:
        """What the code says."""
        raise NotImplementedError

    def about_code(self, fitting: TextKey, too_small: TextKey) -> str:
        """What there is to say about the code, or about its absence."""
        return self.lobby.texts(fitting if self.fits else too_small)

    def choices(self) -> list[Choice]:
        """もどる."""
        return [Choice(self.lobby.texts("back"), digit="0", back=True, id="back")]

    def compose_sheet(self) -> ComposeResult:
        """Code, text and button."""
        with Horizontal(id="beside"):
            yield QrPicture(self.encoded())
            with Vertical(id="about"):
                yield Page(self.blocks())
                yield Choices(self.choices())

    def retell(self) -> None:
        """The code as well: its words are in the language of the customer."""
        super().retell()
        self.query_one(QrPicture).say(self.encoded())
        self.call_after_refresh(self._fit)

    def on_resize(self, _event: events.Resize) -> None:
        """Other size: the code may fit now, or no longer."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        self.fits = code_fits(self.encoded(), self.query_one("#beside").size)
        self.query_one(QrPicture).display = self.fits
        self.query_one(Page).show(self.blocks())

    @on(Choice.Pressed, "#back")
    def _back(self) -> None:
        self.answer(None)


def code_fits(text: str, room: Size) -> bool:
    """Whether the code of `text` and a column of words fit into `room`."""
    rows = qr_rows(text)
    return len(rows) <= room.height and len(rows[0]) + _BETWEEN + TEXT_CELLS <= room.width
