"""暗証番号の変更が完了しました."""

from __future__ import annotations

from collections.abc import Sequence

from screens.dialog import Announcement
from screens.widgets.blocks import Block, Prose


class PinChangedScreen(Announcement):
    """Says that the new PIN holds from now on."""

    TITLE_TEXT = "pin-changed.heading"

    def blocks(self) -> Sequence[Block]:
        """What to do with it."""
        return [Prose(self.lobby.texts("pin-changed.body"))]
