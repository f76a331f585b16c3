from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.ca.authority import Authority, create_authority
from kiosk.certificates import (
    LARGEST_CERTIFICATE,
    UnreadableCertificate,
    UntrustedCertificate,
    check_path,
    read_certificate,
    read_certificate_file,
)
from kiosk.credentials import Holder, HolderKind, HolderRule, successor_key_id
from kiosk.demo_bank import manual_subject

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return create_authority(tmp_path_factory.mktemp("authority") / "ca", clock=lambda: NOW)


@pytest.fixture(scope="module")
def good(authority: Authority) -> bytes:
    return authority.issue(manual_subject(), KEY.public_key(), NOW, NOW + timedelta(days=365)).der


def self_signed(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_the_manuals_subject_is_told_line_by_line(good: bytes) -> None:
    certificate = read_certificate(good)
    assert [f"{line.name} = {line.value}" for line in certificate.subject] == [
        "Country = JP",
        "Organization = The Shinkin Banks Information System Center Co.,Ltd",
        "Organizational Unit = Shinkin Internet Banking Intermediate CA",
        "Organizational Unit = USER/PE - 2",
        "Organizational Unit = CERT/SUEDNUM - 3",
        "Common Name = TKYM1408054 1403",
    ]
    assert len(certificate.serial) == 32
    assert certificate.serial == certificate.serial.lower()
    assert len(successor_key_id(certificate)) == 16


def test_whose_it_is(good: bytes) -> None:
    assert HolderRule().holder_of(read_certificate(good)) == Holder("TKYM1408054", HolderKind.USER)
    administrators = HolderRule(administrator_pattern="^USER/")
    assert administrators.holder_of(read_certificate(good)).kind is HolderKind.ADMINISTRATOR
    assert HolderRule(id_pattern="no such (?P<id>x)").holder_of(read_certificate(good)).id == "TKYM1408054 1403"


def test_a_serial_is_whole_bytes() -> None:
    assert read_certificate(self_signed(KEY)).serial == "01"


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"no certificate", bytes(LARGEST_CERTIFICATE + 1)])
def test_rubbish_is_unreadable(der: bytes) -> None:
    with pytest.raises(UnreadableCertificate):
        read_certificate(der)


def test_a_key_nobody_can_verify_is_unreadable() -> None:
    with pytest.raises(UnreadableCertificate):
        read_certificate(self_signed(dsa.generate_private_key(2048)))


@settings(max_examples=2000)
@given(st.data())
def test_a_mutated_certificate_is_read_completely_or_not_at_all(good: bytes, data: st.DataObject) -> None:
    mutated = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadableCertificate):
        certificate = read_certificate(bytes(mutated))
        for each in fields(certificate):
            getattr(certificate, each.name)


def test_a_path_to_the_root(authority: Authority, good: bytes) -> None:
    check_path(read_certificate(good), roots=[authority.root], intermediates=[authority.issuing], at=NOW)


@pytest.mark.parametrize("at", [NOW - timedelta(days=1), NOW + timedelta(days=366)])
def test_no_path_outside_the_validity(authority: Authority, good: bytes, at: datetime) -> None:
    with pytest.raises(UntrustedCertificate):
        check_path(read_certificate(good), roots=[authority.root], intermediates=[authority.issuing], at=at)


def test_no_path_without_the_root_or_the_issuer(authority: Authority, good: bytes, tmp_path: Path) -> None:
    certificate = read_certificate(good)
    another = create_authority(tmp_path / "ca", clock=lambda: NOW)
    for roots, intermediates in (
        ([], [authority.issuing]),
        ([authority.root], []),
        ([another.root], [authority.issuing]),
        ([another.root], [another.issuing]),
    ):
        with pytest.raises(UntrustedCertificate):
            check_path(certificate, roots=roots, intermediates=intermediates, at=NOW)


def test_a_file_of_certificates(authority: Authority, tmp_path: Path) -> None:
    assert read_certificate_file(authority.directory / "chain.pem") == (authority.root, authority.issuing)
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        if path.name == "empty.pem":
            path.touch()
        with pytest.raises(UnreadableCertificate):
            read_certificate_file(path)
