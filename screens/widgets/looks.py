"""How a run of text looks, by purpose; the colours are the palette's."""

from __future__ import annotations

from enum import StrEnum


class Look(StrEnum):
    """A style by purpose, in the words Textual's content understands."""

    BODY = "$ink"
    STRONG = "bold $ink"
    QUIET = "$quiet"
    KICKER = "$brand"
    HEADING = "bold $brand"
    RULE = "$line"
    WARNING = "bold $warning"
    DONE = "bold $done"
    BIG = "bold $brand"
    CHIP = "bold $on-brand on $brand"
