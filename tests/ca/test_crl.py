"""The CRL, from the ledger and over CMP (RFC 5280 §5, RFC 9483 §4.3.4)."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kiosk.ca import crl
from kiosk.ca.crl import Crl
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.cmp.general import CrlStatus, read_general, read_list, write_crl_statuses, write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.revocations import RevocationRequest, write_revocations
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CRL_STATUS_LIST, CRLS, CURRENT_CRL, BodyType, FailInfo
from tests.ca.bank import START, Bank, new_key, on_both, refusal, subject

pytestmark = on_both

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def current(bank: Bank) -> Crl:
    with bank.book.begin() as connection:
        return crl.current(connection, bank.authority, bank.policy, bank.now)


def reasons(listed: Crl) -> dict[int, str | None]:
    found = {}
    for entry in x509.load_der_x509_crl(listed.der):
        reason = next(
            (each.value.reason.value for each in entry.extensions if isinstance(each.value, x509.CRLReason)), None
        )
        found[entry.serial_number] = reason
    return found


def openssl_verify(chain: Path, list_: Path, certificate: Path) -> subprocess.CompletedProcess[str]:
    command = ["openssl", "verify", "-crl_check", "-attime", str(int(START.timestamp()))]
    files = ["-CAfile", str(chain), "-CRLfile", str(list_), str(certificate)]
    return subprocess.run([*command, *files], capture_output=True, text=True, check=False)


async def test_it_lists_what_is_revoked_and_why(bank: Bank) -> None:
    compromised, plain, old, rejecting, untouched = [bank.holder(name=f"H{number}") for number in range(5)]
    bank.revoke(compromised.certificate)
    await bank.ask(plain, BodyType.RR, write_revocations([RevocationRequest.of(plain.certificate)]))
    await bank.client.confirm(await bank.client.update(old, new_key()))
    rejected = await bank.client.update(rejecting, new_key())
    await bank.client.reject(rejected, "no")
    await bank.client.update(untouched, new_key())
    listed = current(bank)
    assert reasons(listed) == {
        compromised.certificate.serial_number: "keyCompromise",
        plain.certificate.serial_number: None,
        old.certificate.serial_number: "superseded",
        rejected.certificate.serial_number: "cessationOfOperation",
    }
    parsed = x509.load_der_x509_crl(listed.der)
    assert parsed.is_signature_valid(bank.authority.issuing.public_key)
    assert parsed.issuer == bank.authority.issuing.x509.subject
    assert parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == listed.number
    assert (parsed.last_update_utc, parsed.next_update_utc) == (START, START + 7 * DAY)


def test_it_is_kept_until_half_its_time_or_a_revocation(bank: Bank) -> None:
    holder = bank.holder()
    first = current(bank)
    bank.now += timedelta(days=3.5) - SECOND
    assert current(bank) == first
    bank.now += SECOND
    second = current(bank)
    assert (second.number, second.this_update) == (first.number + 1, bank.now)
    bank.revoke(holder.certificate)
    third = current(bank)
    assert third.number == second.number + 1
    assert set(reasons(third)) == {holder.certificate.serial_number}
    assert current(bank) == third


def test_a_clock_put_back_makes_a_new_one(bank: Bank) -> None:
    first = current(bank)
    bank.now -= DAY
    assert current(bank).number == first.number + 1


def test_what_has_ended_leaves_it_only_after_one_more_list(bank: Bank) -> None:
    holder = bank.holder(days_left=1)
    bank.revoke(holder.certificate)
    bank.now = holder.certificate.not_after + 7 * DAY
    assert set(reasons(current(bank))) == {holder.certificate.serial_number}
    bank.now += 4 * DAY
    assert reasons(current(bank)) == {}


def test_numbers_outlive_the_process(bank: Bank, tmp_path: Path) -> None:
    first = current(bank)
    with Ledger.open_beside(tmp_path) as beside, beside.begin() as connection:
        assert crl.current(connection, bank.authority, bank.policy, bank.now) == first
        again = crl.current(connection, bank.authority, Policy(crl_life=timedelta(minutes=1)), bank.now + DAY)
    assert again.number == first.number + 1
    assert current(bank) != first


def test_openssl_reads_it_and_refuses_the_revoked(bank: Bank, tmp_path: Path) -> None:
    good, bad = bank.holder(), bank.holder()
    bank.revoke(bad.certificate)
    (tmp_path / "crl.pem").write_bytes(x509.load_der_x509_crl(current(bank).der).public_bytes(Encoding.PEM))
    verdicts = []
    for holder in (good, bad):
        (tmp_path / "holder.pem").write_bytes(holder.certificate.x509.public_bytes(Encoding.PEM))
        done = openssl_verify(bank.authority.directory / "chain.pem", tmp_path / "crl.pem", tmp_path / "holder.pem")
        verdicts.append((done.returncode, "certificate revoked" in done.stdout + done.stderr))
    assert verdicts == [(0, False), (2, True)]


# --- over CMP ---------------------------------------------------------------------------------------------------------


async def told(bank: Bank, *asked: Info) -> list[Info]:
    answer = await bank.ask(bank.holder(), BodyType.GENM, write_general(asked))
    assert answer.body_type == BodyType.GENP
    return list(read_general(answer.body))


def status_list(issuer: bytes, moment: object = None) -> Info:
    return Info(CRL_STATUS_LIST, write_crl_statuses([CrlStatus(issuer, moment)]))  # type: ignore[arg-type]


async def test_the_current_crl(bank: Bank) -> None:
    assert await told(bank, Info(CURRENT_CRL)) == [Info(CURRENT_CRL, current(bank).der)]


async def test_a_crl_for_whoever_has_none(bank: Bank) -> None:
    (answer,) = await told(bank, status_list(bank.authority.issuing.subject_der))
    assert answer.kind == CRLS
    assert read_list(answer.value or b"") == (current(bank).der,)


async def test_a_newer_crl_or_nothing(bank: Bank) -> None:
    holder, issuer = bank.holder(), bank.authority.issuing.subject_der
    known = current(bank).this_update
    assert await told(bank, status_list(issuer, known)) == [Info(CRLS)]
    bank.now += SECOND
    bank.revoke(holder.certificate)
    (answer,) = await told(bank, status_list(issuer, known))
    assert read_list(answer.value or b"") == (current(bank).der,)


async def test_several_questions_at_once(bank: Bank) -> None:
    kinds = [each.kind for each in await told(bank, Info(CURRENT_CRL), Info(CA_CERTIFICATES))]
    assert sorted(kinds) == sorted([CURRENT_CRL, CA_CERTIFICATES])


@pytest.mark.parametrize("asked", ["another issuer", "two", "none"])
async def test_crls_of_others_are_not_told(bank: Bank, asked: str) -> None:
    mine = bank.authority.issuing.subject_der
    statuses = {"another issuer": [CrlStatus(subject().public_bytes())], "two": [CrlStatus(mine)] * 2, "none": []}
    question = Info(CRL_STATUS_LIST, write_crl_statuses(statuses[asked]))
    answer = await bank.ask(bank.holder(), BodyType.GENM, write_general([question]))
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.BAD_REQUEST})


async def test_a_status_list_that_is_none(bank: Bank) -> None:
    answer = await bank.ask(bank.holder(), BodyType.GENM, write_general([Info(CRL_STATUS_LIST)]))
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.BAD_DATA_FORMAT})
