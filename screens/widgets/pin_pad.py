"""A ten-key on the screen, for fingers. Its digits stand where they always stand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget


class Typed(Protocol):
    """A field that a pad types into."""

    def type(self, digit: int) -> None:
        """A digit was pressed."""

    def correct(self) -> None:
        """訂正 was pressed."""

    def submit(self) -> None:
        """確定 was pressed."""


class PadKey(Widget):
    """A key that calls instead of sending a message, so that no message ever carries a digit."""

    def __init__(self, label: str, pressed: Callable[[], None], *, by_focus: bool = False) -> None:
        """Make a key.

        Args:
            label: What it says.
            pressed: Called when it is pressed.
            by_focus: Whether Tab reaches it; digits have keys of their own.
        """
        super().__init__()
        self._label = label
        self._pressed = pressed
        self.can_focus = by_focus

    def relabel(self, label: str) -> None:
        """Say something else from now on."""
        self._label = label
        self.refresh()

    def render(self) -> Content:
        """The label."""
        return Content.styled(self._label, "bold")

    def on_click(self, event: events.Click) -> None:
        """A touch presses."""
        event.stop()
        self._pressed()

    def on_key(self, event: events.Key) -> None:
        """Enter presses the focused key."""
        if event.key in {"enter", "space"}:
            event.stop()
            self._pressed()


class PinPad(Widget):
    """1 to 9 and 0 as on a telephone, 訂正 and 確定 at the lower corners."""

    def __init__(self, field: Typed, correct: str, confirm: str) -> None:
        super().__init__()
        self._field = field
        self._correct = correct
        self._confirm = confirm

    def compose(self) -> ComposeResult:
        """Four rows of three."""
        for digit in range(1, 10):
            yield self._key(digit)
        yield PadKey(self._correct, self._field.correct, by_focus=True)
        yield self._key(0)
        yield PadKey(self._confirm, self._field.submit, by_focus=True)

    def relabel(self, correct: str, confirm: str) -> None:
        """Other words on the two lower corners."""
        corners = [each for each in self.query(PadKey) if each.can_focus]
        for key, label in zip(corners, (correct, confirm), strict=True):
            key.relabel(label)

    def _key(self, digit: int) -> PadKey:
        return PadKey(self.label_of(digit), partial(self._field.type, digit))

    def label_of(self, digit: int) -> str:
        """What the key of `digit` says."""
        return str(digit)
