"""まだお手続き中ですか: the visit is about to end for want of a touch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from textual import events, on

from screens.countdown import count_down
from screens.dialog import Dialog
from screens.lobby import Lobby
from screens.widgets.blocks import Big, Block, Gap, Prose
from screens.widgets.choice import Choice
from screens.widgets.page import Page


class IdleWarningScreen(Dialog[bool]):
    """Any key or touch says yes; silence says no after `seconds`."""

    TITLE_TEXT = "idle.heading"
    HINT = "hint.any"

    def __init__(self, lobby: Lobby, seconds: int) -> None:
        super().__init__(lobby)
        self._seconds = seconds
        self._ends = lobby.clock() + timedelta(seconds=seconds)

    def blocks(self) -> Sequence[Block]:
        """The seconds that are left."""
        texts = self.lobby.texts
        left = max(0, min(self._seconds, round((self._ends - self.lobby.clock()).total_seconds())))
        return [
            Prose(texts("idle.body")),
            Gap(),
            Big(str(left), before=texts("idle.before"), behind=texts("idle.behind")),
        ]

    def choices(self) -> Sequence[Choice]:
        """つづける."""
        return [Choice(self.lobby.texts("idle.go-on"), digit="1", id="go-on")]

    def on_mount(self) -> None:
        """Ring once, and count."""
        self.app.bell()
        count_down(self, self._seconds, self._silence, self._tick)

    def on_key(self, event: events.Key) -> None:
        """Any key will do, and does nothing else."""
        event.stop()
        event.prevent_default()
        self._touched()

    def on_mouse_down(self) -> None:
        """Any touch will do."""
        self._touched()

    @on(Choice.Pressed, "#go-on")
    def _touched(self) -> None:
        self.answer(True)

    def _silence(self) -> None:
        self.answer(False)

    def _tick(self) -> None:
        self.query_one(Page).show(self.blocks())
