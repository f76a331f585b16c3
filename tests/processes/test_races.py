"""Two who want something of the same row at the same instant, each of another process: one of the two orders comes out.

Both are held where they first touch a table, and then let go together; so each pair is tried with one table after the
other, in `make soak` with every one of them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest
from cryptography import x509

from kiosk.ca.policy import Policy
from kiosk.ca.schema import CertificateState, CodeState, PromiseKind, PromiseState
from kiosk.cmp.envelope import Header, Message
from kiosk.cmp.general import read_general, write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.requests import write_request, write_update
from kiosk.cmp.responses import Confirmation, certificate_hash, write_confirmation
from kiosk.cmp.revocations import RevocationRequest, write_revocations
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import rejection
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CURRENT_CRL, BodyType, FailInfo, Status
from tests.ca.bank import Talk, certificate_of, new_key, refusal, status_of
from tests.processes.database import until
from tests.processes.offices import SharedBank

KUR, KUP, IR, ERROR, PKICONF = BodyType.KUR, BodyType.KUP, BodyType.IR, BodyType.ERROR, BodyType.PKICONF
VALID, REVOKED, SUPERSEDED = CertificateState.VALID, CertificateState.REVOKED, CertificateState.SUPERSEDED
Result = TypeVar("Result")
WHERE = ("holders", "certificates")
EVERYWHERE = (*WHERE, "promises", "transactions", "ended_transactions", "codes", "crls", "audit")

everywhere = pytest.mark.parametrize("where", EVERYWHERE if os.environ.get("KIOSK_SOAK") else WHERE)


async def update(bank: SharedBank, holder: Signer, key: SoftwareKey) -> Talk:
    talk = Talk(bank, holder)
    await talk.say(KUR, await write_update(holder.certificate, key))
    return talk


async def enrol(bank: SharedBank, code: SharedSecret, key: SoftwareKey) -> Talk:
    talk = Talk(bank, code)
    await talk.request(IR, key)
    return talk


async def granted(bank: SharedBank, holder: Signer, key: SoftwareKey) -> Talk:
    talk = await update(bank, holder, key)
    assert status(talk) == Status.ACCEPTED
    return talk


def status(talk: Talk) -> Status:
    assert talk.last is not None
    return Status(status_of(talk.last).status)


def outcome(answer: Message) -> object:
    """Done, or why not."""
    return True if answer.body_type == PKICONF else refusal(answer)[1]


async def at_once(bank: SharedBank, where: str, *acts: Awaitable[Result]) -> list[Result]:
    answers = await bank.database.meet(where, *acts)
    check_ledger(bank)
    return answers


def check_ledger(bank: SharedBank) -> None:
    """What holds at every moment, whoever came first."""
    nobody = {
        "a certificate that waits for its confirmation, and no promise of it": """
            SELECT c.id FROM certificates c WHERE c.state = 'unconfirmed' AND NOT EXISTS
            (SELECT 1 FROM promises p WHERE p.new = c.id AND p.state = 'issued')""",
        "a confirmed renewal whose old certificate is still good": """
            SELECT p.id FROM promises p JOIN certificates c ON c.id = p.by_certificate
            WHERE p.kind = 'update' AND p.state = 'confirmed' AND c.state = 'valid'""",
        "a superseded certificate without a confirmed successor": """
            SELECT c.id FROM certificates c WHERE c.state = 'superseded' AND NOT EXISTS
            (SELECT 1 FROM promises p WHERE p.by_certificate = c.id AND p.kind = 'update' AND p.state = 'confirmed')""",
        "a promise that is confirmed of a certificate that is not": """
            SELECT p.id FROM promises p JOIN certificates c ON c.id = p.new
            WHERE p.state = 'confirmed' AND c.state = 'unconfirmed'""",
        "a key with two certificates that are good": """
            SELECT key_hash FROM certificates WHERE state IN ('valid', 'unconfirmed')
            GROUP BY key_hash HAVING count(*) > 1""",
        "a used code without a confirmed promise": """
            SELECT c.id FROM codes c WHERE c.state = 'used' AND NOT EXISTS
            (SELECT 1 FROM promises p WHERE p.by_code = c.id AND p.state = 'confirmed')""",
        "something begun by a code that is no longer good": """
            SELECT p.id FROM promises p JOIN codes c ON c.id = p.by_code
            WHERE c.state = 'replaced' AND p.state IN ('waiting', 'issued')""",
    }
    for what, asked in nobody.items():
        assert bank.database.ask(asked) == [], what


# --- one certificate that is renewed ----------------------------------------------------------------------------------


@everywhere
async def test_the_same_key_from_two_sides(bank: SharedBank, where: str) -> None:
    holder, key = bank.holder(), new_key()
    await at_once(bank, where, update(bank.at(0), holder, key), update(bank.at(1), holder, key))
    assert bank.promises() == [(PromiseKind.UPDATE, PromiseState.ISSUED)]
    assert bank.issued() == 2


@everywhere
async def test_the_same_key_from_two_sides_is_the_same_certificate_and_both_confirm_it(
    bank: SharedBank, where: str
) -> None:
    holder, key = bank.holder(), new_key()
    talks = [Talk(bank.at(side), holder) for side in (0, 1)]
    bodies = [await write_update(holder.certificate, key) for _ in talks]
    answers = await bank.database.meet(where, *(talk.say(KUR, body) for talk, body in zip(talks, bodies, strict=True)))
    certificates = {certificate_of(answer).der for answer in answers}
    assert len(certificates) == 1
    closed = await bank.database.meet(where, *(talk.confirm() for talk in talks))
    assert [each.body_type for each in closed] == [PKICONF, PKICONF]
    check_ledger(bank)
    assert bank.promises() == [(PromiseKind.UPDATE, PromiseState.CONFIRMED)]
    assert (bank.issued(), bank.state(holder.certificate)) == (2, SUPERSEDED)


@everywhere
async def test_two_keys_of_which_one_is_left(bank: SharedBank, where: str) -> None:
    holder = bank.holder()
    talks = [Talk(bank.at(side), holder) for side in (0, 1)]
    bodies = [await write_update(holder.certificate, new_key()) for _ in talks]
    await at_once(bank, where, *(talk.say(KUR, body) for talk, body in zip(talks, bodies, strict=True)))
    assert [status(talk) for talk in talks] == [Status.ACCEPTED, Status.ACCEPTED]
    assert sorted(bank.promises()) == [
        (PromiseKind.UPDATE, PromiseState.ISSUED),
        (PromiseKind.UPDATE, PromiseState.REVOKED),
    ]
    outcomes = [outcome(await talk.confirm()) for talk in talks]
    assert sorted(map(str, outcomes)) == sorted(map(str, [True, {FailInfo.CERT_REVOKED}]))
    check_ledger(bank)


@everywhere
async def test_certconf_against_another_key(bank: SharedBank, where: str) -> None:
    holder = bank.holder()
    talk = await granted(bank.at(0), holder, new_key())
    other = Talk(bank.at(1), holder)
    body = await write_update(holder.certificate, new_key())
    closed, answer = await bank.database.meet(where, talk.confirm(), other.say(KUR, body))
    check_ledger(bank)
    if closed.body_type == PKICONF:
        assert refusal(answer) == (KUP, {FailInfo.CERT_REVOKED})
        assert bank.state(holder.certificate) is SUPERSEDED
    else:
        assert refusal(closed) == (ERROR, {FailInfo.CERT_REVOKED})
        assert status_of(answer).status == Status.ACCEPTED
        assert bank.state(holder.certificate) is VALID


@everywhere
async def test_the_same_certconf_twice(bank: SharedBank, where: str) -> None:
    """A recording of it, or a proxy that sends it again: whoever is second is told that it has been confirmed."""
    holder = bank.holder()
    talk = await granted(bank, holder, new_key())
    assert talk.last is not None
    confirmation = write_confirmation(Confirmation(cert_hash=certificate_hash(certificate_of(talk.last))))
    recorded = await talk.write(BodyType.CERTCONF, confirmation)
    answers = await at_once(bank, where, bank.at(0).send(recorded), bank.at(1).send(recorded))
    outcomes = [outcome(answer) for answer in answers if isinstance(answer, Message)]
    assert sorted(map(str, outcomes)) == sorted(map(str, [True, {FailInfo.CERT_CONFIRMED}]))
    assert bank.promises() == [(PromiseKind.UPDATE, PromiseState.CONFIRMED)]


@everywhere
async def test_one_confirms_and_one_rejects(bank: SharedBank, where: str) -> None:
    holder, key = bank.holder(), new_key()
    confirms = await granted(bank.at(0), holder, key)
    rejects = await granted(bank.at(1), holder, key)
    assert confirms.last is not None
    certificate = certificate_of(confirms.last)
    yes, no = await bank.database.meet(where, confirms.confirm(), rejects.confirm(status=rejection((), "no")))
    check_ledger(bank)
    if yes.body_type == PKICONF:
        assert refusal(no) == (ERROR, {FailInfo.CERT_CONFIRMED})
        assert (bank.state(certificate), bank.state(holder.certificate)) == (VALID, SUPERSEDED)
    else:
        assert (outcome(yes), no.body_type) == ({FailInfo.CERT_REVOKED}, PKICONF)
        assert (bank.state(certificate), bank.state(holder.certificate)) == (REVOKED, VALID)


@everywhere
async def test_certconf_against_the_end_of_its_time(bank: SharedBank, where: str) -> None:
    """In time when it was sent, and held up; meanwhile the time is over, and another process ends what is overdue."""
    holder = bank.holder()
    talk = await granted(bank.at(0), holder, new_key())
    assert talk.last is not None
    certificate = certificate_of(talk.last)
    bank.now += bank.policy.confirmation
    stranger = bank.holder()
    body = await write_update(stranger.certificate, new_key())
    confirms = asyncio.ensure_future(talk.confirm())

    async def a_moment_later() -> Message:
        await until(lambda: confirms.done() or bank.database.waiting() > 0)
        bank.now += timedelta(seconds=1)
        return await Talk(bank.at(1), stranger).say(KUR, body)

    closed, _ = await bank.database.meet(where, confirms, a_moment_later())
    check_ledger(bank)
    if closed.body_type == PKICONF:
        assert (bank.state(certificate), bank.state(holder.certificate)) == (VALID, SUPERSEDED)
    else:
        # Whoever ends what is overdue also forgets, once in a while, the transactions that wait for nothing any more.
        is_known = bank.database.ask("SELECT 1 FROM transactions WHERE id = %s", talk.last.header.transaction_id)
        assert outcome(closed) in ([{FailInfo.CERT_REVOKED}] + ([] if is_known else [{FailInfo.BAD_REQUEST}]))
        assert (bank.state(certificate), bank.state(holder.certificate)) == (REVOKED, VALID)


@everywhere
@pytest.mark.parametrize("which", ["old", "new"])
async def test_certconf_against_a_teller_who_revokes(bank: SharedBank, where: str, which: str) -> None:
    holder = bank.holder()
    talk = await granted(bank.at(0), holder, new_key())
    assert talk.last is not None
    certificate = certificate_of(talk.last)
    revoked = holder.certificate if which == "old" else certificate

    async def revoke() -> None:
        await asyncio.to_thread(bank.revoke, revoked)

    await at_once(bank, where, talk.confirm(), revoke())
    assert bank.state(revoked) is REVOKED
    assert bank.entry(revoked).reason == "keyCompromise", "the graver reason stays"


@everywhere
async def test_a_renewal_against_its_holders_own_revocation(bank: SharedBank, where: str) -> None:
    holder = bank.holder()
    talk = await granted(bank.at(0), holder, new_key())
    body = write_revocations([RevocationRequest.of(holder.certificate, 1)])
    await at_once(bank, where, talk.confirm(), bank.at(1).ask(holder, BodyType.RR, body))
    assert talk.last is not None
    confirmed = talk.last.body_type == PKICONF
    assert bank.state(holder.certificate) in ((SUPERSEDED, REVOKED) if confirmed else (REVOKED,))


# --- transactions, keys and bounds ------------------------------------------------------------------------------------


@everywhere
async def test_one_transaction_id_begins_one_transaction(bank: SharedBank, where: str) -> None:
    def named(header: Header) -> Header:
        return replace(header, transaction_id=b"the same for both")

    holders = [bank.holder() for _ in range(2)]
    bodies = [await write_update(each.certificate, new_key()) for each in holders]
    answers = await at_once(
        bank, where, *(bank.at(side).ask(holders[side], KUR, bodies[side], named) for side in (0, 1))
    )
    kinds = sorted(answer.body_type for answer in answers if isinstance(answer, Message))
    assert kinds == sorted([KUP, ERROR])
    (refused,) = (each for each in answers if isinstance(each, Message) and each.body_type == ERROR)
    assert refusal(refused) == (ERROR, {FailInfo.TRANSACTION_ID_IN_USE})
    assert bank.rows() == 1, "nothing came of the other"


@everywhere
async def test_one_key_brought_by_two(bank: SharedBank, where: str) -> None:
    holders, key = [bank.holder() for _ in range(2)], new_key()
    talks = [Talk(bank.at(side), holders[side]) for side in (0, 1)]
    bodies = [await write_update(each.certificate, key) for each in holders]
    answers = await at_once(bank, where, *(talks[side].say(KUR, bodies[side]) for side in (0, 1)))
    statuses = [status_of(each) for each in answers if isinstance(each, Message)]
    assert sorted(each.status for each in statuses) == [Status.ACCEPTED, Status.REJECTION]
    assert {FailInfo.DUPLICATE_CERT_REQ} in [each.failures for each in statuses]
    assert bank.issued() == 3


@everywhere
async def test_nobody_gets_one_more_than_a_holder_may_have(bank: SharedBank, where: str) -> None:
    bank.obey(Policy(most_certificates=2))
    holder = bank.holder()
    renewal, additional = Talk(bank.at(0), holder), Talk(bank.at(1), holder)
    bodies = [await write_update(holder.certificate, new_key()), await write_request(new_key())]
    await at_once(bank, where, renewal.say(KUR, bodies[0]), additional.say(BodyType.CR, bodies[1]))
    assert sorted([status(renewal), status(additional)]) == [Status.ACCEPTED, Status.REJECTION]
    assert bank.issued() == 2


@pytest.mark.parametrize("where", ["holders", "certificates", "crls"])
async def test_two_crls_at_once_are_one(bank: SharedBank, where: str) -> None:
    holder, renewed = bank.holder(), bank.holder()
    talk = await granted(bank, renewed, new_key())
    await talk.confirm()
    question = write_general([Info(CURRENT_CRL)])
    answers = await at_once(bank, where, *(bank.at(side).ask(holder, BodyType.GENM, question) for side in (0, 1)))
    crls = {read_general(answer.body)[0].value for answer in answers if isinstance(answer, Message)}
    assert bank.database.ask("SELECT der FROM crls") == [(each,) for each in crls]


@pytest.mark.parametrize("where", ["certificates", "crls"])
async def test_no_revocation_is_missing_on_the_next_crl(bank: SharedBank, where: str) -> None:
    """A CRL is made while a certificate is superseded: whichever comes first, the next CRL has it."""
    holder, renewed = bank.holder(), bank.holder()
    question = write_general([Info(CURRENT_CRL)])
    talk = await granted(bank.at(0), renewed, new_key())
    closed, _ = await bank.database.meet(where, talk.confirm(), bank.at(1).ask(holder, BodyType.GENM, question))
    assert closed.body_type == PKICONF
    answer = await bank.at(1).ask(holder, BodyType.GENM, question)
    crl = x509.load_der_x509_crl(read_general(answer.body)[0].value or b"")
    assert crl.get_revoked_certificate_by_serial_number(renewed.certificate.x509.serial_number) is not None


# --- tellers ----------------------------------------------------------------------------------------------------------


async def waiting(bank: SharedBank) -> tuple[Signer, Talk]:
    bank.obey(Policy(approval=frozenset(PromiseKind)))
    holder = bank.holder()
    talk = await update(bank.at(0), holder, new_key())
    assert status(talk) == Status.WAITING
    return holder, talk


@everywhere
async def test_a_yes_against_another_key(bank: SharedBank, where: str) -> None:
    holder, _ = await waiting(bank)
    body = await write_update(holder.certificate, new_key())
    await at_once(bank, where, asyncio.to_thread(bank.decide, approve=True), Talk(bank.at(1), holder).say(KUR, body))
    (first, first_approved), (second, second_approved) = bank.database.ask(
        "SELECT state, approved FROM promises ORDER BY id"
    )
    assert (first, second) == (PromiseState.REVOKED, PromiseState.WAITING)
    # Whoever says yes to what waits says it to the one key, to the other, or to both if he comes second.
    assert first_approved + second_approved <= 1
    assert bank.issued() == 1


@everywhere
async def test_a_yes_against_a_no(bank: SharedBank, where: str) -> None:
    await waiting(bank)
    decided = await at_once(bank, where, *(asyncio.to_thread(bank.decide, approve=each) for each in (True, False)))
    assert sorted(decided) == [0, 1]
    ((state, approved),) = bank.database.ask("SELECT state, approved FROM promises")
    assert (state, approved) == ((PromiseState.WAITING, True) if decided[0] else (PromiseState.REFUSED, False))


@everywhere
async def test_a_yes_against_the_end_of_its_time(bank: SharedBank, where: str) -> None:
    await waiting(bank)
    bank.now += bank.policy.approval_time + timedelta(seconds=1)
    stranger = bank.holder()
    body = await write_update(stranger.certificate, new_key())
    decided, _ = await bank.database.meet(
        where, asyncio.to_thread(bank.decide, approve=True), Talk(bank.at(1), stranger).say(KUR, body)
    )
    assert decided == 0, "it was over before he said so"
    assert bank.promises()[0] == (PromiseKind.UPDATE, PromiseState.REVOKED)


# --- one-time codes ---------------------------------------------------------------------------------------------------


@everywhere
async def test_one_code_and_two_keys(bank: SharedBank, where: str) -> None:
    code = bank.newcomer()
    talks = [Talk(bank.at(side), code) for side in (0, 1)]
    await at_once(bank, where, *(talk.request(IR, new_key()) for talk in talks))
    assert sorted(status(talk) for talk in talks) == [Status.ACCEPTED, Status.REJECTION]
    assert (bank.issued(), bank.rows()) == (1, 1)


@everywhere
async def test_one_code_and_one_key_from_two_sides(bank: SharedBank, where: str) -> None:
    code, key = bank.newcomer(), new_key()
    talks = [Talk(bank.at(side), code) for side in (0, 1)]
    await at_once(bank, where, *(talk.request(IR, key) for talk in talks))
    assert len({certificate_of(talk.last).der for talk in talks if talk.last is not None}) == 1
    answers = await bank.database.meet(where, *(talk.confirm() for talk in talks))
    check_ledger(bank)
    assert PKICONF in [answer.body_type for answer in answers]
    assert bank.promises() == [(PromiseKind.CODE, PromiseState.CONFIRMED)]
    assert bank.database.ask("SELECT state FROM codes") == [(CodeState.USED,)]


@everywhere
async def test_two_codes_made_at_once(bank: SharedBank, where: str) -> None:
    bank.newcomer()
    codes = await at_once(bank, where, *(asyncio.to_thread(bank.code, "TKYM1408054") for _ in range(2)))
    states = bank.database.ask("SELECT state FROM codes ORDER BY id")
    assert sorted(states) == [(CodeState.OPEN,), (CodeState.REPLACED,), (CodeState.REPLACED,)]
    good = [each for each in codes if isinstance(each, SharedSecret) and await is_good(bank, each)]
    assert len(good) == 1


async def is_good(bank: SharedBank, code: SharedSecret) -> bool:
    question = write_general([Info(CA_CERTIFICATES)])
    return (await bank.ask(code, BodyType.GENM, question)).body_type == BodyType.GENP


@everywhere
async def test_a_request_by_a_code_against_the_code_that_replaces_it(bank: SharedBank, where: str) -> None:
    code = bank.newcomer()
    talk = Talk(bank.at(0), code)
    await at_once(bank, where, talk.request(IR, new_key()), asyncio.to_thread(bank.code, "TKYM1408054"))
    states = set(bank.database.ask("SELECT state FROM certificates"))
    assert states <= {(REVOKED,)}, "what it began has come to nothing"


@everywhere
async def test_certconf_by_a_code_against_the_code_that_replaces_it(bank: SharedBank, where: str) -> None:
    code = bank.newcomer()
    talk = await enrol(bank.at(0), code, new_key())
    await at_once(bank, where, talk.confirm(), asyncio.to_thread(bank.code, "TKYM1408054"))
    closed = talk.last
    assert closed is not None
    if closed.body_type == PKICONF:
        states = {(CodeState.USED, VALID)}
    else:
        assert outcome(closed) in ({FailInfo.BAD_MESSAGE_CHECK}, {FailInfo.NOT_AUTHORIZED}, {FailInfo.CERT_REVOKED})
        states = {(CodeState.REPLACED, REVOKED)}
    joined = (
        "SELECT d.state, c.state FROM promises p JOIN codes d ON d.id = p.by_code JOIN certificates c ON c.id = p.new"
    )
    assert set(bank.database.ask(joined)) == states
