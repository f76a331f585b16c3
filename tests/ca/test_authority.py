from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from kiosk.ca.authority import Authority, AuthorityDamaged, create_authority, load_authority
from kiosk.certificates import check_path
from kiosk.clock import one_year_after
from kiosk.cmp.vocabulary import CMC_CA
from tests.ca.bank import START, new_key, subject


def test_it_is_made_once(tmp_path: Path) -> None:
    first = create_authority(tmp_path / "ca", clock=lambda: START)
    again = create_authority(tmp_path / "ca", clock=lambda: START + timedelta(days=1))
    assert (again.root, again.issuing, again.signer.certificate) == (
        first.root,
        first.issuing,
        first.signer.certificate,
    )


def test_keys_are_private(authority: Authority) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(authority.directory) == 0o700
    keys = list(authority.directory.glob("*.key"))
    assert {key.name for key in keys} == {"root.key", "issuing.key", "signer.key", "tls.key"}
    assert {mode(key) for key in keys} == {0o600}


def test_what_a_killed_maker_left_is_swept_aside(tmp_path: Path) -> None:
    half = tmp_path / ".ca.new"
    half.mkdir()
    (half / "root.pem").write_text("half")
    create_authority(tmp_path / "ca", clock=lambda: START)
    assert [each.name for each in tmp_path.iterdir()] == ["ca"]


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    create_authority(tmp_path / "ca", clock=lambda: START)
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(AuthorityDamaged, match=r"root\.pem"):
        create_authority(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("name", ["root.pem", "issuing.pem", "issuing.key", "signer.key", "tls.pem", "tls-root.pem"])
def test_what_is_missing_or_damaged_is_named(tmp_path: Path, name: str) -> None:
    directory = create_authority(tmp_path / "ca", clock=lambda: START).directory
    (directory / name).write_text("damaged")
    with pytest.raises(AuthorityDamaged, match=name):
        load_authority(directory)
    (directory / name).unlink()
    with pytest.raises(AuthorityDamaged, match=name):
        load_authority(directory)


def test_a_key_of_another_certificate_is_damage(tmp_path: Path) -> None:
    directory = create_authority(tmp_path / "ca", clock=lambda: START).directory
    (directory / "signer.key").write_bytes((directory / "issuing.key").read_bytes())
    with pytest.raises(AuthorityDamaged, match=r"signer\.key"):
        load_authority(directory)


def test_who_answers_is_not_the_ca_and_may_do_nothing_else(authority: Authority) -> None:
    signer = authority.signer.certificate
    assert signer.purposes == {CMC_CA}
    assert signer.signs
    assert not authority.issuing.signs
    check_path(signer, roots=[authority.root], intermediates=[authority.issuing], at=START)


def test_old_certificates_lie_within_the_ca(authority: Authority) -> None:
    begin = START - timedelta(days=2 * 365)
    old = authority.issue(subject(), new_key().public_key, begin, begin + timedelta(days=365))
    check_path(old, roots=[authority.root], intermediates=[authority.issuing], at=begin)


def test_no_certificate_outlives_the_ca(authority: Authority) -> None:
    late = authority.issuing.not_after - timedelta(days=10)
    old = authority.issue(subject(), new_key().public_key, START, late)
    renewed = authority.renew(old, new_key().public_key, late, timedelta())
    assert renewed.not_after == authority.issuing.not_after < one_year_after(late)


def test_the_subject_is_kept_attribute_by_attribute_and_in_its_string_types(authority: Authority) -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "JP", _ASN1Type.PrintableString),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bank", _ASN1Type.PrintableString),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "銀行", _ASN1Type.UTF8String),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Old", _ASN1Type.T61String),
            x509.NameAttribute(NameOID.COMMON_NAME, "あ", _ASN1Type.BMPString),
        ]
    )
    end = START + timedelta(days=9)
    old = authority.issue(name, new_key().public_key, START, end)
    renewed = authority.renew(old, new_key().public_key, START, timedelta())
    assert name.public_bytes() in renewed.x509.tbs_certificate_bytes
    assert renewed.subject_der == old.subject_der == name.public_bytes()


def test_the_profile_of_a_holder(authority: Authority) -> None:
    certificate = authority.issue(subject(), new_key().public_key, START, START + timedelta(days=1))
    extensions = certificate.x509.extensions
    assert len(certificate.serial) == 32
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert extensions.get_extension_for_class(x509.KeyUsage).critical
    assert certificate.purposes == {"1.3.6.1.5.5.7.3.2"}
    issuer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer == authority.issuing.subject_key_identifier
    assert certificate.subject_key_identifier is not None
