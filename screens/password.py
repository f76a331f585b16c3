"""The password of this PC's certificate database: asked where somebody logs in with a certificate that is in it."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical

from kiosk.desk import PinQuestion
from kiosk.pin import Pin
from kiosk.words import pin_heading, pin_troubles
from screens.frame import Question
from screens.lobby import Lobby
from screens.widgets.blocks import Block, Gap, Heading, Notice, Prose
from screens.widgets.choice import Choice
from screens.widgets.choices import Choices
from screens.widgets.page import Page
from screens.widgets.password_field import PasswordField


class PasswordScreen(Question[Pin | None]):
    """A PC has a keyboard, so there is no pad: every key goes into the field, Enter hands it over."""

    HINT = "hint.password"
    LANGUAGE_DIGIT = ""
    AUTO_FOCUS = "PasswordField"
    HEARS_KEYS_AT_ONCE = True

    def __init__(self, lobby: Lobby, question: PinQuestion) -> None:
        super().__init__(lobby)
        self._question = question
        self._empty = False

    def asked(self) -> Sequence[Block]:
        """What is asked for."""
        texts = self.lobby.texts
        return [Heading(texts(pin_heading(self._question))), Gap(), Prose(texts("password.body"))]

    def blocks(self) -> Sequence[Block]:
        """What went wrong before, below the field."""
        texts = self.lobby.texts
        if self._empty:
            return [Notice(texts("password.empty"))]
        return [Notice(texts(trouble)) for trouble in pin_troubles(self._question)]

    def choices(self) -> Sequence[Choice]:
        """確定 and 中止."""
        texts = self.lobby.texts
        return [Choice(texts("pin.confirm"), id="confirm"), Choice(texts("cancel"), back=True, id="cancel")]

    def compose_sheet(self) -> ComposeResult:
        """Text, field, trouble, buttons."""
        with Vertical(id="asked"):
            yield Page(self.asked(), id="asking")
            yield PasswordField(self._question.longest)
            yield Page(self.blocks(), id="trouble")
        yield Choices(self.choices())

    def retell_pages(self) -> None:
        """What is asked, and what went wrong."""
        self.query_one("#asking", Page).show(self.asked())
        self._tell_trouble()

    def on_key(self, event: events.Key) -> None:
        """What can be typed belongs to the field, wherever the focus is; Escape leads back."""
        field = self.query_one(PasswordField)
        if event.character and field.takes(event.character):
            event.stop()
            field.focus()
            field.type_character(event.character)
        elif event.key == "backspace":
            event.stop()
            field.correct()
        elif event.key == "escape":
            event.stop()
            self._cancel()
        else:
            super().on_key(event)
        event.prevent_default()

    @on(PasswordField.Submitted)
    @on(Choice.Pressed, "#confirm")
    def _submit(self) -> None:
        field = self.query_one(PasswordField)
        if not field.holds_at_least(self._question.shortest):
            self._empty = True
            self._tell_trouble()
        elif self.is_over:
            field.clear()
        else:
            self.answer(field.hand_over())

    @on(PasswordField.Changed)
    def _typed(self) -> None:
        if self._empty:
            self._empty = False
            self._tell_trouble()

    def _tell_trouble(self) -> None:
        self.query_one("#trouble", Page).show(self.blocks())

    @on(PasswordField.NothingToCorrect)
    def _offer_way_out(self) -> None:
        self.query_one("#cancel").focus()

    @on(Choice.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.query_one(PasswordField).clear()
        self.answer(None)
