"""What the screens have in common on which one of several things is picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from textual import on
from textual.app import ComposeResult

from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.page import Page
from screens.widgets.picks import Picks

Picked = TypeVar("Picked")


class PickScreen(Question[Picked | None]):
    """A row for each of `things`; the rows are numbered, so pages are turned with 8."""

    HINT = "hint.back"
    AUTO_FOCUS = "Picks Choice"

    def __init__(self, lobby: Lobby, things: Sequence[Picked]) -> None:
        super().__init__(lobby)
        self._things = tuple(things)

    def label_of(self, thing: Picked) -> str:
        """What its row says."""
        raise NotImplementedError

    def note_of(self, thing: Picked) -> str:
        """What its row says below that."""
        raise NotImplementedError

    def choices(self) -> Sequence[Choice]:
        """つづき and もどる."""
        texts = self.lobby.texts
        return [
            Choice(texts("more.next"), digit="8", back=True, id="further"),
            Choice(texts("back"), digit="0", back=True, id="back"),
        ]

    def compose_sheet(self) -> ComposeResult:
        """The text, the rows, the buttons."""
        yield Page(self.blocks())
        yield Picks(self.picks())
        yield Choices(self.choices())

    def picks(self) -> Sequence[Choice]:
        """The rows."""
        return [
            Choice(self.label_of(thing), note=self.note_of(thing), id=f"pick-{place}")
            for place, thing in enumerate(self._things)
        ]

    def buttons(self) -> Sequence[Choice]:
        """The rows as well."""
        return [*self.picks(), *self.choices()]

    def retell(self) -> None:
        """Rows of another language may be as many lines, or more."""
        super().retell()
        self.query_one(Picks).fit()

    @on(Picks.Turned)
    def _rows_turned(self, event: Picks.Turned) -> None:
        further, texts = self.query_one("#further", Choice), self.lobby.texts
        last = event.number == event.of
        further.display = event.of > 1
        further.relabel(f"{texts('more.first' if last else 'more.next')} {event.number}/{event.of}")
        self.query_one(Choices).fit()

    @on(Choice.Pressed, "#further")
    def _turn(self) -> None:
        self.query_one(Picks).turn(1)

    @on(Choice.Pressed, "Picks Choice")
    def _pick(self, event: Choice.Pressed) -> None:
        self.answer(self._things[self.query_one(Picks).picks.index(event.choice)])

    @on(Choice.Pressed, "#back")
    def _back(self) -> None:
        self.answer(None)
