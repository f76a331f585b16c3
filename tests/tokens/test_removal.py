"""Nothing of a credential is removed where its private key cannot be seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kiosk.credentials import HolderRule
from kiosk.demo_bank import TOKEN_LABEL
from kiosk.errors import Code, KioskError
from kiosk.removal import remove_credential, remove_debris
from kiosk.services import open_services
from kiosk.tokens.errors import StoreFault, TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import FailureKind, ObjectKind
from tests.bank import Bank, open_bank


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank") as bank:
        yield bank


@asynccontextmanager
async def forgetful(bank: Bank) -> AsyncIterator[Token]:
    """A card that another program has reset hides its private keys, and goes on as if nothing had been."""
    process = TokenProcess.start(bank.settings.token)
    facts = next(each for each in await find_tokens(process) if each.label == TOKEN_LABEL)
    async with Token(bank.settings.token, process, facts, HolderRule()) as token:
        await token.open_without_pin()
        assert ObjectKind.PRIVATE_KEY not in {each.kind for each in (await token.inventory()).objects}
        yield token


async def test_an_old_credential_stays(bank: Bank) -> None:
    old, before = await bank.credential(), await bank.inventory()
    async with forgetful(bank) as token, open_services(bank.settings) as services:
        with pytest.raises(KioskError) as raised:
            await remove_credential(token, old, services)
    assert raised.value.problem.code is Code.OLD_CREDENTIAL_NOT_REMOVED
    assert await bank.inventory() == before


async def code_of_removal(bank: Bank) -> Code:
    """As what it is told that the old credential could not be removed."""
    old = await bank.credential()
    async with await bank.open_token() as token, open_services(bank.settings) as services:
        with pytest.raises(KioskError) as raised:
            await remove_credential(token, old, services)
    return raised.value.problem.code


async def test_a_part_that_is_not_found_again_is_told(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private key that is only hidden would sign for ever."""

    async def hide(*_: object) -> bool:
        return False

    monkeypatch.setattr(Token, "remove", hide)
    assert await code_of_removal(bank) is Code.OLD_CREDENTIAL_NOT_REMOVED


@pytest.mark.parametrize(
    "fault",
    [TokenError(FailureKind.DEVICE, "failed"), TokenHangs(), TokenProcessDied()],
    ids=lambda each: type(each).__name__,
)
async def test_however_its_removal_fails_it_is_told_as_an_old_one_that_stays(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, fault: StoreFault
) -> None:
    """The customer has the new one then, and reads of no other problem."""

    async def fail(*_: object) -> bool:
        raise fault

    monkeypatch.setattr(Token, "remove", fail)
    assert await code_of_removal(bank) is Code.OLD_CREDENTIAL_NOT_REMOVED


async def test_debris_stays(bank: Bank) -> None:
    parts, before = (await bank.inventory()).parts_of(await bank.credential()), await bank.inventory()
    async with forgetful(bank) as token:
        with pytest.raises(TokenError) as raised:
            await remove_debris(token, parts)
    assert raised.value.kind is FailureKind.NOT_FOUND
    assert await bank.inventory() == before
