"""What stands on the terminal while no kiosk runs on it: plain lines in the middle, in every language.

It depends on as little as can be, because what has ended the kiosk may be anything: no screens, no styles. Where even
the catalogue cannot be read, the words that matter are here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from kiosk.errors import Code
from kiosk.text_keys import TextKey

_BARE = {"standby.out": "調整中　Out of order", "between.wait": "お待ちください　One moment, please"}
"""For want of a catalogue."""
_SENTENCES = re.compile(r"(?<=[。．])|(?<=[.!?]) ")

Words = Callable[[TextKey], Sequence[str]]
"""What there is to say, in each language."""


def in_every_language(key: TextKey) -> list[str]:
    """The text of `key` in all languages, the base language first."""
    try:
        from kiosk.texts import Texts, languages  # takes megabytes, and most launchers never need it

        return [Texts(language)(key) for language in languages()]
    except Exception:
        return [_BARE.get(key, "")]


def out_of_order(code: Code | str, words: Words = in_every_language) -> list[str]:
    """調整中, what to do, and the code."""
    said = [line for both in zip(words("standby.out"), words("standby.out-hint"), strict=True) for line in (*both, "")]
    return [*said, str(code)]


def starting(words: Words = in_every_language) -> list[str]:
    """One moment, please."""
    return list(words("between.wait"))


def drawn(lines: Sequence[str], columns: int, rows: int) -> str:
    """The whole terminal with `lines` in the middle of it, as control sequences."""
    fitting = [part for line in lines for part in _wrapped(line, columns)]
    top = max((rows - len(fitting)) // 2, 0)
    placed = (
        f"\x1b[{top + number};{max((columns - _cells(part)) // 2, 0) + 1}H{part}"
        for number, part in enumerate(fitting[:rows], start=1)
        if part
    )
    return "\x1b[0m\x1b[2J\x1b[?25l" + "".join(placed)


def _wrapped(line: str, width: int) -> list[str]:
    """A sentence a line; one that is longer is cut between words, or where the line ends."""
    parts: list[str] = []
    for sentence in filter(None, _SENTENCES.split(line)) if line else [""]:
        rest = sentence.strip()
        while _cells(rest) > width:
            cut = next(n for n in range(1, len(rest) + 1) if _cells(rest[: n + 1]) > width)
            cut = rest.rfind(" ", 0, cut + 1) if " " in rest[: cut + 1] else cut
            parts.append(rest[:cut])
            rest = rest[cut:].strip()
        parts.append(rest)
    return parts


def _cells(text: str) -> int:
    """Columns on a terminal that takes ambiguous characters for narrow ones, as the kiosk's does."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
