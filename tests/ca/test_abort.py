"""`error` by a client that cannot go on (RFC 9483 §3.6)."""

from __future__ import annotations

import pytest

from kiosk.ca.policy import Policy
from kiosk.ca.schema import CertificateState, PromiseKind, PromiseState
from kiosk.cmp.requests import write_update
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import BodyType, FailInfo
from tests.ca.bank import Bank, Talk, certificate_of, new_key, on_both, refusal

pytestmark = on_both

ABORT = write_error(rejection((FailInfo.BAD_DATA_FORMAT,), "the answer cannot be read"))


@pytest.mark.parametrize("by", ["code", "certificate"])
async def test_what_was_issued_is_revoked(bank: Bank, by: str) -> None:
    protector = bank.newcomer() if by == "code" else bank.holder()
    talk = Talk(bank, protector)
    certificate = certificate_of(await talk.request(BodyType.IR, new_key()))
    assert (await talk.say(BodyType.ERROR, ABORT)).body_type == BodyType.PKICONF
    assert bank.state(certificate) is CertificateState.REVOKED
    assert refusal(await talk.say(BodyType.ERROR, ABORT)) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})


async def test_what_waits_goes_on_waiting(bank: Bank) -> None:
    bank.obey(Policy(approval=frozenset(PromiseKind)))
    holder = bank.holder()
    talk = Talk(bank, holder)
    await talk.say(BodyType.KUR, await write_update(holder.certificate, new_key()))
    assert (await talk.say(BodyType.ERROR, ABORT)).body_type == BodyType.PKICONF
    assert bank.promises() == [(PromiseKind.UPDATE, PromiseState.WAITING)]


async def test_after_the_confirmation_nothing_is_undone(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    first, second = Talk(bank, holder), Talk(bank, holder)
    for talk in (first, second):
        answer = await talk.say(BodyType.KUR, await write_update(holder.certificate, key))
    certificate = certificate_of(answer)
    await first.confirm()
    assert refusal(await second.say(BodyType.ERROR, ABORT)) == (BodyType.ERROR, {FailInfo.CERT_CONFIRMED})
    assert bank.state(certificate) is CertificateState.VALID


async def test_nothing_is_aborted_by_another_or_out_of_the_blue(bank: Bank) -> None:
    talk = Talk(bank, bank.holder())
    certificate = certificate_of(await talk.request(BodyType.CR, new_key()))
    talk.protector = bank.holder()
    assert refusal(await talk.say(BodyType.ERROR, ABORT)) == (BodyType.ERROR, {FailInfo.NOT_AUTHORIZED})
    assert refusal(await bank.ask(bank.holder(), BodyType.ERROR, ABORT)) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})
    assert bank.state(certificate) is CertificateState.UNCONFIRMED


async def test_an_error_that_is_none(bank: Bank) -> None:
    answer = await bank.ask(bank.holder(), BodyType.ERROR, b"\x05\x00")
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.BAD_DATA_FORMAT})
