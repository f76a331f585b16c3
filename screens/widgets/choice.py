"""A big button that says which key presses it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from screens.widgets.phrases import widest_phrase, wrap

NARROWEST = 18
"""Cells of the narrowest button, its border included."""
TIGHT = "-tight"
"""The class of a button without room to spare beside its label."""
_BORDER = 2
_PADDING = 2


class Choice(Widget, can_focus=True):
    """A button: pressed by a touch, by Enter when it has the focus, and by its digit anywhere on the screen."""

    @dataclass
    class Pressed(Message):
        """The button was pressed."""

        choice: Choice

        @property
        def control(self) -> Choice:
            """The button, for `@on`."""
            return self.choice

    def __init__(
        self,
        label: str,
        *,
        digit: str = "",
        note: str = "",
        off: bool = False,
        back: bool = False,
        room_for: str = "",
        id: str = "",  # noqa: A002
    ) -> None:
        """Make a button.

        Args:
            label: What it says.
            digit: The key that presses it from anywhere on the screen; empty where there is none.
            note: A second, quieter line: why it is off, or what else there is to say.
            off: Whether it cannot be pressed.
            back: Whether it leads back; such a button stands apart from the others.
            room_for: A longer label it may get later; it is as wide as if it had that already.
            id: Its identifier on the screen.
        """
        super().__init__(id=id or None, disabled=off)
        self.label = label
        self.digit = digit
        self.note = note
        self.back = back
        self._room_for = room_for

    def relabel(self, label: str, note: str = "", room_for: str | None = None) -> None:
        """Say something else from now on; `room_for` as above, the same as before where it is None."""
        self.label, self.note = label, note
        if room_for is not None:
            self._room_for = room_for
        self.refresh()

    def press(self) -> None:
        """Press the button, unless it is off."""
        if not self.disabled:
            self.post_message(self.Pressed(self))

    def least_width(self) -> int:
        """Cells the button needs to say its label in one line."""
        longest = max(cell_len(self.label), cell_len(self._room_for))
        return max(NARROWEST, longest + cell_len(self._chip()) + 2 + self._frame())

    def whole_width(self) -> int:
        """Cells below which a word of its label or note is broken."""
        return cell_len(self._chip()) + 1 + max(map(widest_phrase, (self.label, self.note))) + self._frame()

    def rows_at(self, width: int) -> int:
        """Rows the button takes at `width` cells, its border included."""
        return _BORDER + len(self._lines(width - self._frame()))

    def render(self) -> Content:
        """The key, the label, and the note below."""
        return Content("\n").join(self._lines(self.size.width))

    def on_click(self, event: events.Click) -> None:
        """A touch presses."""
        event.stop()
        self.press()

    def on_key(self, event: events.Key) -> None:
        """Enter presses the focused button."""
        if event.key in {"enter", "space"}:
            event.stop()
            self.press()

    def _frame(self) -> int:
        return _BORDER if self.has_class(TIGHT) else _BORDER + _PADDING

    def _chip(self) -> str:
        return f" {self.digit} " if self.digit else ""

    def _lines(self, width: int) -> list[Content]:
        chip = self._chip()
        hang = cell_len(chip) + 1
        labels = wrap(self.label, width - hang)
        first = Content.assemble((chip, "" if self.disabled else "bold reverse"), " ", (labels[0], "bold"))
        rest = [Content.assemble(" " * hang, (line, "bold")) for line in labels[1:]]
        notes = wrap(self.note, width - hang) if self.note else []
        return [first, *rest, *(Content(" " * hang + line) for line in notes)]
