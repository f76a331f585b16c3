"""What our CA issues and tells, under somebody else's eyes: pkilint (RFC 5280, RFC 6960)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint.bin import lint_crl, lint_ocsp_response, lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from kiosk.ca import holders
from kiosk.ca.authority import create_authority
from kiosk.ca.crl import up_to_date
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.profile import Purpose
from kiosk.ca.revoking import REASONS, put_on_crl
from kiosk.certificates import Certificate, read_certificate
from kiosk.cmp.signing import SoftwareKey
from tests.ca.bank import START, Bank, new_key
from tests.ca.test_ocsp import request

HARMLESS = {"pkix.subject_key_identifier_method_1_identified"}
"""By which method of RFC 5280 §4.2.1.2 the key identifier was made."""


@dataclass
class Linter:
    directory: Path
    capture: pytest.CaptureFixture[str]

    def certificate(self, certificate: Certificate | x509.Certificate) -> set[tuple[str, str]]:
        """What is found in one certificate: severity and name of each finding that is not harmless."""
        lint_pkix_cert.main(["lint", "-f", "JSON", self._write(certificate, "one")])
        return self._findings()

    def link(self, issuer: Certificate, subject: Certificate) -> set[tuple[str, str]]:
        """What is found between two."""
        files = [self._write(issuer, "issuer"), self._write(subject, "subject")]
        lint_pkix_signer_signee_cert_chain.main(["lint", "-f", "JSON", *files])
        return self._findings()

    def crl(self, der: bytes) -> set[tuple[str, str]]:
        """What is found in a CRL."""
        lint_crl.main(["lint", "-t", "CRL", "-p", "PKIX", "-f", "JSON", self._keep(der)])
        return self._findings()

    def ocsp(self, der: bytes) -> set[tuple[str, str]]:
        """What is found in an OCSP answer."""
        lint_ocsp_response.main(["lint", "-f", "JSON", self._keep(der)])
        return self._findings()

    def _keep(self, der: bytes) -> str:
        path = self.directory / "told.der"
        path.write_bytes(der)
        return str(path)

    def _write(self, certificate: Certificate | x509.Certificate, name: str) -> str:
        path = self.directory / f"{name}.pem"
        content = certificate if isinstance(certificate, x509.Certificate) else certificate.x509
        path.write_bytes(content.public_bytes(Encoding.PEM))
        return str(path)

    def _findings(self) -> set[tuple[str, str]]:
        results = json.loads(self.capture.readouterr().out)["results"]
        found = [each for result in results for each in result["finding_descriptions"]]
        return {(each["severity"], each["code"]) for each in found if each["code"] not in HARMLESS}


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    authority = create_authority(tmp_path / "ca", clock=lambda: START)
    with Ledger.open(tmp_path) as book:
        yield Bank(authority, book)


@pytest.fixture
def linter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Linter:
    return Linter(tmp_path, capsys)


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p256"])
async def test_nothing_is_found_in_what_a_holder_gets(bank: Bank, linter: Linter, kind: str) -> None:
    key = SoftwareKey(rsa.generate_private_key(65537, 2048)) if kind == "rsa-2048" else new_key()
    issued = await bank.client.update(bank.holder(), key)
    assert linter.certificate(issued.certificate) == set()
    assert linter.link(bank.authority.issuing, issued.certificate) == set()


async def test_nothing_is_found_where_a_certificate_says_who_tells_its_status(bank: Bank, linter: Linter) -> None:
    bank.authority = replace(bank.authority, status_url="http://pki.example.jp")
    bank.obey(bank.policy)
    issued = await bank.client.update(bank.holder(), new_key())
    assert b"http://pki.example.jp/ocsp" in issued.certificate.der
    assert linter.certificate(issued.certificate) == set()
    assert linter.link(bank.authority.issuing, issued.certificate) == set()


async def test_nothing_is_found_in_what_another_bank_wants_in_it(bank: Bank, linter: Linter) -> None:
    bank.obey(
        Policy(
            purposes=frozenset({Purpose.CLIENT_AUTH, Purpose.EMAIL_PROTECTION}),
            content_commitment=True,
            email_in_certificate=True,
            certificate_policies=("1.2.392.200091.1",),
        )
    )
    old = bank.holder()
    holder_id = bank.entry(old.certificate).holder
    with bank.book.begin() as connection:
        owner = holders.get(connection, holder_id)
        holders.change_all(connection, [replace(owner, email="taro@example.jp")])
    assert linter.certificate((await bank.client.update(old, new_key())).certificate) == set()


def test_nothing_is_found_in_a_crl(bank: Bank, linter: Linter) -> None:
    """Empty, and with an entry for each reason."""
    assert linter.crl(up_to_date(bank.book, bank.authority, bank.policy, bank.now).der) == set()
    for reason in REASONS.values():
        entry = bank.entry(bank.holder().certificate)
        with bank.book.begin() as connection:
            assert put_on_crl(connection, entry, reason, bank.now)
    full = up_to_date(bank.book, bank.authority, bank.policy, bank.now).der
    assert len(x509.load_der_x509_crl(full)) == len(REASONS)
    assert linter.crl(full) == set()


async def test_nothing_is_found_in_an_ocsp_answer(bank: Bank, linter: Linter) -> None:
    good, bad = bank.holder().certificate, bank.holder().certificate
    bank.revoke(bad)
    questions = [
        request(good, bank.authority.issuing),
        request(bad, bank.authority.issuing, x509.OCSPNonce(b"n" * 32)),
        request(7, bank.authority.issuing),
        b"no request",
    ]
    for asked in questions:
        assert linter.ocsp((await bank.status.ocsp(asked)).der) == set()


def test_nothing_is_found_in_the_authoritys_own(bank: Bank, linter: Linter) -> None:
    authority = bank.authority
    tls, tls_root = (_read(path) for path in (authority.tls_certificate, authority.tls_root))
    chains = [
        (authority.root, authority.root),
        (authority.root, authority.issuing),
        (authority.issuing, authority.signer.certificate),
        (authority.issuing, authority.ocsp),
        (tls_root, tls_root),
        (tls_root, tls),
    ]
    for issuer, subject in chains:
        found = linter.certificate(subject) | linter.link(issuer, subject)
        assert found == set(), subject.x509.subject.rfc4514_string()


def test_the_linter_finds_what_is_there_in_a_crl(bank: Bank, linter: Linter) -> None:
    """One without a number and without its issuer's key."""
    bare = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(bank.authority.issuing.x509.subject)
        .last_update(bank.now)
        .next_update(bank.now.replace(year=bank.now.year + 1))
        .sign(bank.authority.issuing_key, hashes.SHA256())
    )
    assert {severity for severity, _ in linter.crl(bare.public_bytes(Encoding.DER))} >= {"ERROR"}


async def test_the_linter_finds_what_is_there(bank: Bank, linter: Linter) -> None:
    """A certificate without extensions, and one by another issuer."""
    holder = bank.holder().certificate
    now = bank.now
    bare = (
        x509.CertificateBuilder()
        .subject_name(holder.x509.subject)
        .issuer_name(bank.authority.issuing.x509.subject)
        .public_key(holder.public_key)
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now.replace(year=now.year + 1))
        .add_extension(x509.KeyUsage(*[False] * 9), critical=True)
        .sign(bank.authority.issuing_key, hashes.SHA256())
    )
    assert {severity for severity, _ in linter.certificate(bare)} >= {"ERROR"}
    assert {severity for severity, _ in linter.link(bank.authority.root, holder)} >= {"ERROR"}


def _read(path: Path) -> Certificate:
    return read_certificate(x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER))
