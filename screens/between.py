"""What lies under every question of a visit: a sheet that asks for patience."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from screens.frame import Frame
from screens.widgets.blocks import Block, Gap, Notice, Prose
from screens.widgets.page import Page
from screens.widgets.spinner import Spinner


class BetweenScreen(Frame):
    """Seen where a slow token keeps the customer waiting between two questions."""

    HINT = None
    LANGUAGE_DIGIT = None

    def blocks(self) -> Sequence[Block]:
        """What not to do meanwhile."""
        return [Gap(2), Prose(self.lobby.texts("between.wait")), Gap(), Notice(self.lobby.texts("keep-in"))]

    def compose_sheet(self) -> ComposeResult:
        """The text, and something that moves."""
        yield Page(self.blocks())
        yield Spinner(self.lobby)
