"""Japanese set as it is in print: no line begins or ends badly, and every name stands whole and straight."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from wcwidth import wcswidth

from kiosk.certificates import Certificate, SubjectLine
from kiosk.desk import Completion, Desk, Destination, ImportAnnouncement, MainMenu, PinQuestion, RenewalNotice, Tries
from kiosk.desk import WebAccessQuestion as WebAccess
from screens.widgets import phrases
from screens.widgets.page import Page
from screens.widgets.phrases import wrap
from screens.widgets.plain_text import LONGEST, printable
from tests.screens.samples import NOW, certificate, credential
from tests.screens.test_catalogues import EN, JA
from tests.screens.test_sizes import SIZES, faults, solid
from tests.screens.tour import touring

NEVER_FIRST = "、。」）』】ー々っゃゅょ"
NEVER_LAST = "「（『【"
WIDTHS = range(30, 121)
HOLES = {
    "date": "2026年12月13日（日）",
    "label": "SHINKIN-USB",
    "id": "TKYM1408054",
    "pin": "123456",
    "serial": "60345f5605e87a853a2e85271ae8724e",
}
"""What stands in the holes of a text; every other hole is a number."""


@pytest.fixture(scope="module", autouse=True)
def _parse_once() -> Iterator[None]:
    """Each text is broken at a hundred widths, and has the same phrases at all of them."""
    parse = phrases._phrases
    phrases._phrases = cache(parse)
    yield
    phrases._phrases = parse


def filled(text: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda hole: HOLES.get(hole[1], "20"), text)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_no_line_of_any_text_begins_or_ends_badly(language: str) -> None:
    wrong = []
    for key, text in {"ja": JA, "en": EN}[language].items():
        for paragraph in filled(text).split("\n"):
            for width in WIDTHS:
                lines = wrap(paragraph, width)
                if any(cell_len(line) > width for line in lines):
                    wrong.append(f"{key} at {width}: too wide: {lines}")
                if any(line[:1] in NEVER_FIRST for line in lines[1:] if line):
                    wrong.append(f"{key} at {width}: a line begins badly: {lines}")
                if any(line[-1:] in NEVER_LAST for line in lines[:-1] if line):
                    wrong.append(f"{key} at {width}: a line ends badly: {lines}")
                if solid("".join(lines)) != solid(paragraph):
                    wrong.append(f"{key} at {width}: letters are lost: {lines}")
    assert wrong == []


def test_the_rules_themselves_are_those_asked_for() -> None:
    assert set(NEVER_FIRST) <= phrases.NEVER_FIRST
    assert set(NEVER_LAST) <= phrases.NEVER_LAST


JAPANESE = st.text(alphabet="電子証明書更新をするには、。「」（）『』【】ー々っゃゅょアッA1 ", min_size=1, max_size=120)


@settings(max_examples=200)
@given(text=JAPANESE, width=st.integers(30, 120))
def test_whatever_is_written_keeps_its_width_and_its_letters(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert solid("".join(lines)) == solid(text)


NAMES = {
    "old forms": "髙﨑 𠮷野",
    "half-width": "ｶﾌﾞｼｷｶﾞｲｼｬ ﾐﾎﾝ",
    "variation selector": "葛\U000e0100飾 辻\U000e0101本",
    "combining dakuten": "か\u3099く\u3099つ\u3099 は\u309a",
    "ambiguous": "①※●→■…×",
    "markup": "[@click=app.quit]x[/] [/bold] [red]",
    "long word": "A" * 64,
    "long name": "信用金庫" * 16,
    "closing marks": "」）】。、" * 12,
    "opening marks": "「（【" * 20,
    "hostile length": "髙" * 10_000,
}

SHOWN: dict[str, Callable[[Desk, Certificate], Awaitable[object]]] = {
    "notice": lambda desk, of: desk.show_notice(RenewalNotice(credential(of), 20, NOW)),
    "menu": lambda desk, of: desk.choose_from_menu(MainMenu(credential(of), 20, None)),
    "import": lambda desk, of: desk.announce_import(ImportAnnouncement(of, 600)),
    "import complete": lambda desk, of: desk.announce_import_complete(ImportAnnouncement(of, 600)),
    "completion": lambda desk, of: desk.show_completion(Completion(Destination.USB, of, certificate())),
    "web access": lambda desk, of: desk.confirm_web_access(WebAccess(1, 2, of.common_name)),
}


def named(name: str) -> Certificate:
    """The sample certificate, of a customer of that name."""
    plain = certificate()
    lines = tuple(SubjectLine(line.name, name if line.name == "Common Name" else line.value) for line in plain.subject)
    return replace(plain, common_name=name, subject=lines)


LONG_KINDS = ("long word", "long name", "closing marks", "opening marks", "hostile length")
CERTAIN = 300
"""Letters of a name that are told however long it is."""


@pytest.mark.parametrize(
    ("size", "kinds", "screens"),
    [
        ("small", [kind for kind in NAMES if kind not in LONG_KINDS], ("notice", "completion")),
        ("small", LONG_KINDS, ("menu", "import complete")),
        ("large-text", ("markup", "combining dakuten", "long name"), tuple(SHOWN)),
    ],
)
async def test_names_stand_whole_and_straight(size: str, kinds: tuple[str, ...], screens: tuple[str, ...]) -> None:
    """Nothing is clipped, every row is as wide for a terminal as for us, and the name is there letter for letter."""
    async with touring("ja", SIZES[size]) as tour:
        wrong: list[str] = []
        for kind, screen in product(kinds, screens):
            name, show = NAMES[kind], SHOWN[screen]
            await tour.ask(lambda desk, show=show, name=name: show(desk, named(name)))  # type: ignore[misc]
            pages = list(tour.app.screen.query(Page))
            told = "".join(solid(row.plain) for page in pages for row in page.all_rows())
            if solid(printable(name))[:CERTAIN] not in told:
                wrong.append(f"{screen}, {kind}: not told")
            rows = tour.app.screen._compositor.render_strips()
            crooked = [row.text for row in rows if wcswidth(row.text) != SIZES[size][0]]
            wrong += [f"{screen}, {kind}: crooked: {row!r}" for row in crooked]
            if len(name) < LONGEST:
                wrong += [f"{screen}, {kind}: {each}" for each in await faults(tour)]
        assert wrong == []


async def test_the_label_of_a_token_is_set_like_a_name() -> None:
    async with touring("ja", SIZES["small"]) as tour:
        for kind in ("old forms", "variation selector", "markup", "hostile length"):
            question = PinQuestion(NAMES[kind][:32], refused=False, tries=Tries.PLENTY, shortest=4, longest=8)
            await tour.ask(lambda desk, question=question: desk.ask_pin(question))  # type: ignore[misc]
            assert await faults(tour) == []


@pytest.mark.parametrize("name", NAMES.values())
def test_a_mark_stays_with_its_letter(name: str) -> None:
    """Combining marks and variation selectors never begin a line."""
    for width in range(2, 40):
        for line in wrap(printable(name), width):
            assert not line or cell_len(line[0]) > 0 or len(line) == 1
