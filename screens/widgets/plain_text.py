"""Text from outside, made harmless for a terminal: literal, visible, bounded."""

from __future__ import annotations

import unicodedata
from itertools import chain

from rich.cells import cell_len

LONGEST = 400
"""Characters of one text from outside that are shown; the rest is an ellipsis."""


_ZERO_WIDTH_OR_ODD = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me", "Mc"}


def _all_of(*ranges: range) -> frozenset[str]:
    return frozenset(map(chr, chain(*ranges)))


_VARIATION_SELECTORS = _all_of(range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_UNCLEAR_WIDTH = _all_of(
    range(0x115F, 0x1161),  # Hangul fillers
    range(0x2800, 0x2801),  # blank Braille
    range(0x3164, 0x3165),
    range(0xFFA0, 0xFFA1),
    range(0x1F1E6, 0x1F200),  # flags
    range(0x1F3FB, 0x1F400),  # skin tones
)
_RIGHT_TO_LEFT = {"R", "AL", "AN"}


def printable(text: str) -> str:
    """`text` in one line, with everything that would move the cursor, turn the direction or hide itself shown as `·`.

    What combines with the character before it is composed where there is one character for both. Variation selectors
    are left out: the character itself stays, in the shape the terminal has for it.
    """
    shown = "".join(_visible(character) for character in _composed(text[:LONGEST]))
    return shown + "…" if len(text) > LONGEST else shown


def _composed(text: str) -> list[str]:
    """One by one, and only with what follows: to normalise whole texts would change the shapes of names (神, 﨑)."""
    found: list[str] = []
    for character in text:
        if character in _VARIATION_SELECTORS:
            continue
        both = unicodedata.normalize("NFC", found[-1] + character) if found and unicodedata.combining(character) else ""
        if len(both) == 1:
            found[-1] = both
        else:
            found.append(character)
    return found


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs":
        return "　" if character == "　" else " "
    hidden = category in _ZERO_WIDTH_OR_ODD or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT
    return "·" if hidden or character in _UNCLEAR_WIDTH else character


def brief(text: str, cells: int) -> str:
    """`printable(text)` in one line of at most `cells` cells; the rest is an ellipsis."""
    line = printable(text)
    if cell_len(line) <= cells:
        return line
    while cell_len(line) >= cells:
        line = line[:-1]
    return f"{line}…"
