"""Whatever a module raises where a PIN is given: a wrong one is taken for nothing else, and nothing else for it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from pkcs11 import TokenFlag, exceptions

from kiosk.desk import PinQuestion, Unfit
from kiosk.errors import Code
from kiosk.journal import Event
from kiosk.pin import Pin
from kiosk.pin_dialogue import _ASKED_AGAIN_AT_PAD
from kiosk.problems import token_problem
from kiosk.settings import DEMO_PIN
from kiosk.tokens import wire
from kiosk.tokens.errors import TokenError
from kiosk.tokens.failures import failure_of
from kiosk.tokens.native import _RAISED
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import find_tokens
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
    exceptions.DeviceMemory: Code.TOKEN_FULL,
    exceptions.MechanismInvalid: Code.NO_SUITABLE_KEY_KIND,
    exceptions.MechanismParamInvalid: Code.NO_SUITABLE_KEY_KIND,
    exceptions.KeySizeRange: Code.NO_SUITABLE_KEY_KIND,
    exceptions.DomainParamsInvalid: Code.NO_SUITABLE_KEY_KIND,
    exceptions.FunctionNotSupported: Code.NO_SUITABLE_KEY_KIND,
}
"""What ends the visit with a code that says what it was. Everything else the binding knows is T-05: it says nothing."""

EVERY = [
    each for _, each in inspect.getmembers(exceptions, inspect.isclass) if issubclass(each, exceptions.PKCS11Error)
]

RESULTS_OF_LOGIN = {
    0x02: FailureKind.DEVICE,  # HOST_MEMORY
    0x03: FailureKind.GONE,  # SLOT_ID_INVALID
    0x05: FailureKind.DEVICE,  # GENERAL_ERROR
    0x06: FailureKind.DEVICE,  # FUNCTION_FAILED
    0x07: FailureKind.DEVICE,  # ARGUMENTS_BAD
    0x30: FailureKind.DEVICE,  # DEVICE_ERROR
    0x31: FailureKind.DEVICE,  # DEVICE_MEMORY; nothing is written
    0x32: FailureKind.GONE,  # DEVICE_REMOVED
    0x50: FailureKind.PAD_CANCELLED,  # FUNCTION_CANCELED
    0x54: FailureKind.DEVICE,  # FUNCTION_NOT_SUPPORTED; no key is made
    0x91: FailureKind.DEVICE,  # OPERATION_NOT_INITIALIZED
    0xA0: FailureKind.PIN_WRONG,  # PIN_INCORRECT
    0xA1: FailureKind.PIN_LENGTH,  # PIN_INVALID
    0xA2: FailureKind.PIN_LENGTH,  # PIN_LEN_RANGE
    0xA3: FailureKind.PIN_TO_BE_CHANGED,  # PIN_EXPIRED
    0xA4: FailureKind.PIN_LOCKED,  # PIN_LOCKED
    0xB0: FailureKind.DEVICE,  # SESSION_CLOSED
    0xB3: FailureKind.DEVICE,  # SESSION_HANDLE_INVALID
    0xB7: FailureKind.DEVICE,  # SESSION_READ_ONLY_EXISTS
    0xE0: FailureKind.GONE,  # TOKEN_NOT_PRESENT
    0xE1: FailureKind.DEVICE,  # TOKEN_NOT_RECOGNIZED
    0x100: FailureKind.DEVICE,  # USER_ALREADY_LOGGED_IN
    0x102: FailureKind.PIN_NOT_SET,  # USER_PIN_NOT_INITIALIZED
    0x103: FailureKind.DEVICE,  # USER_TYPE_INVALID
    0x104: FailureKind.DEVICE,  # USER_ANOTHER_ALREADY_LOGGED_IN
    0x105: FailureKind.DEVICE,  # USER_TOO_MANY_TYPES
    0x190: FailureKind.DEVICE,  # CRYPTOKI_NOT_INITIALIZED
    0x200: FailureKind.DEVICE,  # FUNCTION_REJECTED
    0x80000001: FailureKind.DEVICE,  # a vendor's own
    0xFFFFFFFF: FailureKind.DEVICE,  # nonsense
}
"""What C_Login may return (PKCS #11 v2.40 §5.6), what some modules return besides, and what it is taken for."""

UNKNOWN = (0x05, 0x30, 0x80000001)
"""GENERAL_ERROR, DEVICE_ERROR, a vendor's own."""


@pytest.mark.parametrize("raised", EVERY)
def test_every_exception_of_the_binding(raised: type[exceptions.PKCS11Error]) -> None:
    about_pin = raised in (*ASKED_AGAIN, exceptions.PinLocked, exceptions.UserPinNotInitialized)
    reply = failure_of(raised("detail that is not told"), gave_pin=about_pin, writes=not about_pin).reply
    assert reply.detail == raised.__name__
    assert (reply.kind in _ASKED_AGAIN_AT_PAD) is (raised in ASKED_AGAIN)
    if raised in ASKED_AGAIN:
        assert reply.kind is ASKED_AGAIN[raised]
    else:
        code = token_problem(TokenError(reply.kind, reply.detail)).problem.code
        assert code is ENDS.get(raised, Code.TOKEN_FAILED)


def test_the_pin_is_wrong_where_the_token_says_so_and_nowhere_else() -> None:
    kinds = {raised: failure_of(raised(), gave_pin=True).reply.kind for raised in EVERY}
    assert [raised for raised, kind in kinds.items() if kind is FailureKind.PIN_WRONG] == [exceptions.PinIncorrect]
    assert [raised for raised, kind in kinds.items() if kind is FailureKind.PIN_LOCKED] == [exceptions.PinLocked]


def test_a_call_is_not_told_to_lack_what_it_did_not_want() -> None:
    """Neither a PIN where none was given, nor room where nothing was written, nor a kind of key where a PIN was."""
    of_a_pin = (*ASKED_AGAIN, exceptions.PinLocked, exceptions.UserPinNotInitialized)
    kinds = {failure_of(raised()).reply.kind for raised in (*of_a_pin, exceptions.DeviceMemory)}
    assert kinds == {FailureKind.DEVICE}
    assert failure_of(exceptions.FunctionNotSupported(), gave_pin=True).reply.kind is FailureKind.DEVICE


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


async def test_every_result_of_a_login(acting: ActingModule) -> None:
    process = TokenProcess.start(acting.bank.settings.token)
    (facts,) = await find_tokens(process)
    taken_for = {}
    for number, result in enumerate(RESULTS_OF_LOGIN):
        acting.answer(result)
        pin = Pin(bytearray(f"{900000 + number}", "ascii"))
        with pytest.raises(TokenError) as raised:
            await process.call(wire.LogIn(facts.serial), type(None), 30, pin=pin)
        taken_for[result] = raised.value.kind
    await process.end()
    assert taken_for == RESULTS_OF_LOGIN
    assert acting.calls == ["login pin"] * len(RESULTS_OF_LOGIN)


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
