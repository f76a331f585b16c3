"""`docs/problems.md`: the catalogue of problems as a page for tellers and operators, in every language side by side.

`python -m kiosk.problem_page` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from kiosk.errors import Changed, Code, Problem
from kiosk.texts import Texts, languages

PAGE = Path(__file__).parents[1] / "docs" / "problems.md"

_AREAS = {
    "T": "T · the USB token",
    "C": "C · the certification authority",
    "N": "N · the network",
    "K": "K · the kiosk",
    "P": "P · the bank's policy",
}
_PARTS = {"happened": "what happened", "customer": "the customer", "teller": "the teller"}
_OPENING = """\
# Problems

Every way a visit can end badly has a code that stays. The kiosk's screen tells what happened, whether anything has
changed, and what the customer does; what the teller does stands here only, since a lobby is no place for it. The
journal has the code too, with the kind of fault in an engineer's words. A number that is missing was never given, or is
no longer, and is given to nothing else.
"""
_CHANGED = "## What has become of the certificate\n\nThe sentence below the first one on the screen."


def problem_page() -> str:
    """The page, in Markdown."""
    texts = [Texts(language) for language in languages()]
    return "\n".join([_OPENING, *_codes(texts), _CHANGED, "", *_changes(texts), ""])


def _codes(texts: list[Texts]) -> Iterator[str]:
    for letter, codes in groupby(Code, key=lambda code: code[0]):
        yield f"## {_AREAS[letter]}\n"
        for code in codes:
            yield f"### {code}\n"
            yield from _table(texts)
            for part, title in _PARTS.items():
                yield _row(title, [each.of_problem(Problem(code), part) for each in texts])
            yield ""


def _changes(texts: list[Texts]) -> Iterator[str]:
    yield from _table(texts)
    for changed in Changed:
        yield _row(changed.value, [each.of_change(changed) for each in texts])


def _table(texts: list[Texts]) -> Iterator[str]:
    yield _row("", [each("language.name") for each in texts])
    yield _row("---", ["---"] * len(texts))


def _row(title: str, cells: list[str]) -> str:
    return "| " + " | ".join([title, *(cell.replace("\n", " ").replace("|", r"\|") for cell in cells)]) + " |"


if __name__ == "__main__":
    PAGE.write_text(problem_page(), encoding="utf-8")
