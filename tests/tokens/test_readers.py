"""A reader, and its pcscd, that come and go behind OpenSC, while the kiosk stands by and in the middle of a renewal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kiosk.desk import SavingStep, Standby
from kiosk.errors import Changed, Code
from kiosk.tokens.presence import NewsSource, Presence
from tests.flows.test_presence import front_desk_of
from tests.flows.test_reception import Board
from tests.scripted_desk import ScriptedDesk
from tests.tokens.virtual_card import pcscd
from tests.tokens.virtual_card.bank import CardBank, open_card_bank

pytestmark = pytest.mark.tokens

_TOLD = {
    SavingStep.KEY: (Code.TOKEN_TAKEN_OUT, Changed.NOTHING),
    SavingStep.RETIRE: (Code.OLD_CREDENTIAL_NOT_REMOVED, Changed.RENEWED),
}
"""What the customer is told at a step; at any other, that the renewal is unfinished."""
_LONGEST = 60.0
"""Seconds until a visit has begun; nothing is wrong on a busy machine before that."""


@pytest.fixture
async def cards(tmp_path: Path) -> AsyncIterator[CardBank]:
    if why := pcscd.why_not():
        pytest.skip(f"opensc-pcscd: {why}")
    async with open_card_bank(tmp_path / "bank") as opened:
        yield opened


@pytest.mark.parametrize("without_reader", [False, True], ids=["pcscd", "reader and pcscd"])
async def test_what_is_gone_and_back_while_the_kiosk_stands_by_is_found_again(
    cards: CardBank, without_reader: bool
) -> None:
    cards.slot.pull()
    board, settings = Board(), cards.bank.settings
    async with front_desk_of(settings, Presence(NewsSource.pcscd(settings.token))) as front_desk:
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        await board.wait_for(Standby.INSERT)
        cards.service.kill()
        if without_reader:
            cards.service.start(with_reader=False)
            assert not cards.service.run("opensc-tool", "--list-readers").count("Virtual")
            cards.service.kill()
        cards.service.start()
        await asyncio.to_thread(cards.slot.put_in, cards.card)
        async with asyncio.timeout(_LONGEST):
            await waiting
        await front_desk.serve(desk := ScriptedDesk())
    assert "completion" in desk.asked
    assert not any(standby is Standby.OUT_OF_ORDER for standby, _ in board.shown), "nobody is sent away for it"


@pytest.mark.parametrize("step", list(SavingStep))
async def test_a_renewal_whose_pcscd_is_killed_is_finished_in_the_next_visit(cards: CardBank, step: SavingStep) -> None:
    old = await cards.bank.credential()

    def kill(begun: SavingStep) -> None:
        if begun is step:
            cards.service.kill()

    cut = await cards.bank.visit(ScriptedDesk(at_step=kill))
    assert cut.problem is not None
    assert (cut.problem.code, cut.problem.changed) == _TOLD.get(step, (Code.TOKEN_TAKEN_OUT, Changed.UNFINISHED))
    cards.service.start()
    cards.slot.put_in(cards.card)
    states = cards.bank.states()
    assert states[old.certificate.serial] == ("superseded" if step is SavingStep.RETIRE else "valid")
    finished = ScriptedDesk()
    assert (await cards.bank.visit(finished)).completion is not None
    assert ("resumption" in finished.asked) is (step is not SavingStep.KEY)
    assert (await cards.bank.credential()).certificate != old.certificate
