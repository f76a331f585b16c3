"""What becomes of the certificate that was renewed, by the policy, and what the CA answers to it and of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, OCSPRequestBuilder, load_der_ocsp_response

from kiosk.ca import audit
from kiosk.ca.policy import OldCertificate, Policy
from kiosk.ca.schema import Act, CertificateState
from kiosk.ca.status import StatusService
from kiosk.certificates import Certificate
from kiosk.cmp.errors import Refused
from kiosk.cmp.requests import write_update
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.vocabulary import BodyType
from tests.ca.bank import Bank, Talk, certificate_of, new_key, on_both

pytestmark = on_both
VALID, SUPERSEDED, REVOKED = CertificateState.VALID, CertificateState.SUPERSEDED, CertificateState.REVOKED
DAY = timedelta(days=1)
KEPT = Policy(old_certificate=OldCertificate.KEPT)
LATER = Policy(superseded_after=3 * DAY)


async def renew(bank: Bank, old: Signer, key: SoftwareKey | None = None) -> Signer:
    key = key or new_key()
    issued = await bank.client.update(old, key)
    await bank.client.confirm(issued)
    return Signer(key, issued.certificate, (bank.authority.issuing,))


async def look(bank: Bank) -> None:
    """What the server does every few seconds, once."""

    async def enough(_: float) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await bank.status.keep(enough)


async def told(bank: Bank, certificate: Certificate) -> tuple[bool, OCSPCertStatus]:
    """Whether it is on the CRL, and what OCSP says."""
    newest = x509.load_der_x509_crl((await bank.status.crl()).crl.der)
    builder = OCSPRequestBuilder().add_certificate(certificate.x509, bank.authority.issuing.x509, hashes.SHA256())
    answer = await bank.status.ocsp(builder.build().public_bytes(Encoding.DER))
    is_listed = newest.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
    return is_listed, load_der_ocsp_response(answer.der).certificate_status


@pytest.mark.parametrize("policy", [KEPT, LATER])
async def test_it_stays_valid_beside_its_successor(bank: Bank, policy: Policy) -> None:
    bank.obey(policy)
    old = bank.holder()
    new = await renew(bank, old)
    await look(bank)
    assert [bank.state(each.certificate) for each in (old, new)] == [VALID, VALID]
    assert await told(bank, old.certificate) == (False, OCSPCertStatus.GOOD)
    for each in (old, new):
        await bank.client.general(each)


@pytest.mark.parametrize("policy", [KEPT, LATER])
async def test_it_has_one_confirmed_successor_all_the_same(bank: Bank, policy: Policy) -> None:
    bank.obey(policy)
    old, key = bank.holder(), new_key()
    new = await renew(bank, old, key)
    with pytest.raises(Refused, match="certRevoked"):
        await bank.client.update(old, new_key())
    again = await bank.client.update(old, key)
    assert again.certificate == new.certificate
    await bank.client.confirm(again)
    assert [bank.state(each.certificate) for each in (old, new)] == [VALID, VALID]


async def test_the_successor_is_renewed_as_any_other(bank: Bank) -> None:
    bank.obey(KEPT)
    old = bank.holder()
    new = await renew(bank, old)
    bank.now = new.certificate.not_after - 10 * DAY
    newest = await renew(bank, new)
    assert [bank.state(each.certificate) for each in (new, newest)] == [VALID, VALID]


async def test_after_its_time_it_is_superseded_by_the_schedule(bank: Bank) -> None:
    bank.obey(LATER)
    old = bank.holder()
    new = await renew(bank, old)
    await look(bank)
    bank.now += 3 * DAY - timedelta(minutes=1)
    await look(bank)
    assert bank.state(old.certificate) is VALID
    bank.now += timedelta(minutes=6)
    await look(bank)
    assert [bank.state(each.certificate) for each in (old, new)] == [SUPERSEDED, VALID]
    assert await told(bank, old.certificate) == (True, OCSPCertStatus.REVOKED)
    with bank.book.read() as connection:
        (line,) = [each for each in audit.lines(connection) if each.act == Act.SUPERSEDED]
    assert (line.actor, line.serial) == (audit.SCHEDULE, old.certificate.serial)


async def test_what_was_revoked_meanwhile_keeps_its_reason(bank: Bank) -> None:
    bank.obey(LATER)
    old = bank.holder()
    await renew(bank, old)
    bank.revoke(old.certificate)
    bank.now += 4 * DAY
    await look(bank)
    assert (bank.state(old.certificate), bank.entry(old.certificate).reason) == (REVOKED, "keyCompromise")


@pytest.mark.parametrize("policy", [KEPT, LATER, Policy()])
async def test_whoever_was_revoked_before_the_confirmation_confirms_nothing(bank: Bank, policy: Policy) -> None:
    bank.obey(policy)
    old = bank.holder()
    talk = Talk(bank, old)
    new = certificate_of(await talk.say(BodyType.KUR, await write_update(old.certificate, new_key())))
    bank.revoke(old.certificate)
    assert (await talk.confirm()).body_type == BodyType.ERROR
    assert bank.state(new) is CertificateState.UNCONFIRMED


async def test_a_stricter_policy_holds_for_what_a_milder_one_has_let(bank: Bank) -> None:
    bank.obey(KEPT)
    old = bank.holder()
    await renew(bank, old)
    bank.obey(Policy())
    assert bank.state(old.certificate) is VALID
    await look(bank)
    assert bank.state(old.certificate) is SUPERSEDED


async def test_many_are_superseded_little_by_little(bank: Bank) -> None:
    bank.obey(KEPT)
    olds = [bank.holder() for _ in range(3)]
    for each in olds:
        await renew(bank, each)
    bank.obey(Policy())
    bank.status = StatusService(bank.authority, bank.book, bank.policy, most_at_once=2)
    await look(bank)
    assert [bank.state(each.certificate) for each in olds] == [SUPERSEDED, SUPERSEDED, VALID]
    await look(bank)
    assert bank.state(olds[2].certificate) is SUPERSEDED
