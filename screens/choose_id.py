"""Which of the IDs on the token this visit is about."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.desk import HeldId, IdQuestion
from kiosk.moments import days_words, until_words
from kiosk.words import holder_words
from screens.lobby import Lobby
from screens.picking import PickScreen
from screens.widgets.blocks import Block, Gap, Heading, Prose
from screens.widgets.looks import Look
from screens.widgets.plain_text import brief

_NAME_CELLS = 28
"""Cells of a name in a row; longer ones are cut."""


class ChooseIdScreen(PickScreen[HeldId]):
    """One row an ID: which kind, which ID, its common name, until when, how many days left."""

    def __init__(self, lobby: Lobby, question: IdQuestion) -> None:
        super().__init__(lobby, question.ids)

    def blocks(self) -> Sequence[Block]:
        """The manual's note, where there is room for it."""
        texts = self.lobby.texts
        return [Heading(texts("choose-id.heading")), *self.where_there_is_room(texts("choose-id.per-id")), Gap()]

    def where_there_is_room(self, text: str) -> list[Block]:
        """`text` in second place."""
        return [Prose(text, Look.QUIET)] if self.app.size.height >= 22 else []

    def label_of(self, thing: HeldId) -> str:
        """管理者ID or 利用者ID, and the days that are left, or that its renewal is unfinished."""
        texts = self.lobby.texts
        state = texts("held.unfinished") if thing.unfinished else days_words(thing.days_left, texts)
        return f"{brief(holder_words(thing.credential.holder, texts), 40)}　{state}"

    def note_of(self, thing: HeldId) -> str:
        """The common name, and until when it is valid."""
        certificate = thing.credential.certificate
        return f"{brief(certificate.common_name, _NAME_CELLS)}　{until_words(certificate.not_after, self.lobby.texts)}"
