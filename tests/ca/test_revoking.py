"""`rr` (RFC 9483 §4.2): who may have what revoked, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from kiosk.ca.revoking import REASONS
from kiosk.ca.schema import CertificateState
from kiosk.certificates import Certificate
from kiosk.cmp import der
from kiosk.cmp.envelope import Message, Protector, read_message
from kiosk.cmp.revocations import RevocationRequest, write_revocations
from kiosk.cmp.signing import Signer
from kiosk.cmp.vocabulary import BodyType, FailInfo, Status
from tests.ca.bank import Bank, Talk, certificate_of, new_key, on_both, refusal, status_of

pytestmark = on_both

RR, RP, ERROR = BodyType.RR, BodyType.RP, BodyType.ERROR


async def ask(bank: Bank, signer: Protector, *requests: RevocationRequest) -> Message:
    return await bank.ask(signer, RR, write_revocations(requests))


async def another_of(bank: Bank, holder: Signer) -> Signer:
    """A second valid certificate of the same holder."""
    key = new_key()
    talk = Talk(bank, holder)
    certificate = certificate_of(await talk.request(BodyType.CR, key))
    await talk.confirm()
    return Signer(key, certificate)


@pytest.mark.parametrize(("number", "reason"), [*REASONS.items(), (None, "unspecified")])
async def test_by_itself_for_every_reason(bank: Bank, number: int | None, reason: str) -> None:
    holder = bank.holder()
    answer = await ask(bank, holder, RevocationRequest.of(holder.certificate, number))
    assert (answer.body_type, status_of(answer).status) == (RP, Status.ACCEPTED)
    answer.verify_protection(bank.authority.signer.certificate.public_key)
    entry = bank.entry(holder.certificate)
    assert (entry.state, entry.reason) == (CertificateState.REVOKED, reason)


async def test_by_another_valid_certificate_of_the_same_holder(bank: Bank) -> None:
    holder = bank.holder()
    other = await another_of(bank, holder)
    assert status_of(await ask(bank, other, RevocationRequest.of(holder.certificate, 1))).status == Status.ACCEPTED
    assert bank.state(holder.certificate) is CertificateState.REVOKED
    assert bank.state(other.certificate) is CertificateState.VALID


async def test_what_was_superseded_can_be_revoked_for_a_graver_reason(bank: Bank) -> None:
    holder, key = bank.holder(), new_key()
    issued = await bank.client.update(holder, key)
    await bank.client.confirm(issued)
    successor = Signer(key, issued.certificate)
    assert status_of(await ask(bank, successor, RevocationRequest.of(holder.certificate, 1))).status == Status.ACCEPTED
    entry = bank.entry(holder.certificate)
    assert (entry.state, entry.reason) == (CertificateState.REVOKED, "keyCompromise")


async def test_what_is_not_confirmed_yet_can_be_revoked(bank: Bank) -> None:
    holder = bank.holder()
    issued = await bank.client.update(holder, new_key())
    assert status_of(await ask(bank, holder, RevocationRequest.of(issued.certificate, 1))).status == Status.ACCEPTED
    assert bank.state(issued.certificate) is CertificateState.REVOKED
    assert bank.state(holder.certificate) is CertificateState.VALID


async def test_a_recorded_request_revokes_once(bank: Bank) -> None:
    holder = bank.holder()
    other = await another_of(bank, holder)
    recorded = await bank.write(other, RR, write_revocations([RevocationRequest.of(holder.certificate, 1)]))
    assert status_of(await bank.send(recorded)).status == Status.ACCEPTED
    again = read_message(await bank.responder.answer(recorded))
    assert refusal(again) == (ERROR, {FailInfo.TRANSACTION_ID_IN_USE})


# --- refusals ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    name: str
    send: Callable[[Bank, Signer], Awaitable[Message]] = field(repr=False)
    body_type: BodyType
    failure: FailInfo


def about(change: Callable[[Certificate], RevocationRequest]) -> Callable[[Bank, Signer], Awaitable[Message]]:
    async def send(bank: Bank, holder: Signer) -> Message:
        return await ask(bank, holder, change(holder.certificate))

    return send


async def by_code(bank: Bank, holder: Signer) -> Message:
    return await ask(bank, bank.newcomer(), RevocationRequest.of(holder.certificate))


async def twice(bank: Bank, holder: Signer) -> Message:
    other = await another_of(bank, holder)
    await ask(bank, holder, RevocationRequest.of(other.certificate))
    return await ask(bank, holder, RevocationRequest.of(other.certificate))


async def after_itself(bank: Bank, holder: Signer) -> Message:
    await ask(bank, holder, RevocationRequest.of(holder.certificate))
    return await ask(bank, holder, RevocationRequest.of(holder.certificate))


async def by_the_superseded(bank: Bank, holder: Signer) -> Message:
    issued = await bank.client.update(holder, new_key())
    await bank.client.confirm(issued)
    return await ask(bank, holder, RevocationRequest.of(issued.certificate))


async def by_the_unconfirmed(bank: Bank, holder: Signer) -> Message:
    key = new_key()
    issued = await bank.client.update(holder, key)
    return await ask(bank, Signer(key, issued.certificate), RevocationRequest.of(holder.certificate))


async def of_another_holder(bank: Bank, holder: Signer) -> Message:
    return await ask(bank, holder, RevocationRequest.of(bank.holder().certificate))


async def of_the_ca(bank: Bank, holder: Signer) -> Message:
    return await ask(bank, holder, RevocationRequest.of(bank.authority.signer.certificate))


async def two(bank: Bank, holder: Signer) -> Message:
    return await ask(bank, holder, *[RevocationRequest.of(holder.certificate)] * 2)


async def none(bank: Bank, holder: Signer) -> Message:
    return await ask(bank, holder)


async def none_that_can_be_read(bank: Bank, holder: Signer) -> Message:
    return await bank.ask(holder, RR, der.write_octets(b"rr"))


CASES = (
    Case("by a code", by_code, ERROR, FailInfo.WRONG_INTEGRITY),
    Case("by a revoked certificate", after_itself, ERROR, FailInfo.CERT_REVOKED),
    Case("by a superseded certificate", by_the_superseded, ERROR, FailInfo.CERT_REVOKED),
    Case("by an unconfirmed certificate", by_the_unconfirmed, ERROR, FailInfo.SIGNER_NOT_TRUSTED),
    Case("not an rr", none_that_can_be_read, ERROR, FailInfo.BAD_DATA_FORMAT),
    Case("no certificate", none, RP, FailInfo.BAD_REQUEST),
    Case("two certificates", two, RP, FailInfo.BAD_REQUEST),
    Case("already revoked", twice, RP, FailInfo.CERT_REVOKED),
    Case("of another holder", of_another_holder, RP, FailInfo.BAD_CERT_ID),
    Case("of the CA", of_the_ca, RP, FailInfo.BAD_CERT_ID),
    Case(
        "unknown serial number",
        about(lambda mine: replace(RevocationRequest.of(mine), serial_number=7)),
        RP,
        FailInfo.BAD_CERT_ID,
    ),
    Case(
        "negative serial number",
        about(lambda mine: replace(RevocationRequest.of(mine), serial_number=-mine.serial_number)),
        RP,
        FailInfo.BAD_CERT_ID,
    ),
    Case(
        "another issuer",
        about(lambda mine: replace(RevocationRequest.of(mine), issuer_der=mine.subject_der)),
        RP,
        FailInfo.BAD_CERT_ID,
    ),
    Case(
        "no issuer",
        about(lambda mine: replace(RevocationRequest.of(mine), issuer_der=None)),
        RP,
        FailInfo.ADD_INFO_NOT_AVAILABLE,
    ),
    Case(
        "no serial number",
        about(lambda mine: replace(RevocationRequest.of(mine), serial_number=None)),
        RP,
        FailInfo.ADD_INFO_NOT_AVAILABLE,
    ),
    Case("removeFromCRL", about(lambda mine: RevocationRequest.of(mine, 8)), RP, FailInfo.BAD_REQUEST),
    Case("reason 7", about(lambda mine: RevocationRequest.of(mine, 7)), RP, FailInfo.BAD_REQUEST),
    Case("reason 11", about(lambda mine: RevocationRequest.of(mine, 11)), RP, FailInfo.BAD_REQUEST),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_it_is_refused(case: Case, bank: Bank) -> None:
    holder = bank.holder()
    answer = await case.send(bank, holder)
    assert refusal(answer) == (case.body_type, {case.failure})
    assert status_of(answer).status == Status.REJECTION


def test_the_table_says_how_long_it_is() -> None:
    print(f"{len(CASES)} refusals to revoke")
    assert len({case.name for case in CASES}) == len(CASES)


async def test_whether_another_has_it_is_not_told(bank: Bank) -> None:
    holder = bank.holder()
    theirs = await ask(bank, holder, RevocationRequest.of(bank.holder().certificate))
    nobodys = await ask(bank, holder, replace(RevocationRequest.of(holder.certificate), serial_number=7))
    assert status_of(theirs) == status_of(nobodys)
