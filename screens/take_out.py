"""The last screen of a visit: take the USB out."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from screens.countdown import count_down
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Banner, Block, Centred, Drawn, Gap
from screens.widgets.choice import Choice
from screens.widgets.looks import Look
from screens.widgets.usb_picture import Way, usb_picture

SECONDS = 8
"""How long the farewell stays where there is nothing to take out."""


class TakeOutScreen(Question[None]):
    """Stays until the USB is out; where it cannot be taken out, says goodbye and goes by itself."""

    HINT = "hint.ok"

    def __init__(self, lobby: Lobby, *, removable: bool) -> None:
        super().__init__(lobby)
        self._removable = removable

    def blocks(self) -> Sequence[Block]:
        """The picture, and what to do."""
        texts = self.lobby.texts
        return [
            Drawn(usb_picture(texts("standby.usb"), Way.OUT if self._removable else Way.INSIDE)),
            Gap(),
            Banner(texts("take-out.heading" if self._removable else "take-out.thanks")),
            Gap(),
            Centred(texts("take-out.hint" if self._removable else "take-out.thanks-hint"), Look.QUIET),
        ]

    def choices(self) -> Sequence[Choice]:
        """OK, where nothing is waited for."""
        return [] if self._removable else [Choice(self.lobby.texts("ok"), digit="1", id="ok")]

    def hint(self) -> str:
        """No keys are named where none does anything."""
        return "" if self._removable else super().hint()

    def on_mount(self) -> None:
        """The farewell goes by itself."""
        if not self._removable:
            count_down(self, SECONDS, self._ok, lambda: None)

    @on(Choice.Pressed, "#ok")
    def _ok(self) -> None:
        self.answer(None)
