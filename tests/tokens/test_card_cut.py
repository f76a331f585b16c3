"""A card is pulled at each single command of a renewal that changes something on it.

OpenSC writes a card's lists (PKCS#15) anew in several commands, so a pull can tear one, and the entries behind the tear
can be lost to OpenSC. No program above it can undo that; what it must not do is to make it worse.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from kiosk.demo_bank import Customer
from kiosk.desk import Errand, SavingStep
from kiosk.errors import Changed, Code
from kiosk.tokens.wire import ObjectKind
from tests.flows.renewal_over_stores import until_outlasted
from tests.flows.stores import ALL_YEAR
from tests.scripted_desk import ScriptedDesk
from tests.tokens.virtual_card import pcscd
from tests.tokens.virtual_card.bank import CardBank, open_card_bank
from tests.tokens.virtual_card.reader import Cut

pytestmark = [
    pytest.mark.tokens,
    pytest.mark.skipif("KIOSK_SOAK" not in os.environ, reason="67 cards are torn, one after another: `make soak`"),
]

_PARTS = 4
"""So that they can run side by side."""
_FEWEST = 40
"""Commands of a renewal that change something; there were 67."""


@pytest.mark.parametrize("part", range(_PARTS))
async def test_a_card_pulled_at_any_command(part: int, tmp_path: Path) -> None:
    if why := pcscd.why_not():
        pytest.skip(f"opensc-pcscd: {why}")
    ends, cut = Counter[str](), Cut(part)
    while not ends["whole"]:
        async with open_card_bank(tmp_path / f"bank-{cut.at}", ca_policy=f"window_days = {ALL_YEAR}\n") as cards:
            end = ""
            while end != "whole" and not end.startswith("torn"):
                end = await _cut_and_looked_at(cards, cut)
                ends[end] += 1
                cut = Cut(cut.at + _PARTS)
    print(f"part {part} of {_PARTS}: {dict(ends)}")
    assert cut.at > _FEWEST
    assert sum(number for end, number in ends.items() if end.startswith("torn")) <= 2 < ends["finished"]


async def _cut_and_looked_at(cards: CardBank, cut: Cut) -> str:
    """How a renewal that was cut there ends: whole (it was not cut), finished, helped by staff, or torn."""
    await _until_renewable(cards)

    def arm(begun: SavingStep) -> None:
        if begun is SavingStep.KEY:
            cards.slot.cut = cut

    at_any_time = cards.bank.with_policy(window_days=ALL_YEAR)
    outcome = await at_any_time.visit(ScriptedDesk(at_step=arm))
    if not cut.done:
        assert outcome.completion is not None
        return "whole"
    assert outcome.completion is None
    cards.slot.put_in(cards.card)
    works = await _until_renewable(cards)
    content, keys = cards.card.files.copy(), dict(cards.card.keys)
    outcome = await at_any_time.visit(ScriptedDesk())
    if outcome.completion is not None:
        assert works
        assert await _until_renewable(cards)
        return "finished"
    assert outcome.problem is not None
    assert outcome.problem.code in {Code.SUCCESSOR_NOT_READABLE, Code.NO_CERTIFICATE}
    assert cards.card.files.master == content.master, "nothing is made worse"
    assert cards.card.keys == keys
    if not works:
        return "torn, and certified anew" if await _is_certified_anew(cards) else "torn"
    await _key_removed_by_staff(cards)
    return "helped"


async def _until_renewable(cards: CardBank) -> bool:
    """Whether the customer has a credential that the CA holds good; whatever there is signs, and can be outlasted."""
    async with await cards.bank.open_token() as token:
        credentials, states = (await token.inventory()).credentials, cards.bank.states()
        for each in credentials:
            assert await token.proves(each)
            await until_outlasted(each)
    return any(states[each.certificate.serial] == "valid" for each in credentials)


async def _is_certified_anew(cards: CardBank) -> bool:
    """Whether 電子証明書取得 brings a certificate onto a torn card; where not, nobody is told that it had."""
    desk = ScriptedDesk(enrolment_ids=[Customer().holder_id], codes=[cards.bank.code()])
    outcome = await cards.bank.visit(desk, errand=Errand.ENROLMENT)
    if outcome.completion is None:
        assert outcome.problem is not None
        assert (outcome.problem.code, outcome.problem.changed) == (Code.NEW_CREDENTIAL_NOT_PROVEN, Changed.ENROLLING)
        return False
    assert await _until_renewable(cards)
    return True


async def _key_removed_by_staff(cards: CardBank) -> None:
    """A private key without its public half, which no kiosk can ask a certificate for, or take for somebody else's."""
    async with await cards.bank.open_token() as token:
        objects = (await token.inventory()).objects
        certified = {each.key_id for each in objects if each.kind is ObjectKind.CERTIFICATE}
        keys = [each for each in objects if each.kind is ObjectKind.PRIVATE_KEY]
        (lone,) = (each for each in keys if each.key_id not in certified)
        assert lone.public is None
        assert await token.remove(lone)
