"""Where the password of this PC's certificate database is typed."""

from __future__ import annotations

from screens.widgets.pin_field import PinField


class PasswordField(PinField):
    """A `PinField` for everything a keyboard types in ASCII, of no particular length."""

    SHOWS_PLACES = False

    def takes(self, character: str) -> bool:
        """Letters, digits, signs and spaces."""
        return len(character) == 1 and " " <= character <= "~"
