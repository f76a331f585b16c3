"""Two tokens in at once: one is chosen, and only that one is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kiosk.demo_bank import (
    TOKEN_LABEL,
    Customer,
    add_software_token,
    issue_onto_token,
    opened,
    prepare,
    softhsm,
)
from kiosk.desk import TokenQuestion
from kiosk.errors import Code
from kiosk.pin import Pin
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN
from kiosk.tokens.wire import KeyKind, TokenFacts
from tests.bank import Bank, child_processes
from tests.ready_ca import running_ready_ca
from tests.scripted_desk import ScriptedDesk

SECOND = "KEIRI"
SECOND_CUSTOMER = Customer(12, KeyKind.EC_P256, "TKYM1408099 1499")


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank with two customers' tokens plugged in."""
    await prepare(tmp_path, [Customer(20, KeyKind.EC_P256)], keep=False)
    module = softhsm(tmp_path)
    await add_software_token(module, SECOND)
    pin = Pin(bytearray(DEMO_PIN, "ascii"))
    await issue_onto_token(tmp_path / "ca", module, [SECOND_CUSTOMER], pin, SECOND)
    with opened(tmp_path, "ja", running_ready_ca) as demo:
        yield Bank(demo)


async def test_the_chosen_one_is_renewed_and_the_other_is_not_touched(two: Bank) -> None:
    other = await two.inventory(TOKEN_LABEL)
    desk = ScriptedDesk(token=SECOND)
    outcome = await two.visit(desk)
    assert outcome.completion is not None
    assert outcome.completion.replaced
    assert outcome.completion.replaced.common_name == SECOND_CUSTOMER.common_name
    assert desk.asked[:3] == ["token", "pin", "notice"]
    question = desk.seen[0]
    assert isinstance(question, TokenQuestion)
    assert {each.label for each in question.tokens} == {TOKEN_LABEL, SECOND}
    assert await two.inventory(TOKEN_LABEL) == other


async def test_none_of_them_ends_the_visit_with_both_taken_out(two: Bank) -> None:
    before = child_processes()
    desk = ScriptedDesk(token=None)
    async with open_services(two.settings) as services:
        front_desk = FrontDesk(services, two.settings.token)
        await front_desk.serve(desk)
        await front_desk.close()
    assert desk.asked == ["token", "take-out"]
    assert child_processes() == before


async def test_a_token_taken_out_meanwhile_answers_the_question(two: Bank) -> None:
    """Only the other one is left, so nobody has to be asked."""

    class Desk(ScriptedDesk):
        async def choose_token(self, question: TokenQuestion) -> TokenFacts | None:
            hide(two.directory / "tokens", SECOND)
            await super().choose_token(question)
            await asyncio.Event().wait()
            return None

    desk = Desk()
    outcome = await two.visit(desk)
    assert outcome.completion is not None
    assert desk.asked[:3] == ["token", "pin", "notice"]


async def test_nobody_answers_which(two: Bank) -> None:
    desk = ScriptedDesk(leaves_at="token")
    outcome = await two.with_policy(idle_seconds=0.3).visit(desk)
    assert (outcome.completion, outcome.problem) == (None, None)


async def test_tokens_of_one_number_cannot_be_told_apart(two: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some makers give every token the same serial number."""

    async def same(front_desk: FrontDesk) -> list[TokenFacts]:  # noqa: ARG001
        flags: dict[str, Any] = {"pin_set": True, "pin_few_tries": False, "pin_last_try": False, "pin_locked": False}
        facts = TokenFacts(1, "0000", "USB", "", "", removable=True, pin_to_be_changed=False, **flags)
        return [facts, facts]

    monkeypatch.setattr(FrontDesk, "_look", same)
    async with open_services(two.settings) as services:
        desk = ScriptedDesk()
        await FrontDesk(services, two.settings.token).serve(desk)
    assert desk.problem is not None
    assert desk.problem.code is Code.TOO_MANY_TOKENS


def hide(tokens: Path, label: str) -> None:
    """Take the software token `label` away."""
    wanted = label.encode()
    found = next(each for each in tokens.iterdir() if wanted in (each / "token.object").read_bytes())
    found.rename(tokens.parent / "hidden")
