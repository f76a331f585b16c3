"""One more wrong PIN locks the USB, or may: is it to be typed all the same?"""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import LastTryAnswer, LastTryQuestion
from kiosk.words import last_try_words
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Banner, Block, Gap, Heading, Prose
from screens.widgets.choice import Choice
from screens.widgets.looks import Look


class LastTryScreen(Question[LastTryAnswer]):
    """Enter says no; a yes has to be chosen."""

    HINT = "hint.back"

    def __init__(self, lobby: Lobby, question: LastTryQuestion) -> None:
        super().__init__(lobby)
        self._question = question
        self._heading, self._body = last_try_words(question)

    def on_mount(self) -> None:
        """Ring where staff has been called."""
        if self._question.called:
            self.app.bell()

    def blocks(self) -> Sequence[Block]:
        """How it stands, what may happen, and the question."""
        texts, question = self.lobby.texts, self._question
        coming: list[Block] = [Banner(texts("call.coming")), Gap()] if question.called else []
        return [
            *coming,
            Heading(texts(self._heading)),
            Gap(),
            Prose(texts(self._body, label=question.token_label)),
            Gap(),
            Prose(texts("last-try.question"), Look.STRONG),
        ]

    def choices(self) -> Sequence[Choice]:
        """「いいえ」 first, then 「はい」, and 係員を呼ぶ once."""
        texts = self.lobby.texts
        call = [] if self._question.called else [Choice(texts("call.button"), digit="5", id="call")]
        return [
            Choice(texts("last-try.no"), digit="0", id="no"),
            Choice(texts("last-try.yes"), digit="3", id="yes"),
            *call,
        ]

    @on(Choice.Pressed, "#no")
    def _no(self) -> None:
        self.answer(LastTryAnswer.NO)

    @on(Choice.Pressed, "#yes")
    def _yes(self) -> None:
        self.answer(LastTryAnswer.YES)

    @on(Choice.Pressed, "#call")
    def _call(self) -> None:
        self.answer(LastTryAnswer.CALL)
