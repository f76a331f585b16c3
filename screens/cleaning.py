"""Earlier visits have left something that nobody can use any more: may it go?"""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import CleaningQuestion
from kiosk.words import CLEANINGS
from screens.dialog import Dialog
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Prose
from screens.widgets.choice import Choice


class CleaningScreen(Dialog[bool]):
    """Says what it is in one sentence, and that nothing in use is touched."""

    TITLE_TEXT = "cleaning.heading"
    HINT = "hint.choose"

    def __init__(self, lobby: Lobby, question: CleaningQuestion) -> None:
        super().__init__(lobby)
        self._store = question.store

    def blocks(self) -> Sequence[Block]:
        """What has been left where."""
        return [Prose(self.lobby.texts(CLEANINGS[self._store]))]

    def choices(self) -> Sequence[Choice]:
        """「削除する」 「残しておく」."""
        texts = self.lobby.texts
        return [
            Choice(texts("cleaning.remove"), digit="1", id="remove"),
            Choice(texts("cleaning.leave"), digit="3", id="leave"),
        ]

    @on(Choice.Pressed, "#remove")
    def _remove(self) -> None:
        self.answer(True)

    @on(Choice.Pressed, "#leave")
    def _leave(self) -> None:
        self.answer(False)
