"""秘密交換キーをエクスポートします: the last point at which the customer can turn back."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.tokens.wire import KeyOrigin
from kiosk.words import KEY_EXPORTS
from screens.dialog import Dialog
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.trail import Stage


class KeyExportScreen(Dialog[bool]):
    """The manual's dialog; its body tells what really happens (design decision 1)."""

    TITLE_TEXT = "key-export.heading"
    STAGE = Stage.CONFIRMATION
    HINT = "hint.back"

    def __init__(self, lobby: Lobby, origin: KeyOrigin) -> None:
        super().__init__(lobby)
        self._origin = origin

    def blocks(self) -> Sequence[Block]:
        """Where the key is made, and that it stays in the USB; from here there is only forward."""
        texts = self.lobby.texts
        return [
            Prose(texts(KEY_EXPORTS[self._origin])),
            Gap(),
            Notice(texts("key-export.no-return")),
        ]

    def choices(self) -> Sequence[Choice]:
        """「OK」, and our own 中止."""
        texts = self.lobby.texts
        return [Choice(texts("ok"), digit="1", id="ok"), Choice(texts("cancel"), digit="0", id="cancel")]

    @on(Choice.Pressed, "#ok")
    def _ok(self) -> None:
        self.answer(True)

    @on(Choice.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.answer(False)
