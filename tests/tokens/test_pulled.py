"""The token is taken out in the middle of things."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kiosk.demo_bank import DemoBank
from kiosk.desk import PinQuestion, SavingStep
from kiosk.errors import Changed, Code, Problem
from kiosk.pin import Pin
from tests.bank import Bank, child_processes
from tests.scripted_desk import ScriptedDesk
from tests.tokens.pulled_token import PulledToken


@pytest.fixture
def pulled(bank: Bank, tmp_path: Path) -> Iterator[PulledToken]:
    token = PulledToken(bank.settings.token, tmp_path)
    token.put_in()
    yield token
    token.pull()


def behind(bank: Bank, token: PulledToken) -> Bank:
    settings = msgspec.structs.replace(bank.settings, token=token.settings)
    return Bank(DemoBank(bank.directory, settings))


async def test_a_token_pulled_while_the_pin_is_checked(bank: Bank, pulled: PulledToken) -> None:
    class Desk(ScriptedDesk):
        async def ask_pin(self, question: PinQuestion) -> Pin | None:
            pin = await super().ask_pin(question)
            pulled.pull()
            return pin

    outcome = await behind(bank, pulled).visit(Desk())
    assert outcome.problem == Problem(
        Code.TOKEN_TAKEN_OUT, Changed.NOTHING, outcome.problem.detail if outcome.problem else ""
    )


async def test_a_token_pulled_while_a_question_is_open(bank: Bank, pulled: PulledToken) -> None:
    class Desk(ScriptedDesk):
        async def _see(self, name: str, question: object = None) -> None:
            if name == "destination":
                pulled.pull()
            await super()._see(name, question)

    before = child_processes()
    outcome = await behind(bank, pulled).visit(Desk(leaves_at="destination"))
    assert outcome.problem is not None
    assert outcome.problem.code is Code.TOKEN_TAKEN_OUT
    assert outcome.problem.changed is Changed.NOTHING
    assert len(child_processes()) == len(before) - 1, "only the token's server is gone"


@pytest.mark.parametrize("step", list(SavingStep))
async def test_a_token_pulled_at_any_step_can_be_renewed_later(
    bank: Bank, pulled: PulledToken, step: SavingStep
) -> None:
    old = await bank.credential()

    def pull(begun: SavingStep) -> None:
        if begun is step:
            pulled.pull()

    outcome = await behind(bank, pulled).visit(ScriptedDesk(at_step=pull))
    assert outcome.problem is not None
    assert outcome.completion is None
    expected = {
        SavingStep.KEY: Changed.NOTHING,
        SavingStep.RETIRE: Changed.RENEWED,
    }
    assert outcome.problem.changed is expected.get(step, Changed.UNFINISHED)
    last = step is SavingStep.RETIRE
    assert outcome.problem.code is (Code.OLD_CREDENTIAL_NOT_REMOVED if last else Code.TOKEN_TAKEN_OUT)
    async with await bank.open_token() as token:
        assert await token.proves(old), "the old credential works"

    pulled.put_in()
    assert (await behind(bank, pulled).visit(ScriptedDesk())).completion is not None
    assert (await bank.credential()).certificate.serial != old.certificate.serial
