"""What the manual's dialogs have in common: a small sheet with a title of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from kiosk.text_keys import TextKey
from screens.countdown import count_down
from screens.frame import Answer, Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block
from screens.widgets.choice import Choice
from screens.widgets.title_band import TitleBand


class Dialog(Question[Answer]):
    """A question on a small sheet in the middle, under a band with its title."""

    TITLE_TEXT: ClassVar[TextKey]

    def __init__(self, lobby: Lobby) -> None:
        super().__init__(lobby)
        self.add_class("-dialog")

    def title_text(self) -> str:
        """What the band says."""
        return self.lobby.texts(self.TITLE_TEXT)

    def retell(self) -> None:
        """The band as well."""
        super().retell()
        self.query_one(TitleBand).say(self.title_text())

    def compose_sheet(self) -> ComposeResult:
        """The band, then text and buttons."""
        yield TitleBand(self.title_text())
        yield from super().compose_sheet()


class Announcement(Dialog[None]):
    """A dialog with a lone OK that presses itself after `seconds`."""

    HINT = "hint.ok"

    def __init__(self, lobby: Lobby, seconds: int) -> None:
        super().__init__(lobby)
        self._seconds = seconds
        self._ends = lobby.clock() + timedelta(seconds=seconds)

    def blocks(self) -> Sequence[Block]:
        """What is announced."""
        raise NotImplementedError

    def choices(self) -> Sequence[Choice]:
        """「OK」."""
        return [Choice(self.lobby.texts("ok"), digit="1", note=self._countdown(), id="ok")]

    def on_mount(self) -> None:
        """Start to count."""
        count_down(self, self._seconds, self._ok, self._tick)

    def _tick(self) -> None:
        self.query_one("#ok", Choice).relabel(self.lobby.texts("ok"), self._countdown())

    def _countdown(self) -> str:
        left = (self._ends - self.lobby.clock()).total_seconds()
        return self.lobby.texts("announcement.countdown", seconds=max(1, min(self._seconds, round(left))))

    @on(Choice.Pressed, "#ok")
    def _ok(self) -> None:
        self.answer(None)
