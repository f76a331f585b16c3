"""電子証明書取得: which ID, typed letter by letter."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import TypedIdQuestion
from screens.entry import EntryScreen
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose
from screens.widgets.entry_field import EntryField
from screens.widgets.id_field import IdField
from screens.widgets.id_pad import IdPad
from screens.widgets.looks import Look
from screens.widgets.pin_pad import PinPad


class EnrolIdScreen(EntryScreen[str, IdField]):
    """The places of the ID; the pad offers letters where a letter comes next, and digits where a digit does."""

    HINT = "hint.enrol-id"

    def __init__(self, lobby: Lobby, question: TypedIdQuestion) -> None:
        self._shape = question.shape
        self._incomplete = False
        super().__init__(lobby)

    def make_field(self) -> IdField:
        """The field, with what all IDs begin with."""
        return IdField(self._shape)

    def make_pad(self, correct: str, confirm: str) -> PinPad:
        """A pad with letters."""
        return IdPad(self.field, correct, confirm)

    def asked(self) -> Sequence[Block]:
        """What an ID looks like."""
        texts, shape = self.lobby.texts, self._shape
        looks = texts("enrol-id.body", letters=shape.letters, digits=shape.digits)
        if not shape.letters:
            looks = texts("enrol-id.body-digits", digits=shape.digits)
        return [Prose(texts("enrol.heading"), Look.KICKER), Heading(texts("enrol-id.heading")), Gap(), Prose(looks)]

    def blocks(self) -> Sequence[Block]:
        """What is missing, or how a letter is typed with ten keys."""
        texts = self.lobby.texts
        if self._incomplete:
            return [Notice(texts("enrol-id.incomplete"))]
        if self.field.offered:
            return [Prose(texts("enrol-id.which-letter"))]
        if self.field.wants_letter:
            return [Prose(texts("enrol-id.letters"))]
        return [Prose(texts("enrol-id.complete" if self.field.is_complete else "enrol-id.digits"))]

    def taken(self) -> str | None:
        """The ID, once it is complete."""
        if self.field.is_complete:
            return self.field.typed
        self._incomplete = True
        self.tell_trouble()
        return None

    @on(EntryField.Changed)
    def _typed(self) -> None:
        self._incomplete = False
        self.tell_trouble()
        self.query_one(IdPad).renew()
