"""Staff unblock a token that really locks: opencryptoki, with the kiosk's own request to its module."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

import pytest

from kiosk.credentials import HolderRule
from kiosk.pin import Pin
from kiosk.tokens.errors import TokenError
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import FailureKind
from tests.tokens import opencryptoki
from tests.tokens.opencryptoki import SO_PIN, OpenCryptoki, running_opencryptoki

LABEL = "PINS"
NEW = "24681357"


def typed(digits: str) -> Pin:
    return Pin(bytearray(digits, "ascii"))


async def opened(running: OpenCryptoki) -> Token:
    process = TokenProcess.start(running.module)
    facts = next(each for each in await find_tokens(process) if each.label == LABEL)
    return Token(running.module, process, facts, HolderRule())


async def said(attempt: Awaitable[None]) -> FailureKind | None:
    try:
        await attempt
    except TokenError as error:
        return error.kind
    return None


@pytest.mark.tokens
async def test_the_security_officer_unblocks_what_wrong_pins_have_locked(tmp_path: Path) -> None:
    if why := opencryptoki.why_not():
        pytest.skip(f"opencryptoki: {why}")
    with running_opencryptoki(tmp_path / "opencryptoki", LABEL) as running:
        async with await opened(running) as token:
            assert (token.facts.pin_shortest, token.facts.pin_longest) == (4, 8), "as C_GetTokenInfo tells"
            answers = [await said(token.log_in(typed(f"9999{number}"))) for number in range(4)]
            assert answers[-1] is FailureKind.PIN_LOCKED
        async with await opened(running) as token:
            assert token.facts.pin_locked
            assert await said(token.unblock(typed("11111111"), typed(NEW))) is FailureKind.SO_PIN_WRONG
        async with await opened(running) as token:
            assert token.facts.pin_locked, "a wrong one of the security officer changes nothing"
            assert await said(token.unblock(typed(SO_PIN), typed("1"))) is FailureKind.PIN_LENGTH
            assert await said(token.unblock(typed(SO_PIN), typed(NEW))) is None
        async with await opened(running) as token:
            assert not token.facts.pin_locked
            assert await said(token.log_in(typed(NEW))) is None
