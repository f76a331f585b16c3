"""What the screens of 電子証明書取得 have in common on which something is typed: a field, and a pad beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from screens.frame import Answer, Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.entry_field import EntryField
from screens.widgets.page import Page
from screens.widgets.pin_pad import PinPad

Field = TypeVar("Field", bound=EntryField)


class EntryScreen(Question[Answer | None], Generic[Answer, Field]):
    """Keys go into the field wherever the focus is; Enter hands over what was typed, Escape leads back."""

    LANGUAGE_DIGIT = ""
    AUTO_FOCUS = "EntryField"
    HEARS_KEYS_AT_ONCE = True

    def __init__(self, lobby: Lobby) -> None:
        super().__init__(lobby)
        self.field = self.make_field()

    def make_field(self) -> Field:
        """The field, empty."""
        raise NotImplementedError

    def make_pad(self, correct: str, confirm: str) -> PinPad:
        """The pad beside it."""
        return PinPad(self.field, correct, confirm)

    def asked(self) -> Sequence[Block]:
        """What is asked for, above the field."""
        raise NotImplementedError

    def taken(self) -> Answer | None:
        """What was typed, for good; None where it cannot be taken yet, and the screen then says why."""
        raise NotImplementedError

    def discard(self) -> None:
        """Forget what was typed."""

    def choices(self) -> Sequence[Choice]:
        """もどる."""
        return [Choice(self.lobby.texts("back"), back=True, id="cancel")]

    def compose_sheet(self) -> ComposeResult:
        """Text and field at the left, the pad at the right."""
        texts = self.lobby.texts
        with Horizontal(id="desk"):
            with Vertical(id="asked"):
                yield Page(self.asked(), id="asking")
                yield self.field
                yield Page(self.blocks(), id="trouble")
            yield self.make_pad(texts("pin.correct"), texts("pin.confirm"))
            yield Choices(self.choices())

    def retell_pages(self) -> None:
        """What is asked, what went wrong, and the corners of the pad."""
        texts = self.lobby.texts
        self.query_one("#asking", Page).show(self.asked())
        self.tell_trouble()
        self.query_one(PinPad).relabel(texts("pin.correct"), texts("pin.confirm"))

    def tell_trouble(self) -> None:
        """Show anew what stands below the field."""
        self.query_one("#trouble", Page).show(self.blocks())

    def on_key(self, event: events.Key) -> None:
        """What belongs into the field goes there, wherever the focus is; Escape leads back."""
        if event.key == "escape":
            event.prevent_default()
            self._cancel()
        elif self.field.hear(event):
            event.prevent_default()
            event.stop()
            self.field.focus()

    @on(EntryField.Submitted)
    def _submit(self) -> None:
        if self.is_over:
            self.discard()
            return
        taken = self.taken()
        if taken is not None:
            self.answer(taken)

    @on(EntryField.NothingToCorrect)
    def _offer_way_out(self) -> None:
        self.query_one("#cancel").focus()

    @on(Choice.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.discard()
        self.answer(None)
