"""Webアクセスの確認: leave to act in the customer's name, asked twice."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import WebAccessQuestion
from kiosk.words import leave_asked
from screens.dialog import Dialog
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Facts, Gap, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.trail import Stage


class WebAccessScreen(Dialog[bool]):
    """1 asks leave to make keys and send the request, 2 to receive the certificate and store it."""

    TITLE_TEXT = "web-access.heading"
    STAGE = Stage.CONFIRMATION
    HINT = "hint.back"

    def __init__(self, lobby: Lobby, question: WebAccessQuestion) -> None:
        super().__init__(lobby)
        self._question = question

    def title_text(self) -> str:
        """The manual's title, and which of the two times this is."""
        return f"{super().title_text()}　{self._question.number}/{self._question.of}"

    def blocks(self) -> Sequence[Block]:
        """Who is asked for what."""
        texts, question = self.lobby.texts, self._question
        no_return: list[Block] = [Gap(), Notice(texts("key-export.no-return"))] if question.last else []
        return [
            Prose(texts(leave_asked(question))),
            Gap(),
            Facts([(texts("fact.authority"), question.authority)]),
            *no_return,
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
