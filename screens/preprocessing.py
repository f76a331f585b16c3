"""電子証明書更新前処理中: a wait that ends by itself."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from screens.frame import Frame
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose
from screens.widgets.looks import Look
from screens.widgets.page import Page
from screens.widgets.spinner import Spinner
from screens.widgets.trail import Stage


class PreprocessingScreen(Frame):
    """Shown while the renewal is prepared; there is nothing to press."""

    STAGE = Stage.PREPARATION
    HINT = None

    def __init__(self, lobby: Lobby, *, usb: bool = True) -> None:
        super().__init__(lobby)
        self._usb = usb

    def blocks(self) -> Sequence[Block]:
        """The manual's words, and ours below."""
        texts = self.lobby.texts
        keep_in: list[Block] = [Gap(), Notice(texts("keep-in"))] if self._usb else []
        return [
            Prose(texts("authority.title"), Look.KICKER),
            Heading(texts("preprocessing.heading")),
            Gap(),
            Prose(texts("preprocessing.body")),
            *keep_in,
        ]

    def compose_sheet(self) -> ComposeResult:
        """The text, and something that moves below it."""
        yield Page(self.blocks())
        yield Spinner(self.lobby)
