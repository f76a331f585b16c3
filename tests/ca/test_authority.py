from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from kiosk.ca.authority import Authority, AuthorityDamaged, create_authority, load_authority
from kiosk.ca.passphrase import PASSPHRASE_FILE
from kiosk.ca.policy import Policy
from kiosk.ca.profile import Purpose
from kiosk.certificates import Certificate, check_path, read_certificate_file
from kiosk.clock import months_after, one_year_after
from kiosk.cmp.signing import PrivateKey
from kiosk.cmp.vocabulary import CLIENT_AUTH, CMC_CA
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
    assert {key.name for key in keys} == {"root.key", "issuing.key", "signer.key", "ocsp.key", "tls.key", "codes.key"}
    assert {mode(key) for key in [*keys, authority.directory / PASSPHRASE_FILE]} == {0o600}


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


@pytest.mark.parametrize(
    "name",
    [
        "root.pem",
        "issuing.pem",
        "issuing.key",
        "signer.key",
        "ocsp.pem",
        "ocsp.key",
        "tls.pem",
        "tls.key",
        "tls-root.pem",
    ],
)
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
    renewed = authority.issue_by(Policy(back_dating=timedelta()), old.x509.subject, new_key().public_key, late)
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
    renewed = authority.issue_by(Policy(back_dating=timedelta()), old.x509.subject, new_key().public_key, START)
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


def test_the_profile_of_a_bank(authority: Authority) -> None:
    policy = Policy(
        validity_months=6,
        purposes=frozenset(Purpose),
        content_commitment=True,
        email_in_certificate=True,
        certificate_policies=("1.2.392.200091.1", "2.5.29.32.0"),
        practice_statement="https://example.jp/cps",
    )
    certificate = authority.issue_by(policy, subject(), new_key().public_key, START, "taro@example.jp")
    extensions = certificate.x509.extensions
    assert certificate.not_after == months_after(START, 6)
    assert extensions.get_extension_for_class(x509.KeyUsage).value.content_commitment
    assert certificate.purposes == {
        *("1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.311.20.2.2")
    }
    policies = list(extensions.get_extension_for_class(x509.CertificatePolicies).value)
    assert [each.policy_identifier.dotted_string for each in policies] == ["1.2.392.200091.1", "2.5.29.32.0"]
    assert [each.policy_qualifiers for each in policies] == [["https://example.jp/cps"]] * 2
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["taro@example.jp"]
    unknown = authority.issue_by(policy, subject(), new_key().public_key, START).x509.extensions
    with pytest.raises(x509.ExtensionNotFound):
        unknown.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_link_leads_to_where_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "disk" / "ca").mkdir(parents=True)
    (tmp_path / "ca").symlink_to(tmp_path / "disk" / "ca")
    (tmp_path / "new").symlink_to(tmp_path / "disk" / "new")
    for name in ("ca", "new"):
        made = create_authority(tmp_path / name, clock=lambda: START)
        assert load_authority(tmp_path / name).issuing == made.issuing
        assert (tmp_path / name).is_symlink()
    assert {each.name for each in (tmp_path / "disk").iterdir()} == {"ca", "new"}


def test_what_fails_leaves_nothing_half_made(tmp_path: Path) -> None:
    def run_dry(_: int) -> bytes:
        raise OSError("no entropy")

    with pytest.raises(OSError, match="entropy"):
        create_authority(tmp_path / "ca", random=run_dry)
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Profile:
    usage: set[str]
    path_length: int | None = None
    is_authority: bool = False
    purposes: frozenset[str] = frozenset()


AUTHORITY_USAGE = {"key_cert_sign", "crl_sign"}


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("root", Profile(AUTHORITY_USAGE, 1, is_authority=True)),
        ("issuing", Profile(AUTHORITY_USAGE, 0, is_authority=True)),
        ("tls-root", Profile(AUTHORITY_USAGE, 0, is_authority=True)),
        ("signer", Profile({"digital_signature"}, purposes=frozenset({CMC_CA}))),
        ("ocsp", Profile({"digital_signature"}, purposes=frozenset({"1.3.6.1.5.5.7.3.9"}))),
        ("tls", Profile({"digital_signature"}, purposes=frozenset({"1.3.6.1.5.5.7.3.1"}))),
    ],
)
def test_each_certificate_may_do_its_work_and_nothing_else(authority: Authority, name: str, profile: Profile) -> None:
    (certificate,) = read_certificate_file(authority.directory / f"{name}.pem")
    assert profile_of(certificate) == profile


@pytest.mark.parametrize(
    ("key", "usage"),
    [
        (ec.generate_private_key(ec.SECP256R1()), {"digital_signature"}),
        (rsa.generate_private_key(65537, 2048), {"digital_signature", "key_encipherment"}),
    ],
    ids=["ec", "rsa"],
)
def test_a_holder_may_sign_and_log_in(authority: Authority, key: PrivateKey, usage: set[str]) -> None:
    certificate = authority.issue(subject(), key.public_key(), START, START + timedelta(days=1))
    assert profile_of(certificate) == Profile(usage, purposes=frozenset({CLIENT_AUTH}))


def profile_of(certificate: Certificate) -> Profile:
    extensions = certificate.x509.extensions
    usage, constraints = (
        extensions.get_extension_for_class(x509.KeyUsage),
        extensions.get_extension_for_class(x509.BasicConstraints),
    )
    assert usage.critical
    assert constraints.critical
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    granted = {name for name in [*names, "key_cert_sign", "crl_sign"] if getattr(usage.value, name)}
    return Profile(granted, constraints.value.path_length, constraints.value.ca, certificate.purposes)
