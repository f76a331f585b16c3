"""After a renewal into another store: is the old credential to go from its own?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from textual import on

from kiosk.desk import RetirementQuestion
from kiosk.words import RETIREMENTS
from screens.certificate_facts import short_facts
from screens.countdown import count_down
from screens.dialog import Dialog
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Prose
from screens.widgets.choice import Choice
from screens.widgets.trail import Stage


class RetirementScreen(Dialog[bool]):
    """What nobody answers is answered with no, and nothing is removed."""

    STAGE = Stage.SAVING

    def __init__(self, lobby: Lobby, question: RetirementQuestion) -> None:
        super().__init__(lobby)
        self._heading, self._body = RETIREMENTS[question.store]
        self._certificate = question.certificate
        self._seconds = question.seconds
        self._ends = lobby.clock() + timedelta(seconds=question.seconds)

    def title_text(self) -> str:
        """Which store it is about."""
        return self.lobby.texts(self._heading)

    def blocks(self) -> Sequence[Block]:
        """What is where, and the old certificate in short."""
        texts = self.lobby.texts
        return [Prose(texts(self._body)), Gap(), short_facts(self._certificate, texts)]

    def choices(self) -> Sequence[Choice]:
        """Keep it, which Enter presses, or remove it."""
        texts = self.lobby.texts
        keep = Choice(texts("retirement.keep"), digit="1", note=self._countdown(), id="keep")
        return [keep, Choice(texts("retirement.remove"), digit="3", id="remove")]

    def on_mount(self) -> None:
        """Start to count."""
        count_down(self, self._seconds, self._keep, self._tick)

    def _tick(self) -> None:
        self.query_one("#keep", Choice).relabel(self.lobby.texts("retirement.keep"), self._countdown())

    def _countdown(self) -> str:
        left = (self._ends - self.lobby.clock()).total_seconds()
        return self.lobby.texts("retirement.countdown", seconds=max(1, min(self._seconds, round(left))))

    @on(Choice.Pressed, "#keep")
    def _keep(self) -> None:
        self.answer(False)

    @on(Choice.Pressed, "#remove")
    def _remove(self) -> None:
        self.answer(True)
