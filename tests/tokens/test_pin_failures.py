"""Whatever a module raises where a PIN is given: a wrong one is taken for nothing else, and nothing else for it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from pkcs11 import TokenFlag, exceptions

from kiosk.desk import PinQuestion, Unfit
from kiosk.errors import Code
from kiosk.journal import Event
from kiosk.pin_dialogue import _ASKED_AGAIN_AT_PAD
from kiosk.problems import token_problem
from kiosk.settings import DEMO_PIN
from kiosk.tokens.cryptoki import failure_of
from kiosk.tokens.errors import TokenError
from kiosk.tokens.native import _RAISED
from kiosk.tokens.wire import FailureKind
from tests.bank import Bank
from tests.scripted_desk import ScriptedDesk
from tests.tokens.acting_module import ActingModule

ASKED_AGAIN = {
    exceptions.PinIncorrect: FailureKind.PIN_WRONG,
    exceptions.PinLenRange: FailureKind.PIN_LENGTH,
    exceptions.PinInvalid: FailureKind.PIN_LENGTH,
    exceptions.PinTooWeak: FailureKind.PIN_LENGTH,
    exceptions.PinExpired: FailureKind.PIN_TO_BE_CHANGED,
    exceptions.FunctionCancelled: FailureKind.PAD_CANCELLED,
}
"""What the customer can put right, each with a sentence of its own."""

ENDS = {
    exceptions.PinLocked: Code.PIN_LOCKED,
    exceptions.UserPinNotInitialized: Code.PIN_NOT_SET,
    exceptions.DeviceRemoved: Code.TOKEN_TAKEN_OUT,
    exceptions.TokenNotPresent: Code.TOKEN_TAKEN_OUT,
    exceptions.NoSuchToken: Code.TOKEN_TAKEN_OUT,
    exceptions.SlotIDInvalid: Code.TOKEN_TAKEN_OUT,
    exceptions.MechanismInvalid: Code.NO_SUITABLE_KEY_KIND,
}
"""What ends the visit with a code that says what it was. Everything else the binding knows is T-05: it says nothing."""

EVERY = [
    each for _, each in inspect.getmembers(exceptions, inspect.isclass) if issubclass(each, exceptions.PKCS11Error)
]

UNKNOWN = (0x05, 0x06, 0x30, 0x54, 0x101, 0x80000001, 0xFFFFFFFF)
"""GENERAL_ERROR, FUNCTION_FAILED, DEVICE_ERROR, FUNCTION_NOT_SUPPORTED, USER_NOT_LOGGED_IN, a vendor's, nonsense."""


@pytest.mark.parametrize("raised", EVERY)
def test_every_exception_of_the_binding(raised: type[exceptions.PKCS11Error]) -> None:
    reply = failure_of(raised("detail that is not told")).reply
    assert reply.detail == raised.__name__
    assert (reply.kind in _ASKED_AGAIN_AT_PAD) is (raised in ASKED_AGAIN)
    if raised in ASKED_AGAIN:
        assert reply.kind is ASKED_AGAIN[raised]
    else:
        code = token_problem(TokenError(reply.kind, reply.detail)).problem.code
        assert code is ENDS.get(raised, Code.TOKEN_FAILED)


def test_the_pin_is_wrong_where_the_token_says_so_and_nowhere_else() -> None:
    kinds = {raised: failure_of(raised()).reply.kind for raised in EVERY}
    assert [raised for raised, kind in kinds.items() if kind is FailureKind.PIN_WRONG] == [exceptions.PinIncorrect]
    assert [raised for raised, kind in kinds.items() if kind is FailureKind.PIN_LOCKED] == [exceptions.PinLocked]


def test_no_failure_is_left_without_a_way_on() -> None:
    """Where a PIN is refused behind the dialogue's back, as ykcs11 does with a right one, nobody is told so."""
    pin_codes = {Code.PIN_REFUSED_TOO_OFTEN, Code.PIN_LAST_TRY}
    for kind in FailureKind:
        assert token_problem(TokenError(kind, "")).problem.code not in pin_codes


def test_the_pad_raises_what_the_binding_does() -> None:
    assert _RAISED.items() >= {0x50: exceptions.FunctionCancelled, 0xA0: exceptions.PinIncorrect}.items()
    assert all(issubclass(each, exceptions.PKCS11Error) for each in _RAISED.values())


@pytest.fixture
def acting(bank: Bank, tmp_path: Path) -> ActingModule:
    """A token that ends C_Login as a test says."""
    return ActingModule(bank, tmp_path / "acting")


def asked_for(desk: ScriptedDesk) -> list[PinQuestion]:
    return [each for each in desk.seen if isinstance(each, PinQuestion)]


async def test_unknown_results_of_a_login_are_never_a_wrong_pin(acting: ActingModule) -> None:
    for result in UNKNOWN:
        acting.answer(result)
        desk = ScriptedDesk()
        outcome = await acting.bank.visit(desk)
        assert outcome.problem is not None, hex(result)
        assert outcome.problem.code is Code.TOKEN_FAILED, hex(result)
        assert len(asked_for(desk)) == 1
    assert Event.PIN_REFUSED not in acting.bank.events()
    assert acting.calls == ["login pin"] * len(UNKNOWN), "nothing is tried twice"


async def test_a_typed_pin_that_a_module_says_was_cancelled_ends_with_that_code(acting: ActingModule) -> None:
    acting.answer(0x50)
    outcome = await acting.bank.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PAD_CANCELLED


@pytest.mark.parametrize("by_flag", [False, True])
async def test_the_locking_try_is_told_as_locked_however_the_token_says_it(acting: ActingModule, by_flag: bool) -> None:
    """PinLocked on some; on others PinIncorrect, and CKF_USER_PIN_LOCKED from then on."""
    acting.answer(0xA0 if by_flag else 0xA4)

    class Desk(ScriptedDesk):
        async def _see(self, name: str, question: object = None) -> None:
            await super()._see(name, question)
            if name == "pin" and by_flag:
                acting.raise_flags(TokenFlag.USER_PIN_LOCKED)

    desk = Desk(pins=["999999", DEMO_PIN])
    outcome = await acting.bank.visit(desk)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PIN_LOCKED
    assert desk.asked == ["pin", "problem"] if not by_flag else ["pin"]
    assert acting.calls == ["login pin"]


async def test_a_pin_of_no_possible_length_is_told_as_that_and_is_no_wrong_one(acting: ActingModule) -> None:
    acting.answer(0xA2)
    desk = ScriptedDesk(pins=["1234567", DEMO_PIN])
    assert (await acting.bank.visit(desk)).completion is not None
    second = asked_for(desk)[1]
    assert (second.unfit, second.refused) == (Unfit.LENGTH, False)
    assert Event.PIN_REFUSED not in acting.bank.events()


async def test_each_typed_pin_reaches_the_token_once(acting: ActingModule) -> None:
    """A wrong one, the same again, the right one; then the right one for the proof: three logins."""
    desk = ScriptedDesk(pins=["999999", "999999", DEMO_PIN])
    assert (await acting.bank.visit(desk)).completion is not None
    assert len(asked_for(desk)) == 3
    assert acting.calls == ["login pin"] * 3


async def test_a_pin_that_expired_opens_nothing_until_it_is_changed(acting: ActingModule) -> None:
    acting.answer(0xA3)
    desk = ScriptedDesk(pins=[DEMO_PIN, DEMO_PIN, "65432109", "65432109"])
    assert (await acting.bank.visit(desk)).completion is not None
    assert desk.asked[:5] == ["pin", "pin-present", "pin-new", "pin-new-again", "pin-changed"]
