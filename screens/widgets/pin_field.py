"""Where the PIN is typed: one bytearray, shown as dots, handed over once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from kiosk.pin import Pin, wipe

_SPACED = 10
"""Up to so many places there is space between them."""
_WIDEST = 16
"""Dots there is room for; a longer PIN shows no more than these."""


class PinField(Widget, can_focus=True):
    """Takes digits and keeps them to itself: not in a reactive value, a message, a timer or a repr."""

    SHOWS_PLACES: ClassVar[bool] = True
    """Whether it shows how many more there is room for."""

    @dataclass
    class Submitted(Message):
        """Enter was pressed. Says nothing of what was typed."""

    @dataclass
    class NothingToCorrect(Message):
        """訂正 was pressed with nothing typed."""

    @dataclass
    class Changed(Message):
        """Something was typed or taken back."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest
        self._typed = bytearray(longest)
        self._length = 0

    def takes(self, character: str) -> bool:
        """Whether this key adds something."""
        return character in "0123456789"

    def type(self, digit: int) -> None:
        """Add one digit; one too many is not taken."""
        self.type_character(str(digit))

    def type_character(self, character: str) -> None:
        """Add what `takes`; one too many is not taken."""
        if self._length < self._longest:
            self._typed[self._length] = ord(character)
            self._length += 1
            self._changed()

    def correct(self) -> None:
        """Take the last digit back."""
        if not self._length:
            self.post_message(self.NothingToCorrect())
            return
        self._length -= 1
        self._typed[self._length] = 0
        self._changed()

    def submit(self) -> None:
        """Enter, or 確定 on the pad."""
        self.post_message(self.Submitted())

    def holds_at_least(self, digits: int) -> bool:
        """Whether so many digits have been typed."""
        return self._length >= digits

    def hand_over(self) -> Pin:
        """Give the PIN away; the field is empty after that."""
        pin = Pin(self._typed[: self._length])
        self.clear()
        return pin

    def clear(self) -> None:
        """Overwrite what was typed."""
        wipe(self._typed)
        self._length = 0
        self.refresh()

    def render(self) -> Content:
        """A dot for each digit typed, a small one for each place that is free."""
        places = min(self._longest, _WIDEST)
        typed = min(self._length, places)
        if not self.SHOWS_PLACES:
            places = typed
        dots = [("● ", "bold $brand")] * typed + [("・", "$quiet")] * (places - typed)
        return Content(" " if self._longest <= _SPACED else "").join([Content.styled(*dot) for dot in dots])

    def on_key(self, event: events.Key) -> None:
        """Digits, corrections and Enter; everything else is the screen's."""
        if event.character and self.takes(event.character):
            self.type_character(event.character)
        elif event.key in {"backspace", "delete"}:
            self.correct()
        elif event.key == "enter":
            self.submit()
        else:
            return
        event.stop()

    def on_unmount(self) -> None:
        """Nothing stays when the question goes."""
        self.clear()

    def _changed(self) -> None:
        self.refresh()
        self.post_message(self.Changed())
