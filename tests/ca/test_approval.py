"""A request that waits for a teller: the first answer, polling, the decision, and design decision 7's row for it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kiosk.ca.policy import Policy
from kiosk.ca.schema import CertificateState, PromiseKind, PromiseState
from kiosk.cmp.envelope import Message, Protector
from kiosk.cmp.polling import read_poll_answer, write_poll_request
from kiosk.cmp.requests import write_pkcs10, write_request, write_update
from kiosk.cmp.responses import read_responses
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.vocabulary import IMPLICIT_CONFIRM, BodyType, FailInfo, Status
from tests.ca.bank import Bank, Talk, certificate_of, new_key, on_both, refusal, status_of

pytestmark = on_both

KINDS = [
    (BodyType.IR, BodyType.IP, "code"),
    (BodyType.P10CR, BodyType.CP, "code"),
    (BodyType.IR, BodyType.IP, "certificate"),
    (BodyType.CR, BodyType.CP, "certificate"),
    (BodyType.P10CR, BodyType.CP, "certificate"),
    (BodyType.KUR, BodyType.KUP, "certificate"),
]


@pytest.fixture
def careful(bank: Bank) -> Bank:
    bank.obey(Policy(approval=frozenset(PromiseKind)))
    return bank


async def body_of(kind: BodyType, protector: Protector, key: SoftwareKey) -> bytes:
    if kind is BodyType.KUR:
        assert isinstance(protector, Signer)
        return await write_update(protector.certificate, key)
    if kind is BodyType.P10CR:
        return await write_pkcs10(key, b"\x30\x00")
    return await write_request(key)


async def poll(talk: Talk, request_id: int = 0) -> Message:
    return await talk.say(BodyType.POLLREQ, write_poll_request([request_id]))


async def ask(bank: Bank, holder: Signer, key: SoftwareKey) -> Talk:
    talk = Talk(bank, holder)
    await talk.say(BodyType.KUR, await write_update(holder.certificate, key))
    return talk


@pytest.mark.parametrize(("kind", "answered", "by"), KINDS)
@pytest.mark.parametrize("pvno", [2, 3])
async def test_the_whole_way(careful: Bank, kind: BodyType, answered: BodyType, by: str, pvno: int) -> None:
    bank, key = careful, new_key()
    protector: Protector = bank.newcomer() if by == "code" else bank.holder()
    number = -1 if kind is BodyType.P10CR else 0
    talk = Talk(bank, protector, pvno)
    first = await talk.say(kind, await body_of(kind, protector, key))
    assert (first.body_type, status_of(first).status) == (answered, Status.WAITING)
    assert read_responses(first.body).responses[0].request_id == number
    count = bank.issued()
    for _ in range(2):
        (later,) = read_poll_answer((await poll(talk, number)).body)
        assert (later.request_id, later.check_after) == (number, 60)
    assert bank.issued() == count
    assert bank.decide(approve=True) == 1
    last = await poll(talk, number)
    assert (last.body_type, status_of(last).status) == (answered, Status.ACCEPTED)
    assert bool(read_responses(last.body).ca_pubs) == (by == "code")
    certificate = certificate_of(last)
    assert certificate.public_key == key.public_key
    assert bank.state(certificate) is CertificateState.UNCONFIRMED
    assert (await talk.confirm(request_id=number)).body_type == BodyType.PKICONF
    assert bank.state(certificate) is CertificateState.VALID


async def test_refused_by_the_teller(careful: Bank) -> None:
    holder, key = careful.holder(), new_key()
    talk = await ask(careful, holder, key)
    assert careful.decide(approve=False) == 1
    assert refusal(await poll(talk)) == (BodyType.KUP, {FailInfo.NOT_AUTHORIZED})
    assert refusal(await poll(talk)) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})
    assert careful.issued() == 1
    again = await ask(careful, holder, key)
    assert again.last is not None
    assert refusal(again.last) == (BodyType.KUP, {FailInfo.NOT_AUTHORIZED}), "a no counts for the key, like a yes"
    assert careful.decide(approve=True) == 0, "nothing comes before a teller twice"
    other = await ask(careful, holder, new_key())
    assert other.last is not None
    assert status_of(other.last).status == Status.WAITING, "another key is for a teller anew"


async def test_the_decision_is_heard_however_late(careful: Bank) -> None:
    talk = await ask(careful, careful.holder(days_left=30), new_key())
    careful.decide(approve=False)
    careful.now += timedelta(days=7)
    await ask(careful, careful.holder(), new_key())
    assert refusal(await poll(talk)) == (BodyType.KUP, {FailInfo.NOT_AUTHORIZED})


async def test_nobody_decides_in_time_however_often_somebody_asks(careful: Bank) -> None:
    holder, key = careful.holder(days_left=30), new_key()
    talk = await ask(careful, holder, key)
    careful.now += careful.policy.approval_time
    assert (await poll(talk)).body_type == BodyType.POLLREP
    await ask(careful, holder, key)
    careful.now += timedelta(seconds=1)
    assert refusal(await poll(talk)) == (BodyType.KUP, {FailInfo.BAD_REQUEST})
    assert careful.decide(approve=True) == 0


async def test_the_same_key_waits_in_a_new_transaction_and_both_are_answered_alike(careful: Bank) -> None:
    holder, key = careful.holder(), new_key()
    first, second = await ask(careful, holder, key), await ask(careful, holder, key)
    assert careful.promises() == [(PromiseKind.UPDATE, PromiseState.WAITING)]
    careful.decide(approve=True)
    answers = [await poll(first), await poll(second)]
    assert certificate_of(answers[0]) == certificate_of(answers[1])
    assert (await second.confirm()).body_type == BodyType.PKICONF
    assert (await first.confirm()).body_type == BodyType.PKICONF
    assert careful.issued() == 2


async def test_another_key_replaces_the_one_that_waits(careful: Bank) -> None:
    holder = careful.holder()
    first = await ask(careful, holder, new_key())
    second = await ask(careful, holder, new_key())
    assert careful.promises() == [
        (PromiseKind.UPDATE, PromiseState.REVOKED),
        (PromiseKind.UPDATE, PromiseState.WAITING),
    ]
    assert careful.decide(approve=True) == 1
    assert refusal(await poll(first)) == (BodyType.KUP, {FailInfo.BAD_REQUEST})
    assert status_of(await poll(second)).status == Status.ACCEPTED


async def test_another_key_replaces_what_was_issued_already_and_waits(careful: Bank) -> None:
    holder = careful.holder()
    first = await ask(careful, holder, new_key())
    careful.decide(approve=True)
    certificate = certificate_of(await poll(first))
    second = await ask(careful, holder, new_key())
    assert second.last is not None
    assert status_of(second.last).status == Status.WAITING
    assert careful.state(certificate) is CertificateState.REVOKED


async def test_a_key_is_approved_once(careful: Bank) -> None:
    holder, key = careful.holder(), new_key()
    talk = await ask(careful, holder, key)
    careful.decide(approve=True)
    first = certificate_of(await poll(talk))
    careful.now += careful.policy.confirmation + timedelta(seconds=1)
    again = await ask(careful, holder, key)
    assert again.last is not None
    assert certificate_of(again.last) != first
    assert careful.state(first) is CertificateState.REVOKED


async def test_approved_and_asked_anew_in_place_of_polling(careful: Bank) -> None:
    holder, key = careful.holder(), new_key()
    await ask(careful, holder, key)
    careful.decide(approve=True)
    again = await ask(careful, holder, key)
    assert (await again.confirm()).body_type == BodyType.PKICONF
    assert careful.state(holder.certificate) is CertificateState.SUPERSEDED


async def test_a_policy_that_asks_no_more_lets_those_through_who_wait(careful: Bank) -> None:
    talk = await ask(careful, careful.holder(), new_key())
    careful.obey(Policy())
    assert status_of(await poll(talk)).status == Status.ACCEPTED


async def test_confirmed_at_once_where_that_was_asked_before_the_wait(careful: Bank) -> None:
    holder = careful.holder()
    talk = Talk(careful, holder, implicit=True)
    first = await talk.say(BodyType.KUR, await write_update(holder.certificate, new_key()))
    assert first.header.general_info == ()
    careful.decide(approve=True)
    last = await poll(talk)
    assert [info.kind for info in last.header.general_info] == [IMPLICIT_CONFIRM]
    assert careful.state(certificate_of(last)) is CertificateState.VALID
    assert careful.state(holder.certificate) is CertificateState.SUPERSEDED


async def test_a_certificate_revoked_while_it_waits_gets_nothing(careful: Bank) -> None:
    holder = careful.holder()
    talk = await ask(careful, holder, new_key())
    careful.decide(approve=True)
    careful.revoke(holder.certificate)
    assert refusal(await poll(talk)) == (BodyType.ERROR, {FailInfo.CERT_REVOKED})
    assert careful.issued() == 1


async def test_begun_in_time_it_is_answered_after_the_old_end(careful: Bank) -> None:
    talk = await ask(careful, careful.holder(days_left=2), new_key())
    careful.now += timedelta(days=5)
    careful.decide(approve=True)
    assert status_of(await poll(talk)).status == Status.ACCEPTED
    assert (await talk.confirm()).body_type == BodyType.PKICONF


async def test_polling_where_nothing_waits(bank: Bank) -> None:
    talk = await ask(bank, bank.holder(), new_key())
    assert refusal(await poll(talk)) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})
    stranger = Talk(bank, bank.holder())
    assert refusal(await poll(stranger)) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})


async def test_confirming_what_waits(careful: Bank) -> None:
    talk = await ask(careful, careful.holder(), new_key())
    careful.decide(approve=True)
    answer = await talk.say(BodyType.CERTCONF, b"\x30\x00")
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})


@pytest.mark.parametrize("ids", [(), (1,), (0, 0)], ids=str)
async def test_polling_for_another_request(careful: Bank, ids: tuple[int, ...]) -> None:
    talk = await ask(careful, careful.holder(), new_key())
    answer = await talk.say(BodyType.POLLREQ, write_poll_request(ids))
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})


async def test_polling_by_another_or_without_the_nonce(careful: Bank) -> None:
    talk = await ask(careful, careful.holder(), new_key())
    first = talk.last
    await poll(talk)
    talk.last = first
    assert refusal(await poll(talk)) == (BodyType.ERROR, {FailInfo.BAD_RECIPIENT_NONCE})
    talk.last, talk.protector = first, careful.holder()
    assert refusal(await poll(talk)) == (BodyType.ERROR, {FailInfo.NOT_AUTHORIZED})


async def test_what_waits_is_kept_however_long_the_window(careful: Bank) -> None:
    talk = await ask(careful, careful.holder(days_left=30), new_key())
    careful.now += timedelta(days=3)
    await ask(careful, careful.holder(), new_key())
    assert (await poll(talk)).body_type == BodyType.POLLREP


@pytest.mark.parametrize("kind", [BodyType.IR, BodyType.CR, BodyType.P10CR])
async def test_an_additional_certificate_is_no_way_around_the_teller(bank: Bank, kind: BodyType) -> None:
    bank.obey(Policy(approval=frozenset({PromiseKind.UPDATE})))
    holder = bank.holder()
    talk = Talk(bank, holder)
    answer = await talk.say(kind, await body_of(kind, holder, new_key()))
    assert status_of(answer).status == Status.WAITING
    by_code = Talk(bank, bank.newcomer())
    answer = await by_code.say(BodyType.IR, await write_request(new_key()))
    assert status_of(answer).status == Status.ACCEPTED
