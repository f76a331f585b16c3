"""電子証明書取得: the one-time code that the bank handed out."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on

from kiosk.desk import CodeQuestion
from kiosk.one_time_code import LENGTH, OneTimeCode
from screens.entry import EntryScreen
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Facts, Gap, Heading, Notice, Prose
from screens.widgets.code_field import CodeField
from screens.widgets.entry_field import EntryField
from screens.widgets.looks import Look
from screens.widgets.plain_text import brief

_ID_CELLS = 24


class EnrolCodeScreen(EntryScreen[OneTimeCode, CodeField]):
    """Digits in the groups in which they are printed. A wrong one is told here, and costs no try at the CA."""

    HINT = "hint.pin"

    def __init__(self, lobby: Lobby, question: CodeQuestion) -> None:
        self._question = question
        self._touched = False
        """Whether anything was typed since the question came."""
        self._incomplete = False
        super().__init__(lobby)

    def make_field(self) -> CodeField:
        """The field, empty."""
        return CodeField()

    def asked(self) -> Sequence[Block]:
        """For which ID, and where the code is to be found."""
        texts, question = self.lobby.texts, self._question
        said = texts("enrol-code.unfinished" if question.unfinished else "enrol-code.body", digits=LENGTH)
        return [
            Heading(texts("enrol-code.heading")),
            Facts([(texts("fact.holder"), brief(question.holder_id, _ID_CELLS))]),
            Gap(),
            Prose(said),
        ]

    def blocks(self) -> Sequence[Block]:
        """What is wrong, or that all is well."""
        texts = self.lobby.texts
        if self._incomplete:
            return [Notice(texts("enrol-code.incomplete", digits=LENGTH))]
        if self.field.is_right:
            return [Prose(texts("enrol-code.right"), Look.DONE)]
        if self.field.is_complete:
            return [Notice(texts("enrol-code.mistyped"))]
        if self._question.refused and not self._touched:
            return [Notice(texts("enrol-code.refused"))]
        return []

    def taken(self) -> OneTimeCode | None:
        """The code, once its check digit is right."""
        if self.field.is_right:
            return self.field.hand_over()
        self._incomplete = not self.field.is_complete
        self.tell_trouble()
        return None

    def discard(self) -> None:
        """Overwrite what was typed."""
        self.field.clear()

    @on(EntryField.Changed)
    def _typed(self) -> None:
        self._touched = True
        self._incomplete = False
        self.tell_trouble()
