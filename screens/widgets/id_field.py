"""Where an ID is typed: letters and digits, each in a place of its own, so that it also goes with a bare ten-key.

Which of the two comes is told by the place alone. A letter is typed directly where there are letters on the keyboard;
with ten keys it takes two: the key that it stands on, as on a telephone, and then its number among those.
"""

from __future__ import annotations

from textual.content import Content

from kiosk.credentials import IdShape
from screens.widgets.entry_field import EntryField

KEYS = {2: "ABC", 3: "DEF", 4: "GHI", 5: "JKL", 6: "MNO", 7: "PQRS", 8: "TUV", 9: "WXYZ"}
"""As on every telephone (ITU-T E.161)."""


class IdField(EntryField):
    """Holds an ID that is being typed."""

    def __init__(self, shape: IdShape) -> None:
        super().__init__()
        self._shape = shape
        self._typed = shape.prefix
        self._key: int | None = None
        """The key whose letters there are to choose from."""

    @property
    def typed(self) -> str:
        """What was typed so far, its prefix included."""
        return self._typed

    @property
    def is_complete(self) -> bool:
        """Whether every place is filled."""
        return self._shape.matches(self._typed)

    @property
    def wants_letter(self) -> bool:
        """Whether a letter comes next."""
        return len(self._typed) < self._shape.letters

    @property
    def offered(self) -> str:
        """The letters to choose from by number; empty while no key was pressed."""
        return KEYS[self._key] if self._key else ""

    def type(self, digit: int) -> None:
        """A digit, or the way to a letter."""
        if not self.wants_letter:
            self._add(str(digit))
        elif self._key is None:
            self._key = digit if digit in KEYS else None
            self.changed()
        elif 1 <= digit <= len(self.offered):
            self._add(self.offered[digit - 1])

    def type_letter(self, letter: str) -> None:
        """A letter of the keyboard, where one comes next."""
        if self.wants_letter:
            self._add(letter)

    def correct(self) -> None:
        """Take back the key, or the last place; what all IDs begin with stays."""
        if self._key is not None:
            self._key = None
        elif len(self._typed) > len(self._shape.prefix):
            self._typed = self._typed[:-1]
        else:
            self.post_message(self.NothingToCorrect())
            return
        self.changed()

    def render(self) -> Content:
        """Every place, and a gap between letters and digits; the next one is marked."""
        letters, places = self._shape.letters, self._shape.letters + self._shape.digits
        spaced = " " if self.size.width >= 2 * places else ""
        parts = [Content(spaced).join([self._place(place) for place in part]) for part in _parts(letters, places)]
        return Content("  ").join(parts)

    def _place(self, place: int) -> Content:
        if place < len(self._typed):
            return Content.styled(self._typed[place], "bold $ink")
        return Content.styled("_", "bold $on-brand on $brand" if place == len(self._typed) else "$quiet")

    def _add(self, character: str) -> None:
        self._key = None
        if len(self._typed) < self._shape.letters + self._shape.digits:
            self._typed += character
        self.changed()


def _parts(letters: int, places: int) -> list[range]:
    return [part for part in (range(letters), range(letters, places)) if part]
