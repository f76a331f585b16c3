"""What our CA issues, under somebody else's eyes: pkilint (RFC 5280)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint.bin import lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from kiosk.ca.authority import create_authority
from kiosk.ca.ledger import Ledger
from kiosk.certificates import Certificate, read_certificate
from kiosk.cmp.signing import SoftwareKey
from tests.ca.bank import START, Bank, new_key

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


def test_nothing_is_found_in_the_authoritys_own(bank: Bank, linter: Linter) -> None:
    authority = bank.authority
    tls, tls_root = (_read(path) for path in (authority.tls_certificate, authority.tls_root))
    chains = [
        (authority.root, authority.root),
        (authority.root, authority.issuing),
        (authority.issuing, authority.signer.certificate),
        (tls_root, tls_root),
        (tls_root, tls),
    ]
    for issuer, subject in chains:
        found = linter.certificate(subject) | linter.link(issuer, subject)
        assert found == set(), subject.x509.subject.rfc4514_string()


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
