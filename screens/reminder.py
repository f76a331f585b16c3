"""スマートフォンに残す: the day the next renewal opens, for the customer's own calendar."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Size

from kiosk.moments import day_words
from kiosk.reminder import Reminder, calendar_entry
from kiosk.texts import Texts
from screens.lobby import Lobby
from screens.qr_screen import QrScreen, code_fits
from screens.widgets.blocks import Block, Gap, Heading, Prose
from screens.widgets.looks import Look

_AROUND = Size(8, 1)
"""Cells this screen keeps for other things than code and words: margins, and the header."""


class ReminderScreen(QrScreen):
    """The code takes all the height there is: there is neither trail nor hint here."""

    def __init__(self, lobby: Lobby, reminder: Reminder) -> None:
        super().__init__(lobby)
        self._reminder = reminder

    def encoded(self) -> str:
        """The calendar entry."""
        return calendar_entry(self._reminder, self.lobby.texts)

    def blocks(self) -> Sequence[Block]:
        """The day in words, for whoever has no phone at hand."""
        texts = self.lobby.texts
        return [
            Heading(texts("reminder.heading")),
            Gap(),
            Prose(texts("completion.next"), Look.QUIET),
            Prose(day_words(self._reminder.day, texts), Look.STRONG),
            Gap(),
            Prose(texts("reminder.id"), Look.QUIET),
            Prose(self._reminder.id_in_part, Look.STRONG),
            Gap(),
            Prose(self.about_code("reminder.body", "reminder.too-small")),
        ]


def reminder_fits(reminder: Reminder, texts: Texts, terminal: Size) -> bool:
    """Whether a terminal of this size has room for the code."""
    return code_fits(calendar_entry(reminder, texts), terminal - _AROUND)
