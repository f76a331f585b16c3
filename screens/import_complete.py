"""インポート完了: the new certificate has been written."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.desk import ImportAnnouncement
from screens.certificate_facts import short_facts
from screens.dialog import Announcement
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Prose
from screens.widgets.trail import Stage


class ImportCompleteScreen(Announcement):
    """Says what was written."""

    TITLE_TEXT = "import-complete.heading"
    STAGE = Stage.SAVING

    def __init__(self, lobby: Lobby, announcement: ImportAnnouncement) -> None:
        super().__init__(lobby, announcement.seconds)
        self._certificate = announcement.certificate

    def blocks(self) -> Sequence[Block]:
        """The certificate in short."""
        texts = self.lobby.texts
        return [
            Prose(texts("import-complete.body")),
            Gap(),
            short_facts(self._certificate, texts),
        ]
