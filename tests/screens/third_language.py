"""Walks a kiosk through its screens in a language that its code has never heard of: `python third_language.py`.

Started by `test_third_language.py` with another `assets` in front of ours. What is wrong is printed, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re

import click

from kiosk.cli import main as command
from kiosk.texts import BASE_LANGUAGE, Texts, languages
from screens.widgets.language_key import LanguageKey
from tests.screens.gallery import BOARDS, NAMES
from tests.screens.stage import screen_text
from tests.screens.test_catalogues import EN
from tests.screens.test_sizes import SIZES, faults, solid
from tests.screens.tour import touring

THIRD = "eo"
_LETTERS = str.maketrans("aeiouAEIOU", "áéíóúÁÉÍÓÚ")


def translated(text: str) -> str:
    """English with other vowels, as wide as before; what stands in braces is no text."""
    return "".join(part if part.startswith("{") else part.translate(_LETTERS) for part in re.split(r"(\{\w+\})", text))


async def wrong_screens() -> list[str]:
    """Screens that break in the third language, or say something in English that the catalogue has."""
    wrong: list[str] = []
    english: dict[str, str] = {}
    async with touring("en", SIZES["small"]) as tour:
        for name in NAMES:
            await tour.show(name)
            english[name] = solid(screen_text(tour.app))
    async with touring(THIRD, SIZES["small"]) as tour:
        for name in NAMES:
            await tour.show(name)
            said = solid(screen_text(tour.app))
            told = {solid(each) for each in EN.values() if len(each) > 3 and solid(each) in english[name]}
            wrong += [f"{name}: {each} is English" for each in told if translated(each) not in said]
            wrong += [f"{name}: {each}" for each in await faults(tour)]
    return wrong


async def wrong_keys() -> list[str]:
    """What the language key offers on a question and at standby, press by press."""
    wrong: list[str] = []
    async with touring(BASE_LANGUAGE, SIZES["small"]) as tour:
        for name in ("standby", "renewal-notice"):
            await tour.show(name)
            for language in (*languages()[1:], languages()[0]):
                offered = Texts(language)("language.name")
                keys = tour.app.screen.query("#language" if name in BOARDS else LanguageKey)
                if offered not in str(keys.first().render()):
                    wrong.append(f"{name}: {offered} is not offered")
                await tour.pilot.press("9")
                await tour.settle()
                if tour.app._lobby.texts.language != language:
                    wrong.append(f"{name}: {language} does not come")
    return wrong


def main() -> None:
    """Everything that is wrong."""
    wrong = [] if languages() == ("ja", "en", THIRD) else [f"the languages are {languages()}"]
    demo = command.commands["demo"]
    help_text = demo.get_help(click.Context(demo))
    wrong += [] if f"|{THIRD}]" in help_text else ["kiosk demo does not offer it"]
    print(json.dumps(wrong + asyncio.run(wrong_keys()) + asyncio.run(wrong_screens()), ensure_ascii=False))


if __name__ == "__main__":
    main()
