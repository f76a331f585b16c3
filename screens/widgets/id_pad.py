"""The pad beside an ID: its keys say what they are good for now."""

from __future__ import annotations

from screens.widgets.id_field import KEYS, IdField
from screens.widgets.pin_pad import PadKey, PinPad


class IdPad(PinPad):
    """Letters in groups, then the letters of one group by number, then digits."""

    def __init__(self, field: IdField, correct: str, confirm: str) -> None:
        super().__init__(field, correct, confirm)
        self._id_field = field

    def label_of(self, digit: int) -> str:
        """What the key of `digit` does now; nothing where it says nothing."""
        field = self._id_field
        if not field.wants_letter:
            return str(digit)
        if field.offered:
            return f"{digit} {field.offered[digit - 1]}" if 1 <= digit <= len(field.offered) else ""
        return f"{digit} {KEYS[digit]}" if digit in KEYS else ""

    def renew(self) -> None:
        """Say what the keys are good for after another one was pressed."""
        for digit, key in self.digit_keys():
            key.relabel(self.label_of(digit))

    def digit_keys(self) -> list[tuple[int, PadKey]]:
        """The keys of the digits, in the order in which they stand."""
        keys = [each for each in self.query(PadKey) if not each.can_focus]
        return list(zip((1, 2, 3, 4, 5, 6, 7, 8, 9, 0), keys, strict=True))
