"""A reader with keys of its own: the PIN is typed there, and the kiosk never has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
from tests.flows.test_peculiar_tokens import bank_with_key
from tests.scripted_desk import ScriptedDesk
from tests.tokens.acting_module import ActingModule

NEW = "65432109"
PAD = TokenFlag.PROTECTED_AUTHENTICATION_PATH
CANCELED, INCORRECT, INVALID, LOCKED = 0x50, 0xA0, 0xA1, 0xA4


@pytest.fixture
async def wary(tmp_path: Path) -> AsyncIterator[ActingModule]:
    """As `reader`, whose keys, the new one too, want the PIN for each of their signatures."""
    async with bank_with_key(tmp_path / "bank", "secp256r1", always_authenticates=True) as bank:
        acting = ActingModule(bank, tmp_path / "acting")
        acting.raise_flags(PAD)
        acting.want_pin_at_every_signature()
        acting.type_at_pad(*[DEMO_PIN] * 20)
        yield acting


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


async def test_a_renewal_by_keys_that_want_the_pin_for_each_signature(wary: ActingModule) -> None:
    old, desk = (await wary.real.credential()).certificate, ScriptedDesk(pins=[])
    outcome = await wary.bank.visit(desk)
    assert outcome.completion is not None
    new = outcome.completion.certificate
    assert wary.bank.states() == {old.serial: "superseded", new.serial: "valid"}
    assert (await wary.real.credential()).certificate == new
    typed = [name for name, _ in pads(desk) if name.startswith("at-pad")]
    assert typed.count("at-pad-sign") == wary.calls.count("sign pad") >= 5, "nobody waits without being told to type"
    assert typed.count("at-pad-sign") + 2 == len(wary.calls)
    assert set(wary.calls) == {"login pad", "sign pad"}, "the kiosk never has the PIN"
    assert typed.index("at-pad-prove") < len(typed) - 1, "the new key wants it as well"


@pytest.mark.parametrize(
    ("result", "limits", "trouble"),
    [
        (CANCELED, Limits(), PadTrouble.CANCELLED),
        (CANCELED, Limits(pad_time_out=0.0), PadTrouble.TIMED_OUT),
        (INCORRECT, Limits(), PadTrouble.WRONG),
    ],
)
async def test_what_came_of_typing_for_a_signature_is_said_and_it_can_be_typed_again(
    wary: ActingModule, tmp_path: Path, result: int, limits: Limits, trouble: PadTrouble
) -> None:
    reader = ActingModule(wary.real, tmp_path / "limited", limits)
    reader.raise_flags(PAD)
    reader.answer(None, result, None)
    reader.type_at_pad(*[DEMO_PIN] * 3)
    desk = leaving()
    assert (await reader.bank.visit(desk)).problem is None
    signing = [each for each in pads(desk) if each[0].endswith("sign")]
    assert signing == [("at-pad-sign", None), ("pad-sign", trouble), ("at-pad-sign", trouble)]
    assert reader.bank.events().count(Event.PIN_REFUSED) == (trouble is PadTrouble.WRONG)


async def test_before_the_request_the_customer_can_do_without_a_signature(wary: ActingModule) -> None:
    wary.answer(None, CANCELED)
    desk = ScriptedDesk(pins=[], pads=[True, False])
    outcome = await wary.bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.PAD_CANCELLED, Changed.NOTHING)
    assert desk.asked[-2:] == ["pad-sign", "problem"]
    assert wary.calls == ["login pad", "sign pad"]


@pytest.mark.parametrize(
    ("result", "code"), [(CANCELED, Code.PAD_CANCELLED), (LOCKED, Code.PIN_LOCKED), (0x32, Code.TOKEN_TAKEN_OUT)]
)
async def test_what_nobody_types_for_the_request_is_finished_in_the_next_visit(
    wary: ActingModule, result: int, code: Code
) -> None:
    """Login, proof and two questions to the CA are typed; then comes the signature by the new key."""
    old = (await wary.real.credential()).certificate
    wary.answer(*[None] * 4, *[result] * 3)
    desk = ScriptedDesk(pins=[])
    outcome = await wary.bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (code, Changed.UNFINISHED)
    asked = [each for each in desk.seen if isinstance(each, PadQuestion) and each.purpose is PadPurpose.SIGN]
    assert [each.way_back for each in asked] == [True] * 3 + [False] * (len(asked) - 3)
    assert all(each.seconds for each in asked[3:] if each.trouble), "it goes on by itself"
    assert (await wary.real.credential()).certificate == old
    wary.answer()
    again = await wary.bank.visit(ScriptedDesk(pins=[]))
    assert again.completion is not None
    assert wary.bank.states()[again.completion.certificate.serial] == "valid"


async def test_who_takes_no_last_try_for_a_change_is_asked_again_before_a_signature_takes_it(
    wary: ActingModule,
) -> None:
    wary.answer(None, None, INCORRECT, INCORRECT)
    desk = ScriptedDesk(
        pins=[],
        notice=NoticeAnswer.LATER,
        menu=[MenuChoice.CHANGE_PIN, MenuChoice.RENEW],
        last_tries=[LastTryAnswer.NO, LastTryAnswer.NO],
    )
    outcome = await wary.bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.PIN_LAST_TRY, Changed.NOTHING)
    assert desk.asked[-5:] == ["last-try", "menu", "preprocessing", "last-try", "problem"]
    assert wary.calls == ["login pad", "sign pad", "set pad", "set pad"], "the reader is not woken again"


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
