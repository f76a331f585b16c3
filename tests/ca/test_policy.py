from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from kiosk.ca.policy import Policy, PolicyError, load_policy
from kiosk.ca.schema import PromiseKind
from kiosk.cmp.algorithms import Family


def test_without_a_file_the_usual_rules_hold(tmp_path: Path) -> None:
    assert load_policy(tmp_path) == Policy()


def test_what_differs_between_banks_is_data(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(
        """
        window_days = 40
        confirmation = "P7D"
        pause = "PT30M"
        approval = ["code", "additional"]
        protections = ["ecdsa", "rsa-pss", "pbmac1"]
        key_kinds = ["ec-p384"]
        additional_certificates = false
        user_units = ["USERS"]
        """
    )
    assert load_policy(tmp_path) == Policy(
        window_days=40,
        confirmation=timedelta(days=7),
        pause=timedelta(minutes=30),
        approval=frozenset({PromiseKind.CODE, PromiseKind.ADDITIONAL}),
        protections=frozenset({Family.ECDSA, Family.RSA_PSS, Family.PBMAC1}),
        key_kinds=frozenset({"ec-p384"}),
        additional_certificates=False,
        user_units=("USERS",),
    )


def test_the_documented_rules_are_those_that_hold() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ca.md").read_text(encoding="utf-8")
    rules = page.partition("```toml\n")[2].partition("```")[0]
    assert msgspec.toml.decode(rules, type=Policy) == Policy()
    assert set(tomllib.loads(rules)) == set(Policy.__struct_fields__)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("windw_days = 40", "windw_days"),
        ('window_days = "40"', "window_days"),
        ("confirmation = 14", "confirmation"),
        ('confirmation = "-P1D"', "confirmation"),
        ('confirmation = "two weeks"', "confirmation"),
        ('status_life = "PT59S"', "status_life"),
        ('status_url = "https://pki.example.jp"', "status_url"),
        ('status_url = "http://pki.example.jp/"', "status_url"),
        ('status_url = "http://pki.example.jp/a b"', "status_url"),
        ('approval = ["everything"]', "approval"),
        ('protections = ["sha-1"]', "protections"),
        ("protections = []", "protections"),
        ('key_kinds = ["rsa-1024"]', "key_kinds"),
        ("key_kinds = []", "key_kinds"),
        ("most_tries = 0", "most_tries"),
        ('common_name = "{name} {id}"', "common_name"),
        ('common_name = "{id}{name}"', "common_name"),
        ('common_name = "{id} {name} {name}"', "common_name"),
        ('common_name = "{id} {serial}"', "common_name"),
        ('old_certificate = "removed"', "old_certificate"),
        ('superseded_after = "-P1D"', "superseded_after"),
        ("validity_months = 0", "validity_months"),
        ("validity_months = 121", "validity_months"),
        ('purposes = ["emailProtection"]', "clientAuth among them"),
        ('purposes = ["clientAuth", "OCSPSigning"]', "purposes"),
        ('purposes = ["clientAuth", "1.3.6.1.5.5.7.3.27"]', "purposes"),
        ('certificate_policies = ["anything"]', "certificate_policies"),
        ('certificate_policies = ["1.2.3..4"]', "1.2.3..4 is no OID"),
        ('certificate_policies = ["1.99.1"]', "1.99.1 is no OID"),
        ('practice_statement = "https://example.jp/cps"', "certificate_policies"),
        ('practice_statement = "example.jp"', "practice_statement"),
        ("most_iterations = 99", "most_iterations"),
        ("most_iterations = 100001", "most_iterations"),
        ('crl_life = "PT1S"', "crl_life"),
        ("this is no TOML", "policy.toml"),
    ],
)
def test_what_is_not_understood_is_told_with_where(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(PolicyError, match=told) as caught:
        load_policy(tmp_path)
    assert str(tmp_path / "policy.toml") in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").mkdir()
    with pytest.raises(PolicyError, match=r"policy\.toml cannot be read"):
        load_policy(tmp_path)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="not understood"):
        load_policy(tmp_path)
