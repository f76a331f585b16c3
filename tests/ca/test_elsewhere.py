"""Certificates that another CA has issued to our holders: they are in the ledger, and nothing more."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.ocsp import OCSPCertStatus
from sqlalchemy.exc import IntegrityError

from kiosk.ca import crl, holders, ledger
from kiosk.ca.authority import Authority, Names, create_authority
from kiosk.ca.policy import Policy
from kiosk.ca.profile import Issuer, Validity, holder_certificate, new_serial
from kiosk.ca.schema import CertificateState
from kiosk.certificates import Certificate
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.requests import write_request
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.vocabulary import CA_CERTIFICATES, BodyType, FailInfo
from kiosk.credentials import HolderKind
from tests.ca.bank import START, Bank, certificate_of, new_key, refusal, subject
from tests.ca.test_ocsp import ask


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    names = Names(issuing="Another Issuing CA", root="Another Root")
    return create_authority(tmp_path_factory.mktemp("elsewhere") / "ca", clock=lambda: START, names=names)


def enter(bank: Bank, certificate: Certificate, holder: str, state: CertificateState = CertificateState.VALID) -> None:
    with bank.book.begin() as connection:
        holders.ensure(connection, holder, HolderKind.USER, subject())
        ledger.record(connection, certificate, holder=holder, state=state, now=bank.now)


def issued(elsewhere: Authority, *, key: SoftwareKey | None = None, serial: int | None = None) -> Certificate:
    validity = Validity(START - timedelta(days=300), START + timedelta(days=20))
    issuer = Issuer(elsewhere.issuing_key, elsewhere.issuing)
    public_key = (key or new_key()).public_key
    return holder_certificate(issuer, subject(), public_key, validity, serial or new_serial(secrets.token_bytes))


async def test_they_sign_no_messages(bank: Bank, elsewhere: Authority) -> None:
    key = new_key()
    certificate = issued(elsewhere, key=key)
    enter(bank, certificate, "MOVED")
    stranger = Signer(key, certificate, (elsewhere.issuing,))
    answer = await bank.ask(stranger, BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.SIGNER_NOT_TRUSTED})


def test_one_serial_may_come_from_two_issuers_but_not_twice_from_one(bank: Bank, elsewhere: Authority) -> None:
    ours = bank.holder().certificate
    theirs = issued(elsewhere, serial=ours.serial_number)
    enter(bank, theirs, "MOVED")
    with bank.book.read() as connection:
        for each in (ours, theirs):
            found = ledger.find_serial(connection, ledger.issuer_hash(each.issuer_der), ours.serial)
            assert found is not None
            assert found.certificate == each
    with pytest.raises(IntegrityError):
        enter(bank, issued(elsewhere, serial=ours.serial_number), "MOVED")


def test_they_are_on_no_crl_of_ours(bank: Bank, elsewhere: Authority) -> None:
    enter(bank, issued(elsewhere), "MOVED", CertificateState.REVOKED)
    ours = bank.holder().certificate
    bank.revoke(ours)
    with bank.book.begin() as connection:
        made = crl.current(connection, bank.authority, bank.policy, bank.now)
    listed = x509.load_der_x509_crl(made.der)
    assert [each.serial_number for each in listed] == [ours.serial_number]


def test_ocsp_does_not_take_them_for_ours(bank: Bank, elsewhere: Authority) -> None:
    ours = bank.holder().certificate
    enter(bank, issued(elsewhere, serial=ours.serial_number), "MOVED", CertificateState.REVOKED)
    assert ask(bank, ours).certificate_status is OCSPCertStatus.GOOD
    enter(bank, other := issued(elsewhere), "MOVED", CertificateState.REVOKED)
    assert ask(bank, other).certificate_status is OCSPCertStatus.UNKNOWN


async def test_they_do_not_count_among_those_issued_to_a_holder(bank: Bank, elsewhere: Authority) -> None:
    bank.obey(Policy(most_certificates=2))
    signer = bank.holder()
    owner = bank.entry(signer.certificate).holder
    for _ in range(3):
        enter(bank, issued(elsewhere), owner)
    answer = await bank.ask(signer, BodyType.CR, await write_request(new_key()))
    assert certificate_of(answer).issuer_der == bank.authority.issuing.subject_der
    answer = await bank.ask(signer, BodyType.CR, await write_request(new_key()))
    assert refusal(answer) == (BodyType.CP, {FailInfo.BAD_REQUEST})
