"""A request that waits for a teller, from visit to visit and from kiosk to kiosk, until he has decided."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from kiosk.ca import office, promises, succession
from kiosk.ca.promises import Promise
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from tests.bank import Bank, open_bank
from tests.flows.test_conversation import with_little_patience
from tests.flows.test_reconcile import elsewhere, whole
from tests.scripted_desk import ScriptedDesk

CA_POLICY = 'approval = ["update", "code"]\n'
UNTIL_THE_REQUEST = ["preprocessing", "key", "request", "problem"]


@pytest.fixture
async def renewing(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank where a teller has to approve each renewal."""
    async with open_bank(tmp_path / "bank", ca_policy=CA_POLICY) as bank:
        yield with_little_patience(bank)


@pytest.fixture
async def enrolling(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank where a teller has to approve what is asked for by a code; the customer's certificate has ended."""
    async with open_bank(tmp_path / "bank", days_left=-1, ca_policy=CA_POLICY) as bank:
        yield with_little_patience(bank)


def tellers_list(bank: Bank) -> Sequence[Promise]:
    with office.opened(bank.directory / "ca") as counter, counter.book.read() as connection:
        return promises.waiting(connection, counter.now)


def decide(bank: Bank, *, approve: bool) -> None:
    """A teller decides on the one request there is."""
    (waiting,) = tellers_list(bank)
    with office.opened(bank.directory / "ca") as counter, counter.book.begin() as connection:
        assert succession.decide(connection, waiting.id, approve=approve, now=counter.now)


async def check_waits(bank: Bank, desk: ScriptedDesk, changed: Changed) -> Promise:
    """A visit that ends because a teller has not decided, and the one request in his list."""
    outcome = await bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.WAITS_FOR_APPROVAL, changed)
    (waiting,) = tellers_list(bank)
    return waiting


async def check_complete(bank: Bank, desk: ScriptedDesk) -> None:
    assert (await bank.visit(desk)).completion is not None
    assert bank.states()[(await whole(bank)).serial] == "valid"
    assert tellers_list(bank) == ()


def by_code(code: str) -> ScriptedDesk:
    return ScriptedDesk(enrols=True, codes=[code])


async def test_a_renewal_that_waits_is_one_request_at_any_kiosk_until_it_is_approved(renewing: Bank) -> None:
    first = await check_waits(renewing, ScriptedDesk(), Changed.UNFINISHED)
    desk = ScriptedDesk()
    assert await check_waits(elsewhere(renewing), desk, Changed.UNFINISHED) == first
    assert desk.asked == ["pin", "resumption", *UNTIL_THE_REQUEST]
    decide(renewing, approve=True)
    await check_complete(renewing, ScriptedDesk())
    assert sorted(renewing.states().values()) == ["superseded", "valid"]


async def test_a_renewal_that_is_refused_is_told_so_and_leaves_nothing(renewing: Bank) -> None:
    before = await renewing.inventory()
    first = await check_waits(renewing, ScriptedDesk(), Changed.UNFINISHED)
    assert await check_waits(elsewhere(renewing), ScriptedDesk(), Changed.UNFINISHED) == first
    decide(renewing, approve=False)
    outcome = await renewing.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.REFUSED_BY_CA, Changed.NOTHING)
    assert await renewing.inventory() == before, "the key goes, and the old certificate works"
    assert tellers_list(renewing) == (), "nothing comes before a teller twice"
    assert renewing.events().count(Event.MAKING_KEY) == 1, "nor is another key brought unasked"

    desk = ScriptedDesk()
    another = await check_waits(renewing, desk, Changed.UNFINISHED)
    assert another.key_hash != first.key_hash
    assert "resumption" not in desk.asked
    decide(renewing, approve=True)
    await check_complete(renewing, ScriptedDesk())


async def test_an_enrolment_that_waits_is_one_request_at_any_kiosk_until_it_is_approved(enrolling: Bank) -> None:
    code = enrolling.code()
    first = await check_waits(enrolling, by_code(code), Changed.ENROLLING)
    desk = by_code(code)
    assert await check_waits(elsewhere(enrolling), desk, Changed.ENROLLING) == first
    assert desk.asked == ["pin", "problem", "code", *UNTIL_THE_REQUEST]
    decide(enrolling, approve=True)
    await check_complete(enrolling, by_code(code))
    assert sorted(enrolling.states().values()) == ["valid", "valid"], "the expired one, and one new one"


async def test_an_enrolment_that_is_refused_is_told_so_and_leaves_nothing(enrolling: Bank) -> None:
    before, code = await enrolling.inventory(), enrolling.code()
    first = await check_waits(enrolling, by_code(code), Changed.ENROLLING)
    assert await check_waits(elsewhere(enrolling), by_code(code), Changed.ENROLLING) == first
    decide(enrolling, approve=False)
    outcome = await enrolling.visit(by_code(code))
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CODE_BOUND, Changed.NOTHING)
    assert await enrolling.inventory() == before
    assert tellers_list(enrolling) == ()

    code = enrolling.code()
    assert (await check_waits(enrolling, by_code(code), Changed.ENROLLING)).key_hash != first.key_hash
    decide(enrolling, approve=True)
    await check_complete(enrolling, by_code(code))
