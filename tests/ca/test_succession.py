"""Design decision 7, cell by cell: what the CA promises to a client that asks anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from sqlalchemy import select

from kiosk.ca import holders
from kiosk.ca.policy import Policy
from kiosk.ca.revoking import REASONS, put_on_crl
from kiosk.ca.schema import ENDED_TRANSACTIONS, TRANSACTIONS, CertificateState
from kiosk.clock import months_after, one_year_after, renewable_from
from kiosk.cmp.envelope import read_message
from kiosk.cmp.errors import Refused
from kiosk.cmp.issued import Issued
from kiosk.cmp.requests import write_update
from kiosk.cmp.signing import Signer
from kiosk.cmp.vocabulary import BodyType, FailInfo
from tests.ca.bank import START, Bank, new_key, on_both, refusal

pytestmark = on_both

UNCONFIRMED, VALID = CertificateState.UNCONFIRMED, CertificateState.VALID
SUPERSEDED, REVOKED = CertificateState.SUPERSEDED, CertificateState.REVOKED
DAY = timedelta(days=1)


async def test_no_row_issue(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    certificate = issued.certificate
    assert certificate.subject == holder.certificate.subject
    assert certificate.not_before == START - timedelta(minutes=5)
    assert certificate.not_after == one_year_after(START)
    assert certificate.serial_number.bit_length() == 128
    assert (bank.state(certificate), bank.state(holder.certificate)) == (UNCONFIRMED, VALID)
    assert bank.entry(certificate).holder == bank.entry(holder.certificate).holder


async def test_confirmed_the_new_one_is_valid_and_the_old_superseded(bank: Bank) -> None:
    holder = bank.holder()
    issued = await bank.client.update(holder, new_key())
    await bank.client.confirm(issued)
    assert (bank.state(issued.certificate), bank.state(holder.certificate)) == (VALID, SUPERSEDED)


async def test_rejected_the_new_one_is_revoked_and_the_old_stays(bank: Bank) -> None:
    holder = bank.holder()
    issued = await bank.client.update(holder, new_key())
    await bank.client.reject(issued, "the subject is wrong")
    assert (bank.state(issued.certificate), bank.state(holder.certificate)) == (REVOKED, VALID)


async def test_issued_same_key_same_certificate_new_confirmation_time(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    first = await bank.client.update(holder, key)
    bank.now += DAY
    again = await bank.client.update(holder, key)
    assert again.certificate == first.certificate
    assert first.confirm_before == START + 14 * DAY
    assert again.confirm_before == START + 15 * DAY
    bank.now = START + 14 * DAY + timedelta(hours=1)
    await bank.client.confirm(again)
    assert bank.state(again.certificate) is VALID


async def test_issued_other_key_issue_and_the_unconfirmed_one_is_revoked(bank: Bank) -> None:
    holder = bank.holder()
    first = await bank.client.update(holder, new_key())
    second = await bank.client.update(holder, new_key())
    assert (bank.state(first.certificate), bank.state(second.certificate)) == (REVOKED, UNCONFIRMED)
    with pytest.raises(Refused) as caught:
        await bank.client.confirm(first)
    assert caught.value.fail_info == {"certRevoked"}
    await bank.client.confirm(second)
    assert bank.state(holder.certificate) is SUPERSEDED


async def test_never_confirmed_same_key_a_fresh_certificate(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    first = await bank.client.update(holder, key)
    bank.now += 15 * DAY
    fresh = await bank.client.update(holder, key)
    assert fresh.certificate != first.certificate
    assert fresh.certificate.public_key == first.certificate.public_key
    assert (bank.state(first.certificate), bank.state(fresh.certificate)) == (REVOKED, UNCONFIRMED)
    with pytest.raises(Refused):
        await bank.client.confirm(first)
    await bank.client.confirm(fresh)
    assert bank.rows() == 1


async def test_never_confirmed_other_key_issue(bank: Bank) -> None:
    holder = bank.holder()
    first = await bank.client.update(holder, new_key())
    bank.now += 15 * DAY
    second = await bank.client.update(holder, new_key())
    assert (bank.state(first.certificate), bank.state(second.certificate)) == (REVOKED, UNCONFIRMED)


async def test_rejected_same_key_a_fresh_certificate(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    first = await bank.client.update(holder, key)
    await bank.client.reject(first, "no")
    fresh = await bank.client.update(holder, key)
    assert fresh.certificate != first.certificate


async def test_confirmed_same_key_same_certificate_and_pkiconf_again(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    await bank.client.confirm(issued)
    count = bank.issued()
    for _ in range(2):
        again = await bank.client.update(holder, key)
        assert again.certificate == issued.certificate
        await bank.client.confirm(again)
    assert bank.issued() == count
    assert (bank.state(issued.certificate), bank.state(holder.certificate)) == (VALID, SUPERSEDED)


async def test_confirmed_other_key_rejection(bank: Bank) -> None:
    holder = bank.holder()
    await bank.client.confirm(await bank.client.update(holder, new_key()))
    count = bank.issued()
    with pytest.raises(Refused) as caught:
        await bank.client.update(holder, new_key())
    assert (set(caught.value.fail_info), caught.value.proven) == ({"certRevoked"}, True)
    assert bank.issued() == count


async def test_confirmed_cannot_be_rejected(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    await bank.client.confirm(await bank.client.update(holder, key))
    again = await bank.client.update(holder, key)
    with pytest.raises(Refused) as caught:
        await bank.client.reject(again, "too late")
    assert caught.value.fail_info == {"certConfirmed"}
    assert bank.state(again.certificate) is VALID


async def test_confirmed_successor_that_was_revoked_is_not_given_again(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    await bank.client.confirm(issued)
    bank.revoke(issued.certificate)
    with pytest.raises(Refused) as caught:
        await bank.client.update(holder, key)
    assert caught.value.fail_info == {"certRevoked"}


async def test_a_revoked_certificate_gets_nothing_whatever_has_begun(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    bank.revoke(holder.certificate)
    for attempt in (bank.client.update(holder, key), bank.client.confirm(issued), bank.client.general(holder)):
        with pytest.raises(Refused) as caught:
            await attempt
        assert caught.value.fail_info == {"certRevoked"}
    assert bank.state(issued.certificate) is UNCONFIRMED


async def test_a_key_certified_in_another_row_is_refused(bank: Bank) -> None:
    holder, other, key = bank.holder(), bank.holder(), new_key()
    await bank.client.update(holder, key)
    for taken in (key, other.key, holder.key):
        with pytest.raises(Refused) as caught:
            await bank.client.update(other, taken)
        assert caught.value.fail_info == {"duplicateCertReq"}


async def test_a_renewal_begun_in_the_last_second_can_end(bank: Bank) -> None:
    holder, key = bank.holder(days_left=0), new_key()
    bank.now += timedelta(minutes=15)
    issued = await bank.client.update(holder, key)
    bank.now += timedelta(minutes=59)
    await bank.client.confirm(issued)
    assert bank.state(issued.certificate) is VALID


async def test_an_expired_certificate_finishes_what_it_began_for_resume_days(bank: Bank) -> None:
    holder, key = bank.holder(days_left=2), new_key()
    first = await bank.client.update(holder, key)
    assert first.confirm_before == holder.certificate.not_after
    bank.now = holder.certificate.not_after + 30 * DAY
    await bank.client.general(holder)
    fresh = await bank.client.update(holder, key)
    assert fresh.certificate != first.certificate
    await bank.client.confirm(fresh)
    again = await bank.client.update(holder, key)
    assert again.certificate == fresh.certificate
    bank.now += timedelta(seconds=1)
    with pytest.raises(Refused) as caught:
        await bank.client.update(holder, key)
    assert caught.value.fail_info == {"signerNotTrusted"}


async def test_expired_without_a_row_is_too_late(bank: Bank) -> None:
    holder = bank.holder(days_left=0)
    bank.now += timedelta(minutes=15, seconds=1)
    for attempt in (bank.client.update(holder, new_key()), bank.client.general(holder)):
        with pytest.raises(Refused) as caught:
            await attempt
        assert caught.value.fail_info == {"signerNotTrusted"}


async def test_a_policy_may_let_who_comes_too_late_renew_for_a_while(bank: Bank) -> None:
    bank.obey(Policy(expiry_grace=30 * DAY))
    first, second = bank.holder(days_left=0), bank.holder(days_left=0)
    bank.now = first.certificate.not_after + 20 * DAY
    issued = await bank.client.update(first, new_key())
    assert issued.confirm_before == first.certificate.not_after + 30 * DAY
    bank.now += 9 * DAY
    await bank.client.confirm(issued)
    assert (bank.state(issued.certificate), bank.state(first.certificate)) == (VALID, SUPERSEDED)
    bank.now = second.certificate.not_after + 30 * DAY + timedelta(seconds=1)
    with pytest.raises(Refused) as caught:
        await bank.client.update(second, new_key())
    assert caught.value.fail_info == {"signerNotTrusted"}


async def test_what_the_policy_says_of_certificates_is_in_a_successor(bank: Bank) -> None:
    bank.obey(Policy(validity_months=24, email_in_certificate=True, certificate_policies=("1.2.392.200091.1",)))
    old = bank.holder()
    holder_id = bank.entry(old.certificate).holder
    with bank.book.begin() as connection:
        owner = holders.get(connection, holder_id)
        holders.change_all(connection, [replace(owner, email="taro@example.jp")])
    issued = (await bank.client.update(old, new_key())).certificate
    assert issued.not_after == months_after(START, 24)
    names = issued.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["taro@example.jp"]
    assert issued.x509.extensions.get_extension_for_class(x509.CertificatePolicies)


async def test_a_successor_speaks_only_once_confirmed(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    successor = Signer(key, issued.certificate)
    with pytest.raises(Refused) as caught:
        await bank.client.general(successor)
    assert caught.value.fail_info == {"signerNotTrusted"}
    await bank.client.confirm(issued)
    await bank.client.general(successor)


async def test_successors_succeed_each_other(bank: Bank) -> None:
    holder = bank.holder()
    for _ in range(3):
        key = new_key()
        issued = await bank.client.update(holder, key)
        await bank.client.confirm(issued)
        holder = Signer(key, issued.certificate)
        bank.now = issued.certificate.not_after - DAY
    assert bank.rows() == 3


async def test_a_recorded_request_issues_once(bank: Bank) -> None:
    holder = bank.holder()
    recorded = await bank.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))
    await bank.responder.answer(recorded)
    count = bank.issued()
    again = read_message(await bank.responder.answer(recorded))
    assert refusal(again) == (BodyType.ERROR, {FailInfo.TRANSACTION_ID_IN_USE})
    bank.now += timedelta(minutes=6)
    later = read_message(await bank.responder.answer(recorded))
    assert refusal(later) == (BodyType.ERROR, {FailInfo.BAD_TIME})
    assert bank.issued() == count


async def test_confirming_does_not_revive_what_was_revoked(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    bank.revoke(issued.certificate)
    with pytest.raises(Refused) as caught:
        await bank.client.confirm(issued)
    assert (set(caught.value.fail_info), caught.value.proven) == ({"certRevoked"}, True)
    assert standing_of(bank, issued) == (REVOKED, "keyCompromise")
    assert bank.state(holder.certificate) is VALID


async def test_confirming_again_does_not_hide_that_it_was_revoked(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    await bank.client.confirm(await bank.client.update(holder, key))
    again = await bank.client.update(holder, key)
    bank.revoke(again.certificate)
    with pytest.raises(Refused) as caught:
        await bank.client.confirm(again)
    assert caught.value.fail_info == {"certRevoked"}
    assert standing_of(bank, again) == (REVOKED, "keyCompromise")


async def test_what_was_revoked_keeps_its_reason(bank: Bank) -> None:
    rejected, replaced, lapsed = [(bank.holder(name=name), new_key()) for name in ("A", "B", "C")]
    all_issued = [await bank.client.update(*each) for each in (rejected, replaced, lapsed)]
    for issued in all_issued:
        bank.revoke(issued.certificate)
    await bank.client.reject(all_issued[0], "no")
    await bank.client.update(replaced[0], new_key())
    bank.now += 15 * DAY
    await bank.client.update(lapsed[0], new_key())
    assert [standing_of(bank, each) for each in all_issued] == [(REVOKED, "keyCompromise")] * 3


@pytest.mark.parametrize("reason", sorted(REASONS.values()))
async def test_a_key_that_somebody_has_disowned_is_not_certified_again_after_its_time(bank: Bank, reason: str) -> None:
    """Also for the reason that the CA itself gives to what nobody took."""
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    entry = bank.entry(issued.certificate)
    with bank.book.begin() as connection:
        assert put_on_crl(connection, entry, reason, bank.now)
    bank.now += 15 * DAY
    with pytest.raises(Refused) as caught:
        await bank.client.update(holder, key)
    assert (set(caught.value.fail_info), caught.value.proven, caught.value.decided) == ({"certRevoked"}, True, True)
    assert standing_of(bank, issued) == (REVOKED, reason)
    await bank.client.confirm(await bank.client.update(holder, new_key()))


async def test_a_late_confirmation_is_refused_and_the_certificate_stays_revoked(bank: Bank) -> None:
    issued = await bank.client.update(bank.holder(), new_key())
    bank.now += 14 * DAY + timedelta(seconds=1)
    with pytest.raises(Refused) as caught:
        await bank.client.confirm(issued)
    assert caught.value.fail_info == {"certRevoked"}
    assert standing_of(bank, issued) == (REVOKED, "cessationOfOperation")


async def test_what_began_after_the_end_is_not_resumed_for_long(bank: Bank) -> None:
    holder, key = bank.holder(days_left=0), new_key()
    bank.now += timedelta(minutes=14)
    await bank.client.reject(await bank.client.update(holder, key), "no")
    bank.now += timedelta(minutes=2)
    for attempt in (bank.client.update(holder, key), bank.client.update(holder, new_key())):
        with pytest.raises(Refused) as caught:
            await attempt
        assert caught.value.fail_info == {"signerNotTrusted"}


async def test_one_certificate_brings_so_many_keys_and_no_more(bank: Bank) -> None:
    holder, keys = bank.holder(), [new_key() for _ in range(bank.policy.most_new_keys)]
    for key in keys:
        issued = await bank.client.update(holder, key)
    count = bank.issued()
    with pytest.raises(Refused) as caught:
        await bank.client.update(holder, new_key())
    assert (set(caught.value.fail_info), caught.value.decided) == ({"badRequest"}, True)
    assert "too many keys" in caught.value.text
    assert (bank.issued(), bank.rows()) == (count, len(keys))
    assert bank.state(issued.certificate) is UNCONFIRMED
    await bank.client.confirm(await bank.client.update(holder, keys[-1]))


async def test_a_recorded_request_that_was_refused_is_refused_on_a_better_day(bank: Bank) -> None:
    holder = bank.holder(days_left=31)
    bank.now = renewable_from(holder.certificate.not_after, 30) - timedelta(seconds=2)
    recorded = await bank.write(holder, BodyType.KUR, await write_update(holder.certificate, new_key()))
    assert refusal(await bank.send(recorded)) == (BodyType.KUP, {FailInfo.BAD_REQUEST})
    bank.now += timedelta(seconds=3)
    assert refusal(await bank.send(recorded)) == (BodyType.ERROR, {FailInfo.TRANSACTION_ID_IN_USE})
    assert bank.rows() == 0
    await bank.client.update(holder, new_key())


async def test_transactions_are_forgotten_once_nothing_is_waited_for(bank: Bank) -> None:
    early, done, open_ = bank.holder(days_left=31, name="A"), bank.holder(name="B"), bank.holder(name="C")
    with pytest.raises(Refused):
        await bank.client.update(early, new_key())
    await bank.client.confirm(await bank.client.update(done, new_key()))
    waits = await bank.client.update(open_, new_key())
    bank.now += 2 * bank.policy.time_window
    with pytest.raises(Refused):
        await bank.client.update(early, new_key())
    assert remembered(bank) == (2, 2)
    bank.now += bank.policy.time_window  # what is over is looked for once in so long
    with pytest.raises(Refused):
        await bank.client.update(early, new_key())
    assert remembered(bank) == (1, 2)
    await bank.client.confirm(waits)


async def test_a_ca_that_has_expired_issues_nothing(bank: Bank) -> None:
    end = bank.authority.issuing.not_after
    bank.now = end - 10 * DAY
    holder, key = bank.holder(days_left=9), new_key()
    first = await bank.client.update(holder, key)
    bank.now = end + timedelta(minutes=10)
    for wanted in (key, new_key()):
        body = await write_update(holder.certificate, wanted)
        assert refusal(await bank.ask(holder, BodyType.KUR, body)) == (BodyType.KUP, {FailInfo.SYSTEM_UNAVAIL})
    assert bank.issued() == 2
    assert bank.state(first.certificate) is REVOKED, "not confirmed in time, whatever else was refused"


async def test_where_nothing_new_can_be_issued_what_was_issued_stays(bank: Bank) -> None:
    end = bank.authority.issuing.not_after
    bank.now = end - timedelta(minutes=30)
    holder = bank.holder(days_left=10 / (24 * 60))
    first = await bank.client.update(holder, new_key())
    bank.now = end + timedelta(minutes=1)
    body = await write_update(holder.certificate, new_key())
    assert refusal(await bank.ask(holder, BodyType.KUR, body)) == (BodyType.KUP, {FailInfo.SYSTEM_UNAVAIL})
    assert bank.state(first.certificate) is UNCONFIRMED


async def test_a_ca_that_can_give_no_more_time_issues_nothing(bank: Bank) -> None:
    bank.now = bank.authority.issuing.not_after - 10 * DAY
    holder = bank.holder(days_left=10)
    body = await write_update(holder.certificate, new_key())
    assert refusal(await bank.ask(holder, BodyType.KUR, body)) == (BodyType.KUP, {FailInfo.SYSTEM_UNAVAIL})
    assert bank.issued() == 1


def standing_of(bank: Bank, issued: Issued) -> tuple[CertificateState, str | None]:
    entry = bank.entry(issued.certificate)
    return entry.state, entry.reason


def remembered(bank: Bank) -> tuple[int, int]:
    """Transactions that were granted, and that were refused."""
    with bank.book.read() as connection:
        granted, refused = (connection.execute(select(each.c.id)).all() for each in (TRANSACTIONS, ENDED_TRANSACTIONS))
    return len(granted), len(refused)
