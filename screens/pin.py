"""暗証番号: asked once a visit, and three times to change it."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from kiosk.desk import PinPurpose, PinQuestion
from kiosk.pin import Pin
from kiosk.text_keys import TextKey
from kiosk.words import PIN_WARNINGS, pin_heading, pin_troubles
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.looks import Look
from screens.widgets.page import Page
from screens.widgets.pin_field import PinField
from screens.widgets.pin_pad import PinPad

_BODIES: dict[PinPurpose, TextKey] = {
    PinPurpose.LOG_IN: "pin.body",
    PinPurpose.PRESENT: "pin.body",
    PinPurpose.NEW: "pin.body-new",
    PinPurpose.NEW_AGAIN: "pin.body-again",
}
_STEPS = (PinPurpose.PRESENT, PinPurpose.NEW, PinPurpose.NEW_AGAIN)
"""The three questions of a change."""


class PinScreen(Question[Pin | None]):
    """Digits go into the field wherever the focus is; Enter hands them over."""

    HINT = "hint.pin"
    LANGUAGE_DIGIT = ""
    AUTO_FOCUS = "PinField"
    HEARS_KEYS_AT_ONCE = True

    def __init__(self, lobby: Lobby, question: PinQuestion) -> None:
        super().__init__(lobby)
        self._question = question
        self._too_short = False

    def asked(self) -> Sequence[Block]:
        """What is asked for."""
        texts, question = self.lobby.texts, self._question
        lengths = {"shortest": question.shortest, "longest": question.longest}
        said = texts(_BODIES[question.purpose], label=question.token_label, **lengths)
        step: list[Block] = []
        if question.purpose in _STEPS:
            step.append(Prose(texts("pin.change-step", number=_STEPS.index(question.purpose) + 1), Look.KICKER))
        if question.required:
            said = f"{texts('pin.required')}\n{said}"
        return [*step, Heading(texts(pin_heading(question))), Gap(), Prose(said)]

    def blocks(self) -> Sequence[Block]:
        """What went wrong before, below the field."""
        texts, question = self.lobby.texts, self._question
        blocks: list[Block] = []
        if self._too_short:
            blocks.append(Notice(texts("pin.too-short", shortest=question.shortest)))
        for trouble in pin_troubles(question):
            if trouble in PIN_WARNINGS.values():
                blocks.append(Prose(texts(trouble), mark="  "))
            elif not self._too_short:
                blocks.append(Notice(texts(trouble)))
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
            yield PinPad(field, texts("pin.correct"), texts("pin.confirm"))
            yield Choices(self.choices())

    def retell_pages(self) -> None:
        """What is asked, what went wrong, and the corners of the pad."""
        texts = self.lobby.texts
        self.query_one("#asking", Page).show(self.asked())
        self.query_one("#trouble", Page).show(self.blocks())
        self.query_one(PinPad).relabel(texts("pin.correct"), texts("pin.confirm"))

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
