"""The wait itself: what is being done, since when, and how long it usually takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.app import ComposeResult

from kiosk.desk import Destination, SavingStep, Waiting
from kiosk.tokens.wire import KeyOrigin
from kiosk.words import step_name
from screens.frame import Frame
from screens.lobby import Lobby
from screens.pause import PauseClock
from screens.widgets.blocks import Block, Facts, Gap, Heading, Meter, Notice, Prose, Together
from screens.widgets.looks import Look
from screens.widgets.page import Page
from screens.widgets.spinner import Spinner
from screens.widgets.trail import Stage


class SavingScreen(Frame):
    """Told each step as it begins; those before it are done."""

    STAGE = Stage.SAVING
    HINT = None

    def __init__(
        self,
        lobby: Lobby,
        steps: Sequence[SavingStep] = tuple(SavingStep),
        into: Destination = Destination.USB,
        *,
        usb: bool = True,
        origin: KeyOrigin = KeyOrigin.INSIDE,
    ) -> None:
        super().__init__(lobby)
        self._steps = tuple(steps)
        self._into = into
        self._usb = usb
        self._origin = origin
        self._since: datetime = lobby.clock()
        self._step: SavingStep | None = None
        self._pause = PauseClock(lobby)

    def begin(self, step: SavingStep) -> None:
        """The step begins now."""
        self._step = step
        self._pause.clear()
        self._update()

    def pauses(self, waiting: Waiting | None) -> None:
        """The CA could not be asked, or is being asked again."""
        self._pause.tell(waiting)
        self._update()

    def blocks(self) -> Sequence[Block]:
        """The steps with their marks, the bar, the time."""
        texts = self.lobby.texts
        elapsed = max(0, int((self.lobby.clock() - self._since).total_seconds()))
        times = [(texts("saving.elapsed"), texts("saving.seconds", seconds=elapsed))]
        if self._into is Destination.USB:
            times.append((texts("saving.usual"), texts("saving.usual-time")))
        keep_in: list[Block] = [Gap(), Notice(texts("keep-in"))] if self._usb else []
        return [
            Heading(texts("saving.heading")),
            Gap(),
            Together([self._line(step) for step in self._steps]),
            Gap(),
            Meter(self._position() / len(self._steps)),
            *(self._pause.blocks() or [Facts(times)]),
            *keep_in,
        ]

    def compose_sheet(self) -> ComposeResult:
        """The text, and something that moves below it."""
        yield Page(self.blocks())
        yield Spinner(self.lobby)

    def on_mount(self) -> None:
        """Count the seconds."""
        self.set_interval(1, self._update)

    def _update(self) -> None:
        if self.is_mounted:
            self.query_one(Page).show(self.blocks())

    def _position(self) -> int:
        return self._steps.index(self._step) if self._step else 0

    def _line(self, step: SavingStep) -> Block:
        texts, at = self.lobby.texts, self._steps.index(step)
        name = texts(step_name(step, self._into, self._origin))
        if at < self._position():
            return Prose(name, Look.QUIET, mark=texts("saving.mark-done"), mark_look=Look.DONE)
        if step is self._step:
            return Prose(name, Look.STRONG, mark=texts("saving.mark-now"), mark_look=Look.HEADING)
        return Prose(name, Look.QUIET, mark=texts("saving.mark-later"))
