"""暗証番号: asked once a visit."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from kiosk.desk import PinQuestion, Tries
from kiosk.pin import Pin
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.page import Page
from screens.widgets.pin_field import PinField
from screens.widgets.pin_pad import PinPad


class PinScreen(Question[Pin | None]):
    """Digits go into the field wherever the focus is; Enter hands them over."""

    HINT = "hint.pin"
    AUTO_FOCUS = "PinField"
    HEARS_KEYS_AT_ONCE = True

    def __init__(self, lobby: Lobby, question: PinQuestion) -> None:
        super().__init__(lobby)
        self._question = question
        self._too_short = False

    def asked(self) -> Sequence[Block]:
        """What is asked for."""
        texts, question = self.lobby.texts, self._question
        said = texts("pin.body", label=question.token_label, shortest=question.shortest, longest=question.longest)
        return [Heading(texts("pin.heading")), Gap(), Prose(said)]

    def blocks(self) -> Sequence[Block]:
        """What went wrong before, below the field."""
        texts, question = self.lobby.texts, self._question
        blocks: list[Block] = []
        if self._too_short:
            blocks.append(Notice(texts("pin.too-short", shortest=question.shortest)))
        elif question.refused:
            blocks.append(Notice(texts("pin.refused")))
        if question.tries is Tries.FEW:
            blocks.append(Prose(texts("pin.few"), mark="  "))
        return blocks

    def choices(self) -> Sequence[Choice]:
        """中止."""
        return [Choice(self.lobby.texts("cancel"), back=True, id="cancel")]

    def compose_sheet(self) -> ComposeResult:
        """Text and field at the left, the pad at the right."""
        texts = self.lobby.texts
        field = PinField(self._question.longest)
        with Horizontal(id="desk"):
            with Vertical(id="asked"):
                yield Page(self.asked(), id="asking")
                yield field
                yield Page(self.blocks(), id="trouble")
                yield Choices(self.choices())
            yield PinPad(field, texts("pin.correct"), texts("pin.confirm"))

    def on_key(self, event: events.Key) -> None:
        """Digits belong to the field, wherever the focus is; Escape leads back."""
        if event.character and event.character in "0123456789":
            event.prevent_default()
            field = self.query_one(PinField)
            field.focus()
            field.type(int(event.character))
        elif event.key == "backspace":
            event.prevent_default()
            self.query_one(PinField).correct()
        elif event.key == "escape":
            event.prevent_default()
            self._cancel()

    @on(PinField.Submitted)
    def _submit(self) -> None:
        field = self.query_one(PinField)
        if not field.holds_at_least(self._question.shortest):
            self._too_short = True
            self.query_one("#trouble", Page).show(self.blocks())
        elif self.is_over:
            field.clear()
        else:
            self.answer(field.hand_over())

    @on(PinField.Changed)
    def _typed(self) -> None:
        if self._too_short:
            self._too_short = False
            self.query_one("#trouble", Page).show(self.blocks())

    @on(PinField.NothingToCorrect)
    def _offer_way_out(self) -> None:
        self.query_one("#cancel").focus()

    @on(Choice.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.query_one(PinField).clear()
        self.answer(None)
