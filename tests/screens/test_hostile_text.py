"""Text from certificates and tokens is shown as it is: no markup, no control, bounded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from kiosk.certificates import Certificate, SubjectLine
from kiosk.desk import (
    Completion,
    Desk,
    Destination,
    ImportAnnouncement,
    MainMenu,
    PinQuestion,
    RenewalNotice,
    Tries,
    WebAccessQuestion,
)
from screens.frame import Question
from screens.widgets.plain_text import LONGEST, printable
from tests.screens.samples import NOW, certificate, credential
from tests.screens.stage import asking, screen_text, until

HOSTILE = "[@click=app.quit]x[/] [/bold] [red]"


def hostile() -> Certificate:
    subject = tuple(SubjectLine(line.name, HOSTILE) for line in certificate().subject)
    return replace(certificate(), common_name=HOSTILE, subject=subject)


SHOWN: dict[str, Callable[[Desk], Awaitable[object]]] = {
    "notice": lambda desk: desk.show_notice(RenewalNotice(credential(hostile()), 20, NOW)),
    "menu": lambda desk: desk.choose_from_menu(MainMenu(credential(hostile()), 20, None)),
    "import": lambda desk: desk.announce_import(ImportAnnouncement(hostile(), 600)),
    "imported": lambda desk: desk.announce_import_complete(ImportAnnouncement(hostile(), 600)),
    "completion": lambda desk: desk.show_completion(Completion(Destination.USB, hostile(), certificate())),
    "web-access": lambda desk: desk.confirm_web_access(WebAccessQuestion(1, 2, HOSTILE)),
    "pin": lambda desk: desk.ask_pin(PinQuestion(HOSTILE, refused=False, tries=Tries.PLENTY, shortest=4, longest=8)),
}


async def test_shown_literally_and_does_nothing() -> None:
    answers: list[object] = []

    async def everything(desk: Desk) -> None:
        for ask in SHOWN.values():
            answers.append(await ask(desk))

    async with asking(everything) as (pilot, reception):
        for visit, name in enumerate(SHOWN):
            await until(lambda: isinstance(pilot.app.screen, Question) and not pilot.app.screen.is_over)
            await pilot.pause()
            text = "".join(screen_text(pilot.app).split())
            assert "".join(HOSTILE.split())[:17] in text, name
            await pilot.click("#sheet")
            assert len(answers) == visit, name
            await pilot.press("escape" if name == "pin" else "1")
        await reception.ended()
        assert pilot.app.is_running


@pytest.mark.parametrize("sign", ["\x1b", "\x00", "\x07", "\x9b", "\u202e", "\u200b", "\u2028", "\ufeff", "\ue000"])
def test_what_a_terminal_would_obey_becomes_visible(sign: str) -> None:
    assert printable(f"a{sign}b") == "a·b"


def test_names_are_left_alone() -> None:
    assert printable("髙﨑 𠮷野　ｶﾌﾞｼｷ ㈱") == "髙﨑 𠮷野　ｶﾌﾞｼｷ ㈱"


def test_bounded() -> None:
    assert len(printable("x" * 10_000)) == LONGEST + 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nシリアル番号 = 0000", "a·シリアル番号 = 0000"),
        ("e" + "\u0301" * 300, "é" + "·" * 299),
        ("か\u3099", "が"),
        ("葛\U000e0100飾", "葛飾"),
        ("髙﨑𠮷神", "髙﨑𠮷神"),
        ("☎\ufe0f", "☎"),
        ("\U0001f1ef\U0001f1f5", "··"),
        ("\u3164\u115f\uffa0\u2800", "····"),
        ("\u202eabc", "·abc"),
        ("אבג", "···"),
        ("ﾊﾝｶｸ", "ﾊﾝｶｸ"),
    ],
)
def test_only_characters_of_one_clear_width_are_shown(text: str, shown: str) -> None:
    assert printable(text) == (shown if len(text) <= LONGEST else shown + "…")
