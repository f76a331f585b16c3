"""専用USBのご案内および管理ソフトのダウンロードページはこちら: where that link leads."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.desk import HelpPage
from screens.lobby import Lobby
from screens.qr_screen import QrScreen
from screens.widgets.blocks import Block, Gap, Heading, Prose
from screens.widgets.looks import Look


class HelpPageScreen(QrScreen):
    """Names the page, its address to be typed, and the same as a QR code."""

    def __init__(self, lobby: Lobby, page: HelpPage) -> None:
        super().__init__(lobby)
        self._page = page

    def encoded(self) -> str:
        """The address."""
        return self._page.address

    def blocks(self) -> Sequence[Block]:
        """What the page is about, and its address."""
        texts = self.lobby.texts
        return [
            Heading(texts("help.heading")),
            Gap(),
            Prose(texts("help.body")),
            Gap(),
            Prose(texts("fact.address"), Look.QUIET),
            Prose(self._page.address, Look.STRONG),
            Gap(),
            Prose(self.about_code("help.scan", "help.too-small")),
        ]
