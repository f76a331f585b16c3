"""The tries of a PIN: the last one only after an explicit yes, a wrong one never twice, each way to fail by its own."""

from __future__ import annotations

import pytest
from pkcs11 import TokenFlag

from kiosk.desk import LastTryAnswer, LastTryQuestion, MenuChoice, PinPurpose, PinQuestion, Tries, Unfit
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from kiosk.settings import DEMO_PIN
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import find_tokens
from tests.bank import Bank
from tests.flows.test_pin_change import NEW, changing
from tests.scripted_desk import ScriptedDesk
from tests.tokens.software_flags import raise_flag

YES, NO, CALL = LastTryAnswer.YES, LastTryAnswer.NO, LastTryAnswer.CALL


def with_flag(bank: Bank, flag: TokenFlag) -> Bank:
    raise_flag(bank.directory / "tokens", flag)
    return bank


async def was_tried(bank: Bank) -> bool:
    """Whether the token has refused a PIN since it last accepted one (CKF_USER_PIN_COUNT_LOW)."""
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    await process.end()
    return facts.pin_few_tries


def asked_for(desk: ScriptedDesk) -> list[PinQuestion]:
    return [each for each in desk.seen if isinstance(each, PinQuestion)]


async def test_without_a_yes_the_last_try_is_not_taken(bank: Bank) -> None:
    desk = ScriptedDesk(pins=["999999"])
    outcome = await with_flag(bank, TokenFlag.USER_PIN_FINAL_TRY).visit(desk)
    assert (outcome.problem, outcome.completion) == (None, None)
    assert desk.asked == ["last-try"]
    assert desk.seen == [LastTryQuestion("SHINKIN-USB", certain=True)]
    assert not await was_tried(bank)


async def test_after_a_yes_it_is_and_the_journal_says_so(bank: Bank) -> None:
    desk = ScriptedDesk(last_tries=[YES])
    outcome = await with_flag(bank, TokenFlag.USER_PIN_FINAL_TRY).visit(desk)
    assert outcome.completion is not None
    assert desk.asked[:3] == ["last-try", "pin", "notice"]
    assert asked_for(desk)[0].tries is Tries.LAST
    assert bank.events().count(Event.LAST_TRY_AGREED) == 1


async def test_staff_can_be_called_before_it(bank: Bank) -> None:
    desk = ScriptedDesk(last_tries=[CALL, NO])
    outcome = await with_flag(bank, TokenFlag.USER_PIN_FINAL_TRY).visit(desk)
    assert outcome.problem is None
    questions = [each for each in desk.seen if isinstance(each, LastTryQuestion)]
    assert [each.called for each in questions] == [False, True]
    assert Event.STAFF_CALLED in bank.events()


@pytest.mark.parametrize("answer", [YES, NO])
async def test_a_change_asks_before_it_too(bank: Bank, answer: LastTryAnswer) -> None:
    desk = changing("1111", NEW, NEW, "2222", NEW, NEW, DEMO_PIN, NEW, NEW)
    desk.last_tries = [answer]
    assert (await bank.visit(desk)).problem is None
    change = ["pin-present", "pin-new", "pin-new-again"]
    end = [*change, "pin-changed", "menu"] if answer is YES else ["menu"]
    assert desk.asked == ["pin", "notice", "menu", *change, *change, "last-try", *end]
    assert await was_tried(bank) is (answer is NO)


async def test_a_policy_can_keep_the_last_try_from_everybody(bank: Bank) -> None:
    desk = ScriptedDesk(last_tries=[YES])
    bank = with_flag(bank, TokenFlag.USER_PIN_FINAL_TRY).with_policy(last_try="never")
    outcome = await bank.visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.PIN_LAST_TRY, Changed.NOTHING)
    assert desk.asked == ["problem"]


async def test_the_own_count_asks_where_the_token_tells_nothing_of_a_last_try(bank: Bank) -> None:
    desk = ScriptedDesk(pins=["1111", "2222", DEMO_PIN], last_tries=[YES])
    assert (await bank.visit(desk)).completion is not None
    assert desk.asked[:5] == ["pin", "pin", "last-try", "pin", "notice"]
    assert LastTryQuestion("SHINKIN-USB", certain=False) in desk.seen
    assert [each.tries for each in asked_for(desk)] == [Tries.PLENTY, Tries.FEW, Tries.MAYBE_LAST]


async def test_that_policy_ends_the_visit_before_what_may_be_the_last(bank: Bank) -> None:
    desk = ScriptedDesk(pins=["1111", "2222", DEMO_PIN])
    outcome = await bank.with_policy(last_try="never").visit(desk)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PIN_REFUSED_TOO_OFTEN
    assert desk.pins == [DEMO_PIN]


async def test_a_locked_token_is_not_tried(bank: Bank) -> None:
    desk = ScriptedDesk()
    outcome = await with_flag(bank, TokenFlag.USER_PIN_LOCKED).visit(desk)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PIN_LOCKED
    assert desk.asked == ["problem"]


async def test_a_refused_pin_is_not_sent_again(bank: Bank) -> None:
    desk = ScriptedDesk(pins=["999999", "999999", "999999", DEMO_PIN])
    assert (await bank.visit(desk)).completion is not None
    assert [each.unfit for each in asked_for(desk)] == [None, None, Unfit.REPEATED, Unfit.REPEATED]
    assert [each.refused for each in asked_for(desk)] == [False, True, False, False]
    assert bank.events().count(Event.PIN_REFUSED) == 1


async def test_a_refused_present_pin_is_not_sent_again(bank: Bank) -> None:
    desk = changing("999999", NEW, NEW, "999999", NEW, NEW, DEMO_PIN, NEW, NEW)
    assert (await bank.visit(desk)).problem is None
    questions = [each for each in asked_for(desk) if each.purpose is PinPurpose.PRESENT]
    assert [each.unfit for each in questions] == [None, None, Unfit.REPEATED]
    assert bank.events().count(Event.PIN_REFUSED) == 1


async def test_a_pin_refused_once_may_become_the_new_one(bank: Bank) -> None:
    first, again = (NEW, "11111111", "11111111", DEMO_PIN, NEW, NEW), (NEW, "22222222", "22222222")
    desk = changing(*first, *again, menu=(MenuChoice.CHANGE_PIN, MenuChoice.CHANGE_PIN))
    assert (await bank.visit(desk)).problem is None
    async with await bank.open_token(pin="22222222"):
        pass


async def test_the_lengths_the_token_takes_are_asked_for(bank: Bank) -> None:
    """SoftHSM takes four characters and more: a policy that would allow fewer does not get to waste a try."""
    desk = ScriptedDesk()
    await bank.with_policy(pin_shortest=1, pin_longest=20).visit(desk)
    assert [(each.shortest, each.longest) for each in asked_for(desk)] == [(4, 20)]
