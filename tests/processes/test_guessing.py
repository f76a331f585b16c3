"""Whoever guesses at a one-time code gets no more tries at two processes than at one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kiosk.cmp.envelope import Message
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.vocabulary import CA_CERTIFICATES, BodyType, FailInfo, Status
from tests.ca.bank import Greedy, Talk, new_key, refusal, status_of
from tests.processes.offices import SharedBank

ERROR, IR = BodyType.ERROR, BodyType.IR
QUESTION = write_general([Info(CA_CERTIFICATES)])
AT_ONCE = 10
"""As many as two processes work on at the same time, also where they have a single core (asyncio.to_thread)."""
WRONG, PAUSES = FailInfo.BAD_MESSAGE_CHECK, FailInfo.SYSTEM_UNAVAIL


def guess(code: SharedSecret) -> SharedSecret:
    return replace(code, secret=b"0" * 17)


async def test_eleven_wrong_codes_here_and_there_pause_the_id_and_the_right_one_works_later(bank: SharedBank) -> None:
    code = bank.newcomer()
    for number in range(bank.policy.most_tries):
        answer = await bank.at(number % 2).ask(guess(code), BodyType.GENM, QUESTION)
        assert refusal(answer) == (ERROR, {WRONG})
    for side in (0, 1):
        for each in (guess(code), code):
            assert refusal(await bank.at(side).ask(each, BodyType.GENM, QUESTION)) == (ERROR, {PAUSES})
    bank.now += bank.policy.pause
    talk = Talk(bank.at(1), code)
    assert status_of(await talk.request(IR, new_key())).status == Status.ACCEPTED
    assert (await talk.confirm()).body_type == BodyType.PKICONF
    assert bank.database.ask("SELECT * FROM tries") == []


@pytest.mark.parametrize("known", [True, False], ids=["an ID with a code", "an ID of nobody"])
async def test_of_many_guesses_at_once_only_so_many_are_tried(bank: SharedBank, known: bool) -> None:
    code = bank.newcomer() if known else SharedSecret(reference=b"NOBODY", secret=b"", iterations=100)
    half = bank.policy.most_tries // 2
    for _ in range(half):
        await bank.ask(guess(code), BodyType.GENM, QUESTION)
    guesses = [bank.at(number % 2).ask(guess(code), BodyType.GENM, QUESTION) for number in range(AT_ONCE)]
    answers: list[Message] = await bank.database.meet("tries", *guesses)
    told = [refusal(answer)[1] for answer in answers]
    assert told.count({WRONG}) == bank.policy.most_tries - half
    assert told.count({PAUSES}) == AT_ONCE - told.count({WRONG})
    assert bank.database.ask("SELECT failures FROM tries") == [(bank.policy.most_tries,)]


async def test_a_good_code_among_wrong_ones_takes_back_its_own_try_only(bank: SharedBank) -> None:
    code = bank.newcomer()
    protectors = [code if number % 3 == 0 else guess(code) for number in range(AT_ONCE)]
    asked = [bank.at(number % 2).ask(each, BodyType.GENM, QUESTION) for number, each in enumerate(protectors)]
    answers: list[Message] = await bank.database.meet("tries", *asked)
    assert [answer.body_type == BodyType.GENP for answer in answers] == [each is code for each in protectors]
    assert bank.database.ask("SELECT failures FROM tries") == [(protectors.count(guess(code)),)]


@pytest.mark.parametrize("iterations", [10_001, 100_001, 2**31])
async def test_whoever_asks_for_much_work_gets_none_of_it_at_either(bank: SharedBank, iterations: int) -> None:
    code = bank.newcomer()
    greedy = Greedy(replace(code, iterations=iterations))
    for side in (0, 1):
        assert refusal(await bank.at(side).ask(greedy, BodyType.GENM, QUESTION)) == (ERROR, {FailInfo.BAD_ALG})
    assert bank.database.ask("SELECT * FROM tries") == []
