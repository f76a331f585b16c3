"""電子証明書取得: for an ID that the token knows already, or for another."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.desk import AnotherId, EnrolmentIdQuestion, HeldId
from kiosk.moments import until_words
from kiosk.words import holder_words
from screens.lobby import Lobby
from screens.picking import PickScreen
from screens.widgets.blocks import Block, Gap, Heading, Prose
from screens.widgets.looks import Look
from screens.widgets.plain_text import brief


class EnrolChooseIdScreen(PickScreen[HeldId | AnotherId]):
    """One row an ID, so that nobody has to type one that is known, and a row for all others."""

    def __init__(self, lobby: Lobby, question: EnrolmentIdQuestion) -> None:
        super().__init__(lobby, (*question.ids, AnotherId.WANTED))

    def blocks(self) -> Sequence[Block]:
        """What is asked."""
        texts = self.lobby.texts
        return [
            Prose(texts("enrol.heading"), Look.KICKER),
            Heading(texts("enrol-choose-id.heading")),
            Gap(),
        ]

    def label_of(self, thing: HeldId | AnotherId) -> str:
        """管理者ID or 利用者ID, or 別のID."""
        texts = self.lobby.texts
        if isinstance(thing, AnotherId):
            return texts("enrol-choose-id.another")
        return brief(holder_words(thing.credential.holder, texts), 40)

    def note_of(self, thing: HeldId | AnotherId) -> str:
        """Until when there is a certificate."""
        texts = self.lobby.texts
        if isinstance(thing, AnotherId):
            return texts("enrol-choose-id.another-note")
        if thing.days_left < 0:
            return texts("days.over")
        return until_words(thing.credential.certificate.not_after, texts)
