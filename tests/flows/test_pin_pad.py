"""A reader with keys of its own: the PIN is typed there, and the kiosk never has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pkcs11 import TokenFlag

from kiosk.desk import (
    LastTryAnswer,
    MenuChoice,
    NoticeAnswer,
    PadPurpose,
    PadQuestion,
    PadTrouble,
    Tries,
)
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from kiosk.settings import DEMO_PIN
from kiosk.tokens.process import Limits
from tests.bank import Bank
from tests.scripted_desk import ScriptedDesk
from tests.tokens.acting_module import ActingModule

NEW = "65432109"
PAD = TokenFlag.PROTECTED_AUTHENTICATION_PATH
CANCELED, INCORRECT, INVALID, LOCKED = 0x50, 0xA0, 0xA1, 0xA4


@pytest.fixture
def reader(bank: Bank, tmp_path: Path) -> ActingModule:
    """A token in a reader with keys, at which the right PIN is typed as often as wanted."""
    acting = ActingModule(bank, tmp_path / "acting")
    acting.raise_flags(PAD)
    acting.type_at_pad(*[DEMO_PIN] * 5)
    return acting


def leaving(*menu: MenuChoice) -> ScriptedDesk:
    return ScriptedDesk(pins=[], notice=NoticeAnswer.LATER, menu=list(menu))


def pads(desk: ScriptedDesk) -> list[tuple[str, PadTrouble | None]]:
    """What was said before and during typing at the reader, with the trouble before."""
    asked = zip(desk.asked, desk.seen, strict=True)
    return [(name, each.trouble) for name, each in asked if isinstance(each, PadQuestion)]


async def test_a_renewal_with_a_pin_that_only_the_reader_knows(reader: ActingModule) -> None:
    desk = ScriptedDesk(pins=[])
    outcome = await reader.bank.visit(desk)
    assert outcome.completion is not None
    assert pads(desk) == [("pad-log-in", None), ("at-pad-log-in", None), ("at-pad-prove", None)]
    assert desk.asked.index("at-pad-prove") == desk.asked.index("prove") + 1
    assert reader.calls == ["login pad", "login pad"], "the proof's fresh process needs it again"


async def test_giving_up_does_not_wake_the_reader(reader: ActingModule) -> None:
    desk = ScriptedDesk(pins=[], pads=[False])
    outcome = await reader.bank.visit(desk)
    assert (outcome.completion, outcome.problem) == (None, None)
    assert desk.asked == ["pad-log-in"]
    assert reader.calls == []


@pytest.mark.parametrize(
    ("result", "limits", "trouble"),
    [
        (CANCELED, Limits(), PadTrouble.CANCELLED),
        (CANCELED, Limits(pad_time_out=0.0), PadTrouble.TIMED_OUT),
        (INCORRECT, Limits(), PadTrouble.WRONG),
        (0xA2, Limits(), PadTrouble.LENGTH),
    ],
)
async def test_what_came_of_it_is_said_and_it_is_begun_again_only_by_the_customer(
    bank: Bank, tmp_path: Path, result: int, limits: Limits, trouble: PadTrouble
) -> None:
    reader = ActingModule(bank, tmp_path / "acting", limits)
    reader.raise_flags(PAD)
    reader.answer(result)
    reader.type_at_pad(DEMO_PIN)
    desk = leaving()
    assert (await reader.bank.visit(desk)).problem is None
    once = [("pad-log-in", None), ("at-pad-log-in", None)]
    assert pads(desk) == [*once, ("pad-log-in", trouble), ("at-pad-log-in", trouble)]
    assert reader.bank.events().count(Event.PIN_REFUSED) == (trouble is PadTrouble.WRONG)


async def test_a_pad_that_never_answers_is_ended_and_told_as_a_time_out(bank: Bank, tmp_path: Path) -> None:
    reader = ActingModule(bank, tmp_path / "acting", Limits(pad=0.0))
    reader.raise_flags(PAD)
    desk = leaving()
    outcome = await reader.bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.PAD_TIMED_OUT, Changed.NOTHING)


async def test_a_locked_one_is_told_as_locked(reader: ActingModule) -> None:
    reader.answer(LOCKED)
    outcome = await reader.bank.visit(leaving())
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PIN_LOCKED


async def test_the_last_try_is_asked_for_here_too(reader: ActingModule) -> None:
    reader.raise_flags(PAD | TokenFlag.USER_PIN_FINAL_TRY)
    desk = leaving()
    await reader.bank.visit(desk)
    assert desk.asked == ["last-try"]
    desk = leaving()
    desk.last_tries = [LastTryAnswer.YES]
    await reader.bank.visit(desk)
    assert desk.asked[:3] == ["last-try", "pad-log-in", "at-pad-log-in"]
    assert next(each for each in desk.seen if isinstance(each, PadQuestion)).tries is Tries.LAST


async def test_the_proof_is_asked_again_by_itself_with_what_went_wrong(reader: ActingModule) -> None:
    reader.answer(None, CANCELED, INCORRECT, None)
    desk = ScriptedDesk(pins=[], last_tries=[LastTryAnswer.YES])
    assert (await reader.bank.visit(desk)).completion is not None
    proofs = [each for each in desk.seen if isinstance(each, PadQuestion) and each.purpose is PadPurpose.PROVE]
    assert [each.trouble for each in proofs] == [
        None,
        *[PadTrouble.CANCELLED] * 2,
        *[PadTrouble.WRONG] * 2,
    ]
    assert all(each.seconds for each in proofs[1:]), "there is no way back"


async def test_a_proof_that_nobody_types_for_ends_and_is_finished_in_the_next_visit(reader: ActingModule) -> None:
    reader.answer(None, CANCELED, CANCELED, CANCELED)
    outcome = await reader.bank.visit(ScriptedDesk(pins=[]))
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.PAD_CANCELLED, Changed.UNFINISHED)
    before = set(reader.bank.states())
    assert (await reader.bank.visit(ScriptedDesk(pins=[]))).completion is not None
    assert set(reader.bank.states()) == before, "with the certificate that was there"


async def test_a_change_at_the_reader(reader: ActingModule) -> None:
    reader.type_at_pad(DEMO_PIN, DEMO_PIN, NEW)
    desk = leaving(MenuChoice.CHANGE_PIN)
    assert (await reader.bank.visit(desk)).problem is None
    assert desk.asked[-5:] == ["menu", "pad-change", "at-pad-change", "pin-changed", "menu"]
    assert reader.calls == ["login pad", "set pad"]
    async with await reader.bank.open_token(pin=NEW):
        pass


async def test_two_different_new_pins_at_the_reader_are_told(reader: ActingModule) -> None:
    """OpenSC raises PinInvalid for a mismatch at the pad."""
    reader.answer(None, INVALID, None)
    reader.type_at_pad(DEMO_PIN, DEMO_PIN, NEW)
    desk = leaving(MenuChoice.CHANGE_PIN)
    assert (await reader.bank.visit(desk)).problem is None
    changes = [each for each in pads(desk) if each[0] == "pad-change"]
    assert changes == [("pad-change", None), ("pad-change", PadTrouble.NOT_TAKEN)]


async def test_a_change_that_is_required_comes_first_and_the_visit_goes_on(reader: ActingModule) -> None:
    """The token has the flag until the change; what it says after that is its own."""
    reader.raise_flags(PAD | TokenFlag.USER_PIN_TO_BE_CHANGED)
    reader.type_at_pad(DEMO_PIN, NEW, NEW)
    desk = leaving()
    assert (await reader.bank.visit(desk)).problem is None
    assert desk.asked == [
        *("pad-change", "at-pad-change", "pin-changed"),
        *("pad-log-in", "at-pad-log-in", "notice", "menu"),
    ]
    assert next(each for each in desk.seen if isinstance(each, PadQuestion)).required


async def test_the_kiosk_never_has_the_pin(reader: ActingModule) -> None:
    desk = ScriptedDesk(pins=[])
    await reader.bank.visit(desk)
    assert not any(each.startswith("pin") for each in desk.asked)
    assert set(reader.calls) == {"login pad"}
