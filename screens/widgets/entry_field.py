"""What the fields of 電子証明書取得 have in common: keys go in, and touches of the pad beside them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widget import Widget


class EntryField(Widget, can_focus=True):
    """Takes keys and touches of the pad. Its messages say nothing of what was typed."""

    @dataclass
    class Submitted(Message):
        """Enter was pressed."""

    @dataclass
    class NothingToCorrect(Message):
        """訂正 was pressed with nothing typed."""

    @dataclass
    class Changed(Message):
        """Something was typed or taken back."""

    def type(self, digit: int) -> None:
        """A digit of the keyboard or the pad."""
        raise NotImplementedError

    def type_letter(self, letter: str) -> None:
        """A letter of the keyboard, A to Z; ignored where there are none."""

    def correct(self) -> None:
        """Take the last thing back."""
        raise NotImplementedError

    def submit(self) -> None:
        """Enter, or 確定 on the pad."""
        self.post_message(self.Submitted())

    def hear(self, event: events.Key) -> bool:
        """Whether `event` was for the field: digit or letter, also of a keyboard left in Japanese, or correction."""
        character = unicodedata.normalize("NFKC", event.character or "").upper()
        if len(character) == 1 and character in "0123456789":
            self.type(int(character))
        elif len(character) == 1 and "A" <= character <= "Z":
            self.type_letter(character)
        elif event.key in {"backspace", "delete"}:
            self.correct()
        else:
            return False
        return True

    def on_key(self, event: events.Key) -> None:
        """Whatever belongs into the field, and Enter; everything else is the screen's."""
        if event.key == "enter":
            self.submit()
        elif not self.hear(event):
            return
        event.stop()

    def changed(self) -> None:
        """Show it, and tell the screen."""
        self.refresh()
        self.post_message(self.Changed())
