"""Typed access to the catalogues of texts in `assets/texts/`, one gettext file a language.

A key that a language lacks is answered in Japanese, and one that is nowhere by the key itself, so a missing text
never ends a visit; a test keeps both catalogues complete. `python -m kiosk.texts` writes `text_keys.py` anew.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from babel.messages.pofile import read_po

from kiosk.errors import Changed, Problem
from kiosk.text_keys import TextKey

BASE_LANGUAGE = "ja"


class Texts:
    """The texts of one language over those of the base language."""

    def __init__(self, language: str) -> None:
        """Use `language`; an unknown one is answered in the base language."""
        self.language = language if language in languages() else BASE_LANGUAGE
        self._texts = catalogue(BASE_LANGUAGE) | catalogue(self.language)

    def __call__(self, key: TextKey, **values: object) -> str:
        """The text of `key` with each `{name}` in it replaced; the result is literal text, never markup."""
        return self._filled(key, values)

    def of_problem(self, problem: Problem, part: str) -> str:
        """A part (`happened`, `customer`, `teller`) of what there is to say about `problem`."""
        return self._filled(f"problem.{problem.code}.{part}", {})

    def of_change(self, changed: Changed) -> str:
        """Whether anything changed, in the customer's words."""
        return self._filled(f"changed.{changed.value}", {})

    def _filled(self, key: str, values: dict[str, object]) -> str:
        return re.sub(r"\{(\w+)\}", lambda hole: str(values.get(hole[1], hole[0])), self._texts.get(key, key))


@cache
def languages() -> tuple[str, ...]:
    """Every language there is a catalogue for, the base language first."""
    found = {file.name.removesuffix(".po") for file in files("assets").joinpath("texts").iterdir()}
    return (BASE_LANGUAGE, *sorted(found - {BASE_LANGUAGE}))


@cache
def catalogue(language: str) -> dict[str, str]:
    """Every text of one language, by its key."""
    with files("assets").joinpath("texts", f"{language}.po").open("rb") as file:
        catalogue = read_po(file)
    return {str(message.id): str(message.string) for message in catalogue if message.id and message.string}


def text_keys_module() -> str:
    """The source of `text_keys.py` as the base catalogue wants it."""
    keys = "".join(f'    "{key}",\n' for key in sorted(catalogue(BASE_LANGUAGE)) if not key.startswith("problem."))
    return (
        '"""Every key of the catalogue. Made by `python -m kiosk.texts`; do not edit."""\n\n'
        f"from typing import Literal\n\nTextKey = Literal[\n{keys}]\n"
    )


if __name__ == "__main__":
    Path(__file__).with_name("text_keys.py").write_text(text_keys_module(), encoding="utf-8")
