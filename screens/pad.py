"""The PIN is typed at the card reader: what is said before the reader waits for it, and while it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from textual import on
from textual.app import ComposeResult

from kiosk.desk import PadQuestion
from kiosk.words import AT_PAD, BEFORE_PAD, pad_troubles
from screens.countdown import count_down
from screens.frame import Frame, Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.page import Page
from screens.widgets.spinner import Spinner


class PadScreen(Question[bool]):
    """Nothing is typed here. Once a renewal is under way はじめる presses itself."""

    HINT = "hint.choose"

    def __init__(self, lobby: Lobby, question: PadQuestion) -> None:
        super().__init__(lobby)
        self._question = question
        self._heading, self._body = BEFORE_PAD[question.purpose]
        self._ends = lobby.clock() + timedelta(seconds=question.seconds or 0)

    def blocks(self) -> Sequence[Block]:
        """What came of it the last time, and what will be typed where."""
        texts, question = self.lobby.texts, self._question
        required = [Prose(texts("pin.required"))] if question.required else []
        troubles: list[Block] = [Notice(texts(each)) for each in pad_troubles(question)]
        return [
            Heading(texts(self._heading)),
            Gap(),
            *([*troubles, Gap()] if troubles else []),
            *required,
            Prose(texts(self._body, label=question.token_label)),
        ]

    def choices(self) -> Sequence[Choice]:
        """はじめる, and 中止 where there is a way back."""
        texts = self.lobby.texts
        begin = Choice(texts("pad.begin"), digit="1", note=self._countdown(), id="begin")
        cancel = [Choice(texts("cancel"), digit="0", back=True, id="cancel")] if self._question.way_back else []
        return [begin, *cancel]

    def on_mount(self) -> None:
        """Start to count."""
        if self._question.seconds is not None:
            count_down(self, self._question.seconds, self._begin, self._tick)

    def _tick(self) -> None:
        self.query_one("#begin", Choice).relabel(self.lobby.texts("pad.begin"), self._countdown())

    def _countdown(self) -> str:
        if self._question.seconds is None:
            return ""
        left = (self._ends - self.lobby.clock()).total_seconds()
        return self.lobby.texts("announcement.countdown", seconds=max(1, min(self._question.seconds, round(left))))

    @on(Choice.Pressed, "#begin")
    def _begin(self) -> None:
        self.answer(True)

    @on(Choice.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.answer(False)


class AtPadScreen(Frame):
    """There is nothing to press here; the reader has the keys."""

    HINT = None

    def __init__(self, lobby: Lobby, question: PadQuestion) -> None:
        super().__init__(lobby)
        self._question = question
        self._heading, self._body = AT_PAD[question.purpose]

    def blocks(self) -> Sequence[Block]:
        """What to type at the reader, and how to stop where that is possible."""
        texts, question = self.lobby.texts, self._question
        return [
            Heading(texts(self._heading)),
            Gap(),
            Prose(texts(self._body, label=question.token_label)),
            Gap(),
            Prose(texts("at-pad.cancel")) if question.way_back else Notice(texts("keep-in")),
        ]

    def compose_sheet(self) -> ComposeResult:
        """The text, and something that moves below it."""
        yield Page(self.blocks())
        yield Spinner(self.lobby)
