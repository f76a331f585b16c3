"""Wrong PINs on real stacks, until the token is locked where it locks at all, and how staff unblock it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from kiosk.credentials import HolderRule
from kiosk.demo_bank import TOKEN_LABEL
from kiosk.errors import Changed, Code
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens.errors import TokenError
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import FailureKind, KeyKind, TokenFacts
from tests.bank import Bank, open_bank
from tests.scripted_desk import ScriptedDesk
from tests.tokens import opencryptoki
from tests.tokens.opencryptoki import running_opencryptoki
from tests.tokens.virtual_card import pcscd
from tests.tokens.virtual_card.bank import open_card_bank
from tests.tokens.virtual_card.prepared import PUK

NEW = "24681357"
"""As long as opencryptoki's may be at most."""


@dataclass(frozen=True)
class PinUnderTest:
    """A customer's token, and what staff can do about its PIN."""

    bank: Bank
    unblock: Callable[[str], None] | None = None
    """Gives the token a new PIN; None where nothing needs to be unblocked."""


@dataclass(frozen=True)
class Stack:
    """A row: what a token says to one wrong PIN after another."""

    name: str
    opened: Callable[[Path], AbstractAsyncContextManager[PinUnderTest]]
    said: tuple[tuple[FailureKind, str], ...]
    """To each wrong PIN what the module raises, and which flag the token shows afterwards."""
    why_not: Callable[[], str] = str
    remembers: bool = True
    """Whether a fresh process sees the flag, too, before it has tried a PIN."""

    def skip_if_impossible(self) -> None:
        if why := self.why_not():
            pytest.skip(f"{self.name}: {why}")


@asynccontextmanager
async def _softhsm(directory: Path) -> AsyncIterator[PinUnderTest]:
    async with open_bank(directory / "bank") as bank:
        yield PinUnderTest(bank)


@asynccontextmanager
async def _opencryptoki(directory: Path) -> AsyncIterator[PinUnderTest]:
    with running_opencryptoki(directory / "opencryptoki", TOKEN_LABEL) as running:
        module = msgspec.structs.replace(running.module, token_label=TOKEN_LABEL)
        async with open_bank(directory / "bank", kind=KeyKind.RSA_2048, module=module) as bank:
            yield PinUnderTest(bank, running.set_pin_by_staff)


@asynccontextmanager
async def _card(directory: Path) -> AsyncIterator[PinUnderTest]:
    async with open_card_bank(directory / "bank") as cards:

        def unblock(pin: str) -> None:
            cards.service.run("pkcs15-tool", "--unblock-pin", "--auth-id", "FF", "--puk", PUK, "--new-pin", pin)

        yield PinUnderTest(cards.bank, unblock)


_WRONG, _LOCKED = FailureKind.PIN_WRONG, FailureKind.PIN_LOCKED

STACKS = (
    Stack("softhsm", _softhsm, ((_WRONG, "few"),) * 5),
    Stack(
        "opencryptoki",
        _opencryptoki,
        ((_WRONG, "few"), (_WRONG, "last"), (_WRONG, "locked"), (_LOCKED, "locked"), (_LOCKED, "locked")),
        opencryptoki.why_not,
    ),
    Stack(
        "opensc-pcscd",
        _card,
        ((_WRONG, ""), (_WRONG, "last"), (_LOCKED, "locked"), (_LOCKED, "locked")),
        pcscd.why_not,
        remembers=False,  # OpenSC asks only cards of some drivers how many tries are left
    ),
)


def _flag(facts: TokenFacts | None) -> str:
    assert facts is not None
    flags = {"few": facts.pin_few_tries, "last": facts.pin_last_try, "locked": facts.pin_locked}
    return "+".join(name for name, raised in flags.items() if raised)


def _rows(stacks: tuple[Stack, ...]) -> list[object]:
    return [
        pytest.param(each, id=each.name, marks=[] if each.why_not is str else [pytest.mark.tokens]) for each in stacks
    ]


@asynccontextmanager
async def _untouched(bank: Bank) -> AsyncIterator[Token]:
    """The token, nobody logged in."""
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    async with Token(bank.settings.token, process, facts, HolderRule()) as token:
        yield token


def _pin(digits: str) -> Pin:
    return Pin(bytearray(digits, "ascii"))


async def _said_to(token: Token, pin: str) -> FailureKind | None:
    try:
        await token.log_in(_pin(pin))
    except TokenError as error:
        return error.kind
    return None


@pytest.mark.parametrize("stack", _rows(STACKS))
async def test_what_a_token_says_to_wrong_pins(stack: Stack, tmp_path: Path) -> None:
    stack.skip_if_impossible()
    async with stack.opened(tmp_path) as under, _untouched(under.bank) as token:
        said = [
            (await _said_to(token, f"99999{number}"), _flag(await token.look())) for number in range(len(stack.said))
        ]
        assert said == list(stack.said)
        if under.unblock:
            assert await _said_to(token, DEMO_PIN) is FailureKind.PIN_LOCKED, "the right one does not help any more"
            under.unblock(NEW)
        assert await _said_to(token, NEW if under.unblock else DEMO_PIN) is None
        assert _flag(await token.look()) == ""


@pytest.mark.parametrize("stack", _rows(STACKS[1:]))
async def test_what_a_customer_is_told_until_staff_have_unblocked_the_token(stack: Stack, tmp_path: Path) -> None:
    stack.skip_if_impossible()
    async with stack.opened(tmp_path) as under:
        assert under.unblock
        once = await under.bank.with_policy(pin_tries=1).visit(ScriptedDesk(pins=["999990"]))
        assert once.problem is not None
        assert (once.problem.code, once.problem.changed) == (Code.PIN_REFUSED_TOO_OFTEN, Changed.NOTHING)

        careful = ScriptedDesk(pins=["999991", DEMO_PIN])
        warned = await under.bank.visit(careful)
        assert warned.completion is None
        assert careful.pins == [DEMO_PIN], "the last try is not taken unasked"
        assert careful.asked[-1] == "last-try" or (warned.problem and warned.problem.code is Code.PIN_LAST_TRY)

        async with _untouched(under.bank) as token:
            assert await _said_to(token, "999992") in {FailureKind.PIN_WRONG, FailureKind.PIN_LOCKED}
        locked = ScriptedDesk()
        outcome = await under.bank.visit(locked)
        assert outcome.problem is not None
        assert (outcome.problem.code, outcome.problem.changed) == (Code.PIN_LOCKED, Changed.NOTHING)
        assert locked.asked == (["problem"] if stack.remembers else ["pin", "problem"])

        under.unblock(NEW)
        assert (await under.bank.visit(ScriptedDesk(pins=[NEW]))).completion is not None


@pytest.mark.tokens
async def test_opencryptoki_goes_on_warning_after_staff_have_set_a_pin_and_means_it(tmp_path: Path) -> None:
    """Only the right PIN takes the warning back, and a wrong one before that locks the token: the flag is its count."""
    stack = STACKS[1]
    stack.skip_if_impossible()
    async with stack.opened(tmp_path) as under, _untouched(under.bank) as token:
        assert under.unblock
        assert [await _said_to(token, f"99999{number}") for number in range(2)] == [FailureKind.PIN_WRONG] * 2
        under.unblock(NEW)
        assert _flag(await token.look()) == "last"
        assert (await _said_to(token, "999992"), _flag(await token.look())) == (FailureKind.PIN_WRONG, "locked")
        under.unblock(NEW)
        assert await _said_to(token, NEW) is None
        assert _flag(await token.look()) == ""
