"""Which of several tokens is meant."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.desk import TokenQuestion
from kiosk.tokens.wire import TokenFacts
from kiosk.words import token_words
from screens.lobby import Lobby
from screens.picking import PickScreen
from screens.widgets.blocks import Block, Gap, Heading, Prose
from screens.widgets.plain_text import brief


class ChooseTokenScreen(PickScreen[TokenFacts]):
    """One row a token: its label, its serial number where labels are equal, and who made it."""

    def __init__(self, lobby: Lobby, question: TokenQuestion) -> None:
        super().__init__(lobby, question.tokens)

    def blocks(self) -> Sequence[Block]:
        """Why this is asked."""
        texts = self.lobby.texts
        return [Heading(texts("choose-token.heading")), Prose(texts("choose-token.body")), Gap()]

    def label_of(self, thing: TokenFacts) -> str:
        """Label, or label and serial number."""
        return brief(token_words(thing, self._things, self.lobby.texts), 60)

    def note_of(self, thing: TokenFacts) -> str:
        """Maker and model."""
        return brief(f"{thing.manufacturer}　{thing.model}", 60)
