"""お忘れです: the visit is over, and the USB is still in."""

from __future__ import annotations

from collections.abc import Sequence

from screens.frame import Question
from screens.widgets.blocks import Banner, Block, Drawn, Gap, Notice, Prose
from screens.widgets.usb_picture import Way, usb_picture


class ForgottenScreen(Question[None]):
    """Stays until the USB is out, and does nothing but call for whoever has left it."""

    HINT = None

    def blocks(self) -> Sequence[Block]:
        """In big words, and then what to do, for the customer and for anybody else."""
        texts = self.lobby.texts
        return [
            Drawn(usb_picture(texts("standby.usb"), Way.OUT)),
            Gap(),
            Banner(texts("forgotten.heading")),
            Gap(),
            Notice(texts("forgotten.body")),
            Prose(texts("forgotten.called")),
        ]
