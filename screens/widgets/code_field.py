"""Where the one-time code is typed: digits in groups, as they are printed, told at once when one of them is wrong.

Unlike a PIN the code is shown, because 17 digits are copied from paper and have to be compared with it; it is good for
nothing but this and only once. It lives here in one bytearray, and is overwritten as soon as it was handed over.
"""

from __future__ import annotations

from textual.content import Content

from kiosk.one_time_code import LENGTH, MistypedCode, OneTimeCode, read
from kiosk.pin import wipe
from screens.widgets.entry_field import EntryField

_GROUPS = ((0, 4), (4, 8), (8, 12), (12, LENGTH))
_SPACED = 39
"""Cells for a space between all digits, and three between groups."""
_WIDEST_GAP = 3


class CodeField(EntryField):
    """Takes digits and keeps them to itself: not in a reactive value, a message, a timer or a repr."""

    def __init__(self) -> None:
        super().__init__()
        self._typed = bytearray(LENGTH)
        self._length = 0

    def type(self, digit: int) -> None:
        """Add one digit; one too many is not taken."""
        if self._length < LENGTH:
            self._typed[self._length] = ord("0") + digit
            self._length += 1
            self.changed()

    def correct(self) -> None:
        """Take the last digit back."""
        if not self._length:
            self.post_message(self.NothingToCorrect())
            return
        self._length -= 1
        self._typed[self._length] = 0
        self.changed()

    @property
    def is_complete(self) -> bool:
        """Whether all digits have been typed."""
        return self._length == LENGTH

    @property
    def is_right(self) -> bool:
        """Whether all digits have been typed, and the check digit is right."""
        try:
            self._read()
        except MistypedCode:
            return False
        return True

    def hand_over(self) -> OneTimeCode:
        """Give the code away; the field is empty after that.

        Raises:
            MistypedCode: it is not right.
        """
        code = self._read()
        self.clear()
        return code

    def clear(self) -> None:
        """Overwrite what was typed."""
        wipe(self._typed)
        self._length = 0
        self.refresh()

    def on_unmount(self) -> None:
        """Nothing stays when the question goes."""
        self.clear()

    def render(self) -> Content:
        """The digits in their groups, and a line for each place that is free; the next one is marked."""
        spaced = self.size.width >= _SPACED
        groups = [
            Content(" " if spaced else "").join([self._place(place) for place in range(first, end)])
            for first, end in _GROUPS
        ]
        gap = (self.size.width - LENGTH) // (len(_GROUPS) - 1)
        return Content(" " * (_WIDEST_GAP if spaced else max(1, min(gap, _WIDEST_GAP)))).join(groups)

    def _place(self, place: int) -> Content:
        if place < self._length:
            return Content.styled(chr(self._typed[place]), "bold $ink")
        return Content.styled("_", "bold $on-brand on $brand" if place == self._length else "$quiet")

    def _read(self) -> OneTimeCode:
        return read(self._typed[: self._length].decode("ascii"))
