"""The palette: every colour by its purpose, in one place. A stylesheet names purposes, never colours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme; every text on every ground it stands on has a contrast of 7:1 or better."""

    ground: str
    """The counter everything lies on."""
    paper: str
    """The sheet a question is written on, and a button that waits."""
    shade: str
    """Quiet surfaces on the sheet: what cannot be pressed, the rest of a bar."""
    ink: str
    """Text."""
    quiet: str
    """Text that comes second: hints, labels, footers."""
    line: str
    """Rules and borders; never text."""
    brand: str
    """The bank's colour: header, headings, the focused button."""
    on_brand: str
    """Text on the bank's colour."""
    on_brand_quiet: str
    """Second text on the bank's colour."""
    warning: str
    """Text that must not be missed, and the mark beside it."""
    warning_ground: str
    """The strip a warning stands on."""
    done: str
    """What has been finished."""
    metal: str
    """The plug of the pictured USB."""
    code_ink: str = "#000000"
    """The dark modules of a code that cameras read: dark on light in every theme."""
    code_paper: str = "#ffffff"
    """Its light ones, and the quiet zone around."""


NORMAL = Palette(
    ground="#e6ebf0",
    paper="#ffffff",
    shade="#eef1f4",
    ink="#16202c",
    quiet="#414c58",
    line="#8b98a6",
    brand="#173f6d",
    on_brand="#ffffff",
    on_brand_quiet="#dce8f5",
    warning="#8c1d0c",
    warning_ground="#fff3ea",
    done="#0d5238",
    metal="#b4bec8",
)

REVERSED = Palette(
    ground="#000000",
    paper="#000000",
    shade="#1c1c1c",
    ink="#ffffff",
    quiet="#e0e0e0",
    line="#b0b0b0",
    brand="#ffffff",
    on_brand="#000000",
    on_brand_quiet="#202020",
    warning="#ffffff",
    warning_ground="#262626",
    done="#ffffff",
    metal="#8c8c8c",
)
