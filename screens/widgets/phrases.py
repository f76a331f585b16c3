"""Line breaking by cell width: between phrases, and never against kinsoku.

Phrases come from BudouX. A line never begins with a closing mark and never ends with an opening one; a phrase longer
than a line is cut at the width, still by these rules where the width allows.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import budoux
from rich.cells import cell_len

NEVER_FIRST = frozenset(
    "、。，．・：；！？」』）】〉》〕｝］ーァィゥェォッャュョヮヵヶぁぃぅぇぉっゃゅょ々〜～,.:;!?)]}%"  # JIS X 4051
)
"""Characters that never begin a line (JIS X 4051)."""
NEVER_LAST = frozenset("「『（【〈《〔｛［([{")
"""Characters that never end a line (JIS X 4051)."""

_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def wrap(text: str, width: int) -> list[str]:
    """Break `text` into lines of at most `width` cells; a newline in it is a break of its own."""
    return [line for paragraph in text.split("\n") for line in _wrapped(paragraph, max(width, 2))]


def widest_phrase(text: str) -> int:
    """Cells of the widest part of `text` that is not broken as long as a line has room for it."""
    return max((cell_len(unit.strip()) for line in text.split("\n") for unit in _units(line)), default=0)


def _wrapped(paragraph: str, width: int) -> list[str]:
    lines = [""]
    for unit in _units(paragraph):
        if cell_len(lines[-1] + unit.rstrip()) <= width:
            lines[-1] += unit
        elif cell_len(unit.strip()) <= width:
            lines.append(unit.lstrip())
        else:
            lines += _cut(unit, width, lines.pop())
    return [line.rstrip() for line in lines]


def _cut(unit: str, width: int, begun: str) -> list[str]:
    """Cut a unit that is too long for any line, going on behind `begun`."""
    lines = [begun]
    for cluster in _clusters(unit, width):
        if cell_len(lines[-1] + cluster) <= width or not lines[-1]:
            lines[-1] += cluster
        else:
            lines.append(cluster)
    return lines


def _clusters(text: str, width: int) -> list[str]:
    """Characters with what must stay beside them: combining marks, closing marks behind, opening marks before."""
    clusters: list[str] = []
    for character in text:
        joins = _stays(character) or character in NEVER_FIRST or (clusters and clusters[-1][-1] in NEVER_LAST)
        if clusters and joins and cell_len(clusters[-1] + character) <= width:
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _stays(character: str) -> bool:
    """Whether it belongs to the letter before it: a combining mark or a variation selector."""
    return unicodedata.category(character) in {"Mn", "Me", "Cf"}


@cache
def _parser() -> budoux.Parser:
    return budoux.load_default_japanese_parser()


def _units(paragraph: str) -> list[str]:
    """What stays together on a line: words of English, phrases of Japanese, joined where kinsoku forbids a break."""
    units: list[str] = []
    for phrase in _phrases(paragraph):
        if units and (phrase[0] in NEVER_FIRST or _stays(phrase[0]) or units[-1][-1] in NEVER_LAST):
            units[-1] += phrase
        else:
            units.append(phrase)
    return units


def _phrases(paragraph: str) -> list[str]:
    if not _JAPANESE.search(paragraph):
        return re.findall(r"\s*\S+\s*|\s+", paragraph)
    return list(_parser().parse(paragraph))
