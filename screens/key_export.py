"""秘密交換キーをエクスポートします: the last point at which the customer can turn back."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from screens.dialog import Dialog
from screens.widgets.blocks import Block, Gap, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.trail import Stage


class KeyExportScreen(Dialog[bool]):
    """The manual's dialog; its body tells what really happens (design decision 1)."""

    TITLE_TEXT = "key-export.heading"
    STAGE = Stage.CONFIRMATION
    HINT = "hint.back"

    def blocks(self) -> Sequence[Block]:
        """The key is made in the USB and stays there; from here there is only forward."""
        texts = self.lobby.texts
        return [
            Prose(texts("key-export.body")),
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
