"""電子証明書更新前処理中: a wait that ends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult

from kiosk.desk import Waiting
from screens.frame import Question
from screens.lobby import Lobby
from screens.pause import PauseClock
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.hints import Hints
from screens.widgets.looks import Look
from screens.widgets.page import Page
from screens.widgets.spinner import Spinner
from screens.widgets.trail import Stage

SLOW_SECONDS = 8
"""After so long it says that it takes longer than usual, and offers 中止."""


class PreprocessingScreen(Question[None]):
    """Shown while the renewal is prepared.

    There is nothing to press as long as all is well. Where the CA is slow or cannot be asked it says so in the place of
    the manual's words, which ask that nothing be cancelled, and offers 中止.
    """

    STAGE = Stage.PREPARATION
    HINT = None
    AUTO_FOCUS = ""

    def __init__(self, lobby: Lobby, *, usb: bool = True) -> None:
        super().__init__(lobby)
        self._usb = usb
        self._pause = PauseClock(lobby)
        self._since = lobby.stopwatch()

    def pauses(self, waiting: Waiting | None) -> None:
        """The CA could not be asked, or is being asked again."""
        self._pause.tell(waiting)
        self._update()

    async def given_up(self) -> None:
        """Wait until 中止 is pressed; who stops waiting may wait again, for the next thing that is asked."""
        await asyncio.shield(self._answer)

    def blocks(self) -> Sequence[Block]:
        """The manual's words, or why it takes so long; and ours below."""
        texts = self.lobby.texts
        keep_in: list[Block] = [Gap(), Notice(texts("keep-in"))] if self._usb else []
        return [
            Prose(texts("authority.title"), Look.KICKER),
            Heading(texts("preprocessing.heading")),
            Gap(),
            *self._words(),
            *keep_in,
        ]

    def choices(self) -> Sequence[Choice]:
        """Our own 中止."""
        return [Choice(self.lobby.texts("cancel"), digit="0", back=True, id="cancel")]

    def hint(self) -> str:
        """No keys are named where none does anything."""
        return self.lobby.texts("hint.cancel") if self._may_cancel else ""

    def compose_sheet(self) -> ComposeResult:
        """The text, something that moves below it, and the button for when it takes long."""
        yield Page(self.blocks())
        yield Spinner(self.lobby)
        bar = Choices(self.choices())
        for each in (bar, *bar.buttons):  # a button is pressed by its digit wherever it stands, unless it is hidden
            each.display = False
        yield bar

    def on_mount(self) -> None:
        """Count the seconds."""
        self.set_interval(1, self._update)
        self._update()

    @property
    def _may_cancel(self) -> bool:
        return self._pause.is_on or self.lobby.stopwatch() - self._since >= SLOW_SECONDS

    def _words(self) -> Sequence[Block]:
        texts = self.lobby.texts
        if not self._may_cancel:
            return [Prose(texts("preprocessing.body"))]
        why = self._pause.blocks() or [Prose(texts("waiting.slow"))]
        return [*why, Gap(), Prose(texts("waiting.cancel"), Look.QUIET)]

    def _update(self) -> None:
        if not self.is_mounted or not self._may_cancel:
            return
        self.query_one(Page).show(self.blocks())
        bar = self.query_one(Choices)
        if not bar.display:
            for each in (bar, *bar.buttons):
                each.display = True
            bar.fit()
            self._be_read_first()
            self.query_one(Hints).say(self.hint())

    @on(Choice.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.answer(None)
