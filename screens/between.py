"""What lies under every question of a visit: a sheet that asks for patience."""

from __future__ import annotations

from collections.abc import Sequence

from screens.frame import Frame
from screens.widgets.blocks import Block, Centred
from screens.widgets.looks import Look


class BetweenScreen(Frame):
    """Seen for the moment between two questions."""

    HINT = None

    def blocks(self) -> Sequence[Block]:
        """One line."""
        return [Centred(self.lobby.texts("between.wait"), Look.QUIET)]
