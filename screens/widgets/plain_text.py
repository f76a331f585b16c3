"""Text from outside, made harmless for a terminal: literal, visible, bounded."""

from __future__ import annotations

import unicodedata

LONGEST = 400
"""Characters of one text from outside that are shown; the rest is an ellipsis."""


def printable(text: str) -> str:
    """`text` with everything that would move the cursor, turn the direction or hide itself made visible as `·`."""
    shown = "".join(_visible(character) for character in text[:LONGEST])
    return shown + "…" if len(text) > LONGEST else shown


def _visible(character: str) -> str:
    if character == "\n":
        return character
    category = unicodedata.category(character)
    if category == "Zs":
        return "　" if character == "　" else " "
    if category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return "·"
    return character
