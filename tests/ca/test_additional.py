"""A certificate for a holder who has one: `ir`, `cr`, `p10cr` by certificate, and what is promised to who asks anew."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kiosk.ca.policy import Policy
from kiosk.ca.schema import CertificateState, PromiseKind, PromiseState
from kiosk.clock import one_year_after
from kiosk.cmp import der
from kiosk.cmp.errors import Refused
from kiosk.cmp.requests import write_pkcs10, write_request
from kiosk.cmp.responses import read_responses
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import rejection
from kiosk.cmp.vocabulary import IMPLICIT_CONFIRM, BodyType, FailInfo, Status
from tests.ca.bank import START, Bank, Talk, certificate_of, new_key, on_both, refusal, status_of, subject

pytestmark = on_both

KINDS = [(BodyType.IR, BodyType.IP), (BodyType.CR, BodyType.CP), (BodyType.P10CR, BodyType.CP)]
VALID, REVOKED, UNCONFIRMED = CertificateState.VALID, CertificateState.REVOKED, CertificateState.UNCONFIRMED


async def request(talk: Talk, kind: BodyType, key: SoftwareKey, name: bytes = der.EMPTY_SEQUENCE) -> None:
    body = await (write_pkcs10(key, name) if kind is BodyType.P10CR else write_request(key, subject_der=name))
    await talk.say(kind, body)


async def ask(bank: Bank, holder: Signer, key: SoftwareKey, kind: BodyType = BodyType.CR) -> Talk:
    talk = Talk(bank, holder)
    await request(talk, kind, key)
    return talk


@pytest.mark.parametrize(("kind", "answered"), KINDS)
@pytest.mark.parametrize("pvno", [2, 3])
async def test_both_are_valid_afterwards(bank: Bank, kind: BodyType, answered: BodyType, pvno: int) -> None:
    holder, key = bank.holder(days_left=300), new_key()
    talk = Talk(bank, holder, pvno)
    await request(talk, kind, key)
    assert talk.last is not None
    assert (talk.last.body_type, status_of(talk.last).status) == (answered, Status.ACCEPTED)
    assert read_responses(talk.last.body).ca_pubs == ()
    certificate = certificate_of(talk.last)
    assert (certificate.subject_der, certificate.not_after) == (
        holder.certificate.subject_der,
        one_year_after(START),
    )
    assert bank.entry(certificate).holder == bank.entry(holder.certificate).holder
    assert (await talk.confirm(request_id=-1 if kind is BodyType.P10CR else 0)).body_type == BodyType.PKICONF
    assert (bank.state(certificate), bank.state(holder.certificate)) == (VALID, VALID)
    successor = Signer(key, certificate)
    assert (await ask(bank, successor, new_key())).last is not None


@pytest.mark.parametrize(("kind", "answered"), KINDS)
async def test_another_name_is_refused(bank: Bank, kind: BodyType, answered: BodyType) -> None:
    talk = Talk(bank, bank.holder())
    await request(talk, kind, new_key(), subject("Other").public_bytes())
    assert talk.last is not None
    assert refusal(talk.last) == (answered, {FailInfo.NOT_AUTHORIZED})


@pytest.mark.parametrize(("kind", "answered"), KINDS)
async def test_a_bank_may_not_want_it(bank: Bank, kind: BodyType, answered: BodyType) -> None:
    bank.obey(Policy(additional_certificates=False))
    talk = await ask(bank, bank.holder(), new_key(), kind)
    assert talk.last is not None
    assert refusal(talk.last) == (answered, {FailInfo.NOT_AUTHORIZED})


async def test_issued_same_key_same_certificate(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    first, second = await ask(bank, holder, key), await ask(bank, holder, key)
    assert first.last is not None
    assert second.last is not None
    assert certificate_of(first.last) == certificate_of(second.last)
    assert (await second.confirm()).body_type == BodyType.PKICONF


async def test_issued_other_key_replaces_it(bank: Bank) -> None:
    holder = bank.holder()
    first, second = await ask(bank, holder, new_key()), await ask(bank, holder, new_key())
    assert first.last is not None
    assert second.last is not None
    assert bank.state(certificate_of(first.last)) is REVOKED
    assert bank.state(certificate_of(second.last)) is UNCONFIRMED


async def test_confirmed_same_key_same_certificate_other_key_one_more(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    first = await ask(bank, holder, key)
    assert first.last is not None
    certificate = certificate_of(first.last)
    await first.confirm()
    again = await ask(bank, holder, key)
    assert again.last is not None
    assert certificate_of(again.last) == certificate
    assert (await again.confirm()).body_type == BodyType.PKICONF
    other = await ask(bank, holder, new_key())
    assert (await other.confirm()).body_type == BodyType.PKICONF
    assert bank.state(certificate) is VALID
    assert bank.promises() == [(PromiseKind.ADDITIONAL, PromiseState.CONFIRMED)] * 2


async def test_rejected_or_lapsed_same_key_a_fresh_certificate(bank: Bank) -> None:
    holder, key = bank.holder(days_left=300), new_key()
    first = await ask(bank, holder, key)
    await first.confirm(status=rejection((), "no"))
    second = await ask(bank, holder, key)
    bank.now += bank.policy.confirmation + timedelta(seconds=1)
    third = await ask(bank, holder, key)
    fingerprints = {certificate_of(talk.last).fingerprint for talk in (second, third) if talk.last is not None}
    assert len(fingerprints) == 2
    assert bank.issued() == 4


async def test_a_renewal_and_an_additional_one_do_not_meet(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    renewal = await bank.client.update(holder, new_key())
    additional = await ask(bank, holder, key)
    assert additional.last is not None
    assert bank.state(renewal.certificate) is UNCONFIRMED
    assert (await additional.confirm()).body_type == BodyType.PKICONF
    await bank.client.confirm(renewal)
    assert bank.state(holder.certificate) is CertificateState.SUPERSEDED
    late = await ask(bank, holder, new_key())
    assert late.last is not None
    assert refusal(late.last) == (BodyType.CP, {FailInfo.CERT_REVOKED})


@pytest.mark.parametrize("ended", [False, True])
async def test_only_a_valid_certificate_entitles(bank: Bank, ended: bool) -> None:
    holder, key = bank.holder(days_left=1), new_key()
    talk = await ask(bank, holder, key)
    if ended:
        bank.now += timedelta(days=1, seconds=1)
    else:
        bank.revoke(holder.certificate)
    expected = FailInfo.SIGNER_NOT_TRUSTED if ended else FailInfo.CERT_REVOKED
    assert refusal(await talk.confirm()) == (BodyType.ERROR, {expected})
    again = await ask(bank, holder, key)
    assert again.last is not None
    assert refusal(again.last) == (BodyType.CP, {expected})


async def test_confirmed_at_once_where_the_client_wants_it(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    talk = Talk(bank, holder, implicit=True)
    answer = await talk.request(BodyType.CR, key)
    assert [(info.kind, info.value) for info in answer.header.general_info] == [(IMPLICIT_CONFIRM, b"\x05\x00")]
    assert bank.state(certificate_of(answer)) is VALID
    assert refusal(await talk.confirm()) == (BodyType.ERROR, {FailInfo.CERT_CONFIRMED})


async def test_not_confirmed_at_once_where_the_bank_does_not_want_it(bank: Bank) -> None:
    bank.obey(Policy(implicit_confirm=False))
    talk = Talk(bank, bank.holder(), implicit=True)
    answer = await talk.request(BodyType.CR, new_key())
    assert IMPLICIT_CONFIRM not in [info.kind for info in answer.header.general_info]
    assert bank.state(certificate_of(answer)) is UNCONFIRMED
    assert (await talk.confirm()).body_type == BodyType.PKICONF


async def test_a_code_is_used_up_at_once_by_an_implicit_confirmation(bank: Bank) -> None:
    code = bank.newcomer()
    answer = await Talk(bank, code, implicit=True).request(BodyType.IR, new_key())
    answer.verify_mac(code.secret)
    assert bank.state(certificate_of(answer)) is VALID
    assert refusal(await Talk(bank, code).request(BodyType.IR, new_key())) == (
        BodyType.ERROR,
        {FailInfo.BAD_MESSAGE_CHECK},
    )


async def test_however_many_beget_others_they_are_so_many_and_no_more(bank: Bank) -> None:
    bank.obey(Policy(most_certificates=5))
    holder = bank.holder()
    for _ in range(4):
        key = new_key()
        issued = await bank.client.certify(holder, key)
        await bank.client.confirm(issued)
        holder = Signer(key, issued.certificate, (bank.authority.issuing,))
    with pytest.raises(Refused) as caught:
        await bank.client.certify(holder, new_key())
    assert (set(caught.value.fail_info), caught.value.decided, bank.issued()) == ({"badRequest"}, True, 5)
    bank.now += timedelta(days=400)
    code = bank.code("holder-1")
    assert (await bank.client.enrol(code, new_key())).certificate.valid_at(bank.now), "what has ended does not count"
