"""Text from certificates and tokens is shown as it is: no markup, no control, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kiosk.app import Branch
from kiosk.certificates import Certificate, SubjectLine
from kiosk.credentials import Credential
from kiosk.desk import (
    CertificateDetails,
    CodeQuestion,
    Completion,
    Desk,
    Destination,
    EnrolmentIdQuestion,
    HeldId,
    IdQuestion,
    ImportAnnouncement,
    LastTryQuestion,
    MainMenu,
    PadPurpose,
    PadQuestion,
    PinQuestion,
    RenewalNotice,
    ResumptionQuestion,
    RetirementQuestion,
    TokenQuestion,
    Tries,
    WebAccessQuestion,
)
from kiosk.tokens.wire import TokenFacts
from screens.frame import Question
from screens.widgets.plain_text import LONGEST, printable
from tests.screens.samples import NOW, certificate, credential
from tests.screens.stage import asking, screen_text, until
from tests.screens.tour import touring

LEAVES = {"pin": "escape", "enrol-code": "escape", "last-try": "0"}
"""The key that answers, where it is not 1."""
HOSTILE = "[@click=app.quit]x[/] [/bold] [red]"


def hostile() -> Certificate:
    subject = tuple(SubjectLine(line.name, HOSTILE) for line in certificate().subject)
    return replace(certificate(), common_name=HOSTILE, subject=subject)


def hostile_credential() -> Credential:
    found = credential(hostile())
    return replace(found, holder=replace(found.holder, id=HOSTILE))


SHOWN: dict[str, Callable[[Desk], Awaitable[object]]] = {
    "notice": lambda desk: desk.show_notice(RenewalNotice(credential(hostile()), 20, NOW)),
    "menu": lambda desk: desk.choose_from_menu(MainMenu(credential(hostile()), 20, None)),
    "import": lambda desk: desk.announce_import(ImportAnnouncement(hostile(), 600)),
    "imported": lambda desk: desk.announce_import_complete(ImportAnnouncement(hostile(), 600)),
    "completion": lambda desk: desk.show_completion(Completion(Destination.USB, hostile(), certificate())),
    "retirement": lambda desk: desk.confirm_retirement(RetirementQuestion(hostile(), 600)),
    "resumption": lambda desk: desk.confirm_resumption(
        ResumptionQuestion(hostile_credential(), written=True, into=Destination.USB)
    ),
    "web-access": lambda desk: desk.confirm_web_access(WebAccessQuestion(1, 2, HOSTILE)),
    "enrol-choose-id": lambda desk: desk.choose_enrolment_id(EnrolmentIdQuestion((HeldId(hostile_credential(), -1),))),
    "enrol-code": lambda desk: desk.ask_code(CodeQuestion(HOSTILE)),
    "pad": lambda desk: desk.ask_pad(PadQuestion(HOSTILE, PadPurpose.LOG_IN)),
    "last-try": lambda desk: desk.confirm_last_try(LastTryQuestion(HOSTILE, certain=True)),
    "pin": lambda desk: desk.ask_pin(PinQuestion(HOSTILE, refused=False, tries=Tries.PLENTY, shortest=4, longest=8)),
}


def of(text: str) -> Certificate:
    """A certificate that says `text` wherever somebody could have written it."""
    plain = certificate()
    return replace(plain, common_name=text, subject=tuple(SubjectLine(line.name, text) for line in plain.subject))


def held(text: str) -> HeldId:
    found = credential(of(text))
    return HeldId(replace(found, holder=replace(found.holder, id=text)), 20)


def tokens(text: str) -> tuple[TokenFacts, ...]:
    flags: dict[str, Any] = {"pin_set": True, "pin_few_tries": False, "pin_last_try": False, "pin_locked": False}
    facts = TokenFacts(1, "01", text, text, text, removable=True, pin_to_be_changed=False, **flags)
    return facts, msgspec.structs.replace(facts, serial=text)


OUTSIDE: dict[str, Callable[[Desk, str], Awaitable[object]]] = {
    "retirement": lambda desk, text: desk.confirm_retirement(RetirementQuestion(of(text), 600)),
    "enrolment ids": lambda desk, text: desk.choose_enrolment_id(
        EnrolmentIdQuestion((held(text), held("TKYM1408054")))
    ),
    "enrolment code": lambda desk, text: desk.ask_code(CodeQuestion(text)),
    "completion pc": lambda desk, text: desk.show_completion(Completion(Destination.PC, of(text), certificate())),
    "notice": lambda desk, text: desk.show_notice(RenewalNotice(credential(of(text)), 20, NOW)),
    "menu": lambda desk, text: desk.choose_from_menu(MainMenu(credential(of(text)), 20, None)),
    "ids": lambda desk, text: desk.choose_id(IdQuestion((held(text), held("TKYM1408054")))),
    "tokens": lambda desk, text: desk.choose_token(TokenQuestion(tokens(text))),
    "details": lambda desk, text: desk.show_details(CertificateDetails(credential(of(text)), 20, text)),
    "web access": lambda desk, text: desk.confirm_web_access(WebAccessQuestion(1, 2, text)),
    "import": lambda desk, text: desk.announce_import(ImportAnnouncement(of(text), 600)),
    "imported": lambda desk, text: desk.announce_import_complete(ImportAnnouncement(of(text), 600)),
    "completion": lambda desk, text: desk.show_completion(
        Completion(Destination.USB, of(text), certificate(), others=(held(text),))
    ),
    "pad": lambda desk, text: desk.ask_pad(PadQuestion(text, PadPurpose.CHANGE)),
    "last try": lambda desk, text: desk.confirm_last_try(LastTryQuestion(text, certain=True)),
    "pin": lambda desk, text: desk.ask_pin(PinQuestion(text, refused=False, tries=Tries.PLENTY, shortest=4, longest=8)),
}
"""Every screen that shows what somebody outside has written; the address of the help page is a setting, and bounded."""

MARKUP = ("[@click=app.quit]", "[/]", "[/bold]", "[red]", "]", "[", "\\[", "$ink")
CONTROL = ("\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "\n", "\r", "\t", "\0", "\u202e", "\u2066", "\u200b", "\ufeff")
LENGTH = ("e\u0301" * 40, "髙" * 200, "A" * 10_000)
PIECES = st.sampled_from((*MARKUP, *CONTROL, *LENGTH))
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each try walks through a dozen screens: to make a failing text shorter takes longer than to read it."""
HOSTILE_TEXTS = st.lists(PIECES | st.text(max_size=20), min_size=1, max_size=6).map("".join)


@settings(max_examples=4, suppress_health_check=list(HealthCheck), phases=UNSHRUNK)
@given(text=HOSTILE_TEXTS)
def test_whatever_is_written_outside_is_literal_bounded_and_does_nothing(text: str) -> None:
    asyncio.run(walk_with(text))


async def walk_with(text: str) -> None:
    async with touring("ja", (80, 24), branch=Branch(text, text, None)) as tour:
        for name, ask in OUTSIDE.items():
            await tour.ask(lambda desk, ask=ask: ask(desk, text))  # type: ignore[misc]
            screen = tour.app.screen
            said = screen_text(tour.app).replace("\n", "")
            assert said == printable_all(said), name
            assert tour.app.screen._compositor.render_strips()[0].cell_length == 80
            await tour.pilot.click("#sheet")
            await tour.settle()
            assert tour.app.is_running
            assert tour.app.screen is screen, f"{name}: a touch on the text is no answer"


def printable_all(text: str) -> str:
    """`printable` of a text of any length."""
    return "".join(printable(text[start : start + LONGEST]) for start in range(0, len(text), LONGEST))


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
            await pilot.press(LEAVES.get(name, "1"))
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
