"""The picture of the 専用USB before its slot."""

from __future__ import annotations

from enum import Enum

from rich.cells import cell_len
from textual.content import Content

_BODY = "bold $on-brand on $brand"
_EDGE = "$brand"
_METAL = "$ink on $metal"
_PLUG = "$metal"
_WALL = "$line"
_INSIDE = 22
_GAP = 18


class Way(Enum):
    """Where the token is going."""

    IN = "▶   ▶   ▶ "
    OUT = "◀   ◀   ◀ "
    INSIDE = ""


def usb_picture(name: str, way: Way) -> list[Content]:
    """The token, `name` written on it, its plug towards the slot or in it."""
    before = (_INSIDE - cell_len(name)) // 2
    label = " " * before + name + " " * (_INSIDE - before - cell_len(name))
    blank = " " * _INSIDE
    body = [
        (f"▄{'▄' * _INSIDE}▄", _EDGE),
        (f" {blank} ", _BODY),
        (f" {label} ", _BODY),
        (f" {blank} ", _BODY),
        (f"▀{'▀' * _INSIDE}▀", _EDGE),
    ]
    slot = _slot_with_plug() if way is Way.INSIDE else _plug_and_slot(way.value)
    return [Content.assemble(part, rest) for part, rest in zip(body, slot, strict=True)]


def _slot_with_plug() -> list[Content]:
    return [
        Content.assemble("   ", ("█████", _WALL)),
        Content.assemble(("▄▄▄▄▄▄", _PLUG), ("██", _WALL)),
        Content.assemble(("  ▪ ▪ ", _METAL), ("██", _WALL)),
        Content.assemble(("▀▀▀▀▀▀", _PLUG), ("██", _WALL)),
        Content.assemble("   ", ("█████", _WALL)),
    ]


def _plug_and_slot(arrows: str) -> list[Content]:
    gap = " " * _GAP
    return [
        Content.assemble("       ", gap, ("█████", _WALL)),
        Content.assemble(("▄▄▄▄▄▄▄", _PLUG), gap, ("▀▀▀██", _WALL)),
        Content.assemble(("  ▪ ▪  ", _METAL), (arrows.center(_GAP), "bold $brand"), ("   ██", _WALL)),
        Content.assemble(("▀▀▀▀▀▀▀", _PLUG), gap, ("▄▄▄██", _WALL)),
        Content.assemble("       ", gap, ("█████", _WALL)),
    ]
