"""Every act is in the audit, in the transaction in which it happened, with who did it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kiosk.ca import audit, crl, revoking
from kiosk.ca.audit import Line
from kiosk.ca.policy import Policy
from kiosk.ca.schema import Act, PromiseKind
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.polling import write_poll_request
from kiosk.cmp.requests import write_request, write_update
from kiosk.cmp.revocations import RevocationRequest, write_revocations
from kiosk.cmp.signing import Signer
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import CURRENT_CRL, BodyType, FailInfo
from tests.ca.bank import Bank, Talk, certificate_of, new_key

Told = tuple[str, str, str | None, str | None]


def told(bank: Bank) -> list[Line]:
    with bank.book.read() as connection:
        return list(audit.lines(connection))


def acts(bank: Bank) -> list[tuple[str, str]]:
    return [(line.act, line.actor) for line in told(bank)]


def cmp(signer: Signer) -> str:
    return f"cmp certificate {signer.certificate.serial}"


async def test_a_renewal_is_told_by_three_acts_of_the_old_certificate(bank: Bank) -> None:
    old, key = bank.holder(), new_key()
    talk = Talk(bank, old)
    new = certificate_of(await talk.say(BodyType.KUR, await write_update(old.certificate, key)))
    await talk.confirm()
    entered, *lines = told(bank)
    assert (entered.act, entered.actor, entered.serial) == (Act.ISSUED, audit.SCHEDULE, old.certificate.serial)
    assert [(line.act, line.serial) for line in lines] == [
        (Act.ISSUED, new.serial),
        (Act.CONFIRMED, new.serial),
        (Act.SUPERSEDED, old.certificate.serial),
    ]
    assert {(line.actor, line.holder, line.at) for line in lines} == {(cmp(old), "holder-1", bank.now)}


async def test_asking_again_is_no_act(bank: Bank) -> None:
    old = bank.holder()
    body = await write_update(old.certificate, new_key())
    await Talk(bank, old).say(BodyType.KUR, body)
    before = told(bank)
    talk = Talk(bank, old)
    await talk.say(BodyType.KUR, body)
    assert told(bank) == before


async def test_what_a_code_did_is_told_by_its_reference_alone(bank: Bank) -> None:
    code = bank.newcomer("TKYM1408054")
    talk = Talk(bank, code)
    await talk.request(BodyType.IR, new_key())
    await talk.confirm()
    assert acts(bank) == [(Act.ISSUED, "cmp code TKYM1408054"), (Act.CONFIRMED, "cmp code TKYM1408054")]
    assert code.secret.decode() not in repr(told(bank))


async def test_a_rejection_an_abort_and_another_key(bank: Bank) -> None:
    old = bank.holder()
    talk = Talk(bank, old)
    await talk.say(BodyType.KUR, await write_update(old.certificate, new_key()))
    await talk.confirm(status=rejection((FailInfo.SYSTEM_FAILURE,), "no room"))
    talk = Talk(bank, old)
    await talk.say(BodyType.KUR, await write_update(old.certificate, new_key()))
    await talk.say(BodyType.ERROR, write_error(rejection((FailInfo.SYSTEM_FAILURE,), "no room")))
    for _ in range(2):
        await Talk(bank, old).say(BodyType.KUR, await write_update(old.certificate, new_key()))
    assert [line.act for line in told(bank)[1:]] == [
        *(Act.ISSUED, Act.REJECTED) * 2,
        Act.ISSUED,
        Act.GIVEN_UP,
        Act.ISSUED,
    ]
    (given_up,) = (line for line in told(bank) if line.act == Act.GIVEN_UP)
    assert (given_up.actor, given_up.detail) == (cmp(old), "another key")


async def test_what_was_not_confirmed_in_time_is_given_up_by_the_schedule(bank: Bank) -> None:
    old = bank.holder()
    await Talk(bank, old).say(BodyType.KUR, await write_update(old.certificate, new_key()))
    bank.now += timedelta(days=15)
    await bank.ask(bank.holder(), BodyType.CR, await write_request(new_key()))
    (given_up,) = (line for line in told(bank) if line.act == Act.GIVEN_UP)
    assert (given_up.actor, given_up.at, given_up.detail) == (audit.SCHEDULE, bank.now, "not in time")


@pytest.mark.parametrize("approve", [True, False])
async def test_a_wait_and_its_end(bank: Bank, approve: bool) -> None:
    bank.obey(Policy(approval=frozenset({PromiseKind.CODE})))
    talk = Talk(bank, bank.newcomer("TKYM1408054"))
    await talk.request(BodyType.IR, new_key())
    bank.decide(approve=approve)
    await talk.say(BodyType.POLLREQ, write_poll_request([0]))
    lines = told(bank)
    expected = [Act.ASKED, Act.APPROVED, Act.ISSUED] if approve else [Act.ASKED, Act.REFUSED]
    assert [line.act for line in lines] == expected
    assert {line.holder for line in lines} == {"TKYM1408054"}
    assert {line.detail for line in lines[:2]} == {"request 1"}


async def test_a_wait_that_nobody_ended(bank: Bank) -> None:
    bank.obey(Policy(approval=frozenset({PromiseKind.UPDATE})))
    old = bank.holder()
    await Talk(bank, old).say(BodyType.KUR, await write_update(old.certificate, new_key()))
    bank.now += timedelta(days=15)
    other = bank.holder()
    await Talk(bank, other).say(BodyType.KUR, await write_update(other.certificate, new_key()))
    (line,) = (line for line in told(bank) if line.act == Act.WITHDRAWN)
    assert (line.serial, line.actor, line.detail) == (old.certificate.serial, audit.SCHEDULE, "request 1: not in time")


async def test_revocations_and_lists(bank: Bank) -> None:
    holder = bank.holder()
    await bank.ask(holder, BodyType.RR, write_revocations([RevocationRequest.of(holder.certificate, 1)]))
    other = bank.holder()
    await bank.ask(other, BodyType.GENM, write_general([Info(CURRENT_CRL)]))
    (revoked, made) = [line for line in told(bank) if line.act != Act.ISSUED]
    assert (revoked.act, revoked.actor, revoked.detail) == (Act.REVOKED, cmp(holder), "keyCompromise")
    assert (made.act, made.actor, made.detail) == (Act.CRL_MADE, cmp(other), "number 1")


def test_an_act_that_is_undone_was_none(bank: Bank) -> None:
    entry = bank.entry(bank.holder().certificate)
    before = told(bank)

    def fail() -> None:
        with bank.book.begin(by="teller somebody") as connection:
            revoking.put_on_crl(connection, entry, "superseded", bank.now)
            crl.current(connection, bank.authority, bank.policy, bank.now)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert told(bank) == before


def test_an_actor_is_that_of_one_transaction_only(bank: Bank) -> None:
    with bank.book.begin(by="teller somebody") as connection:
        audit.enter(connection, Act.EXPORTED, bank.now)
    with bank.book.begin() as connection:
        audit.enter(connection, Act.EXPORTED, bank.now)
    assert [line.actor for line in told(bank)] == ["teller somebody", audit.SCHEDULE]


def test_what_is_too_long_for_the_table_is_cut(bank: Bank) -> None:
    with bank.book.begin(by="x" * 1000) as connection:
        audit.enter(connection, Act.EXPORTED, bank.now, detail="y" * 1000)
    (line,) = told(bank)
    assert (line.actor, line.detail) == ("x" * 128, "y" * 256)
