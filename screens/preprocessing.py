"""電子証明書更新前処理中: a wait that ends by itself."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from screens.frame import Frame
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose
from screens.widgets.looks import Look
from screens.widgets.page import Page
from screens.widgets.spinner import Spinner
from screens.widgets.trail import Stage


class PreprocessingScreen(Frame):
    """Shown while the renewal is prepared; there is nothing to press."""

    STAGE = Stage.PREPARATION
    HINT = None

    def blocks(self) -> Sequence[Block]:
        """The manual's words, and ours below."""
        texts = self.lobby.texts
        return [
            Prose(texts("authority.title"), Look.KICKER),
            Heading(texts("preprocessing.heading")),
            Gap(),
            Prose(texts("preprocessing.body")),
            Gap(),
            Notice(texts("keep-in")),
        ]

    def compose_sheet(self) -> ComposeResult:
        """The text, and something that moves below it."""
        yield Page(self.blocks())
        yield Spinner(self.lobby)
