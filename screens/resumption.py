"""An earlier renewal was cut: is it to be gone on with?"""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import ResumptionQuestion
from kiosk.words import holder_words, resumption_words
from screens.dialog import Dialog
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Facts, Gap, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.trail import Stage


class ResumptionScreen(Dialog[bool]):
    """Says how far it has come, and what is not asked again. After 「はい」 there is only forward."""

    TITLE_TEXT = "resumption.heading"
    STAGE = Stage.CONFIRMATION
    HINT = "hint.back"

    def __init__(self, lobby: Lobby, question: ResumptionQuestion) -> None:
        super().__init__(lobby)
        self._question = question

    def blocks(self) -> Sequence[Block]:
        """How far it has come, whose it is, and what follows."""
        texts = self.lobby.texts
        return [
            Prose(resumption_words(self._question, texts)),
            Gap(),
            Facts([(texts("fact.holder"), holder_words(self._question.credential.holder, texts))]),
            Gap(),
            Prose(texts("resumption.not-again")),
            Notice(texts("key-export.no-return")),
        ]

    def choices(self) -> Sequence[Choice]:
        """「はい」 「いいえ」."""
        texts = self.lobby.texts
        return [Choice(texts("yes"), digit="1", id="yes"), Choice(texts("no"), digit="0", id="no")]

    @on(Choice.Pressed, "#yes")
    def _yes(self) -> None:
        self.answer(True)

    @on(Choice.Pressed, "#no")
    def _no(self) -> None:
        self.answer(False)
