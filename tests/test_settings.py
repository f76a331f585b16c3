from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kiosk.cmp.algorithms import Family
from kiosk.cmp.mac import MacKind
from kiosk.cmp.peer import PRESETS, Confirming, Operation, Peer, Polling, Resume, SignerRule
from kiosk.cmp.vocabulary import CMC_CA
from kiosk.services import open_services, read_anchors
from kiosk.settings import CaSettings, Settings, SettingsError, load_settings, save_settings
from kiosk.tokens.process import Limits, ModuleSettings
from kiosk.tokens.wire import KeyKind
from tests.cmp.pki import Pki

SETTINGS = Settings(
    token=ModuleSettings("/usr/lib/module.so", {"CONF": "/etc/x"}, Limits(look=1.0)),
    ca=CaSettings("https://ca/.well-known/cmp", "roots.pem", "tls.pem"),
    journal="journal.sqlite",
)


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "kiosk.toml"
    save_settings(SETTINGS, path)
    assert load_settings(path) == SETTINGS
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "rule",
    [
        {"holder_id": r"^(\S+)"},
        {"holder_id": "("},
        {"administrator": "["},
        {"zone": "Asia/Tokio"},
        {"key_kinds": ["rsa2048"]},
        {"pin_shortest": 9, "pin_longest": 8},
        {"idle_seconds": -1},
        {"idle_warning_seconds": 5},
        {"pin_tries": 0},
    ],
)
def test_a_rule_that_would_fail_in_front_of_a_customer_is_refused_at_once(
    tmp_path: Path, rule: dict[str, object]
) -> None:
    path = tmp_path / "kiosk.toml"
    save_settings(SETTINGS, path)
    told = msgspec.toml.decode(path.read_bytes())
    told["policy"].update(rule)
    path.write_bytes(msgspec.toml.encode(told))
    with pytest.raises(SettingsError):
        load_settings(path)


@pytest.mark.parametrize(
    "told",
    [
        {"help_page": ""},
        {"help_page": "javascript:alert(1)"},
        {"help_page": "https://example.jp/ x"},
        {"help_page": "https://example.jp/\n"},
        {"help_page": "https://example.jp/" + "x" * 300},
        {"help_url": "ftp://example.jp/"},
    ],
)
def test_an_address_that_could_not_be_shown_or_called_is_refused_at_once(
    tmp_path: Path, told: dict[str, object]
) -> None:
    path = tmp_path / "kiosk.toml"
    save_settings(SETTINGS, path)
    settings = msgspec.toml.decode(path.read_bytes())
    settings["branch"].update(told)
    path.write_bytes(msgspec.toml.encode(settings))
    with pytest.raises(SettingsError):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "token"),
        ("[token", "not understood"),
        ("journal = 'x'\n[token]\nmodule = 'm'\n[ca]\nurl = 1\nroots = 'r'\ntls_roots = 't'\n", "ca.url"),
        ("jurnal = 'x'\n", "jurnal"),
        ("journal = 'x'\n[token]\nmodul = 'm'\n", "modul"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "kiosk.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=says):
        load_settings(path)


def test_settings_in_another_encoding_are_named(tmp_path: Path) -> None:
    path = tmp_path / "kiosk.toml"
    path.write_bytes('journal = "記録"'.encode("shift_jis"))
    with pytest.raises(SettingsError, match="not understood"):
        load_settings(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        load_settings(tmp_path / "missing.toml")
    with pytest.raises(SettingsError, match=r"ca\.roots"):
        read_anchors(tmp_path / "missing.pem")


def settings_with(tmp_path: Path, **told: object) -> Path:
    """A settings file that says this of the CA."""
    path = tmp_path / "kiosk.toml"
    save_settings(SETTINGS, path)
    settings = msgspec.toml.decode(path.read_bytes())
    settings["ca"].update(told)
    path.write_bytes(msgspec.toml.encode(settings))
    return path


BAD_CA_SETTINGS: dict[str, object] = {
    "url": "ldap://ca.example.jp/",
    "ocsp_url": "ldap://ca.example.jp/",
    "crl_url": "file:///crl.der",
    "revocation": "perhaps",
    "preset": "microsoft",
    "profile": "a/b",
    "operation_labels": "yes",
    "recipient": "no name",
    "signer_rule": "anybody",
    "signer_purpose": "cmcCA",
    "protections": [],
    "request_protection": "ecdsa",
    "code_protection": "hmac",
    "newest_version": 1,
    "confirming": "never",
    "unconfirmed_ends": 1,
    "polls": "no",
    "poll_seconds": 0,
    "poll_longest_wait": 0.5,
    "answers_general": "no",
    "subject_in_update": "no",
    "old_certificate_in_update": "no",
    "ca_pubs_ignored": "no",
    "key_kinds": ["rsa-1024"],
    "time_window": 0,
    "time_limit": 0,
    "retry_seconds": -1,
    "retry_longest_wait": 0.5,
    "resume": "maybe",
    "roots": 1,
    "tls_roots": 1,
    "pinned_signers": 1,
}
"""A value that is not understood, for each setting of the CA."""


def test_every_setting_of_the_ca_has_a_bad_value() -> None:
    assert set(BAD_CA_SETTINGS) == {field.name for field in msgspec.structs.fields(CaSettings)}


@pytest.mark.parametrize("name", BAD_CA_SETTINGS)
def test_a_bad_setting_of_the_ca_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings(settings_with(tmp_path, **{name: BAD_CA_SETTINGS[name]}))


def test_pinned_signers_alone_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="pinned_signers"):
        load_settings(settings_with(tmp_path, signer_rule="pinned"))
    load_settings(settings_with(tmp_path, signer_rule="pinned", pinned_signers="signers.pem"))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_alone_says_everything(tmp_path: Path, preset: str) -> None:
    assert load_settings(settings_with(tmp_path, preset=preset)).ca.peer == PRESETS[preset]


def test_what_is_told_stands_above_the_preset(tmp_path: Path) -> None:
    told = {
        "preset": "ejbca",
        "profile": "customers",
        "operation_labels": True,
        "recipient": "CN=Issuing CA,O=Bank,C=JP",
        "signer_rule": "purpose",
        "signer_purpose": "1.3.6.1.5.5.7.3.28",
        "protections": ["ecdsa", "pbmac1"],
        "request_protection": "rsa-pss",
        "code_protection": "pbmac1",
        "newest_version": 3,
        "confirming": "none",
        "unconfirmed_ends": True,
        "polls": True,
        "poll_seconds": 90,
        "poll_longest_wait": 30,
        "answers_general": True,
        "subject_in_update": False,
        "old_certificate_in_update": False,
        "ca_pubs_ignored": False,
        "key_kinds": ["ec-p256"],
        "time_window": 60,
        "resume": "same-key",
    }
    path = settings_with(tmp_path, **told)
    peer = load_settings(path).ca.peer
    recipient = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bank"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Issuing CA"),
        ]
    )
    assert peer == Peer(
        profile="customers",
        operation_labels=True,
        recipient=recipient.public_bytes(),
        signer_rule=SignerRule.PURPOSE,
        signer_purpose="1.3.6.1.5.5.7.3.28",
        protections=frozenset({Family.ECDSA, Family.PBMAC1}),
        request_protection=Family.RSA_PSS,
        code_protection=MacKind.PBMAC1,
        newest_version=3,
        confirming=Confirming.NONE,
        unconfirmed_ends=True,
        polls=True,
        polling=Polling(total=90, longest_wait=30),
        answers_general=True,
        subject_in_update=False,
        old_certificate_in_update=False,
        ca_pubs_ignored=False,
        key_kinds=frozenset({KeyKind.EC_P256}),
        time_window=timedelta(seconds=60),
        resume=Resume.SAME_KEY,
    )
    assert {field.name for field in fields(Peer)} - {"polling"} <= set(told), "each can be told"
    save_settings(load_settings(path), path)
    assert load_settings(path).ca.peer == peer


async def test_files_of_signers(tmp_path: Path) -> None:
    root = Pki().root.certificate.x509.public_bytes(Encoding.PEM)
    (tmp_path / "roots.pem").write_bytes(root)
    (tmp_path / "none.pem").write_text("none")
    roots = str(tmp_path / "roots.pem")
    ca = CaSettings("https://ca/", roots, roots, pinned_signers=str(tmp_path / "none.pem"))
    settings = msgspec.structs.replace(SETTINGS, ca=ca, journal=str(tmp_path / "journal.sqlite"))
    with pytest.raises(SettingsError, match=r"ca\.pinned_signers"):
        async with open_services(settings):
            pass
    (tmp_path / "none.pem").write_bytes(root)
    async with open_services(settings) as services:
        assert services.peer == PRESETS["kiosk"]


def test_addresses_of_a_peer() -> None:
    peer = Peer(profile="bank", operation_labels=True)
    operation = Operation.KEY_UPDATE
    assert Peer().address("http://ca/cmp/alias?x=1", operation) == "http://ca/cmp/alias?x=1"
    assert Peer().address("http://ca/", operation) == "http://ca/"
    assert peer.address("http://ca/.well-known/cmp", operation) == "http://ca/.well-known/cmp/p/bank/keyupdate"
    assert peer.address("http://ca/cmp/?x=1", operation) == "http://ca/cmp/p/bank/keyupdate?x=1"


PAGE = (Path(__file__).parent.parent / "docs" / "other-cas.md").read_text(encoding="utf-8")
NOT_OF_A_PRESET = {"preset", "url", "roots", "tls_roots", "time_limit", "pinned_signers", "recipient"}
NOT_OF_A_PRESET |= {"revocation", "ocsp_url", "crl_url", "retry_seconds", "retry_longest_wait"}


def as_told(value: object) -> str:
    """As the page writes it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case timedelta():
            return f"{value.total_seconds():.0f}"
        case float():
            return f"{value:.0f}"
        case "":
            return "none"
        case frozenset():
            return "all"
        case _:
            return str(value)


def test_the_page_about_other_cas_tells_every_setting_as_it_is() -> None:
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if "|" in line]
    told = {name.strip("` "): columns for first, *columns in rows for name in first.split(",")}
    settings = {each.name for each in msgspec.structs.fields(CaSettings)}
    assert settings <= set(told)
    for number, peer in enumerate(PRESETS.values()):
        known = {name: getattr(peer, name) for name in settings - NOT_OF_A_PRESET if hasattr(peer, name)}
        known |= {"poll_seconds": peer.polling.total, "poll_longest_wait": peer.polling.longest_wait}
        assert set(known) == settings - NOT_OF_A_PRESET
        if peer.signer_rule is SignerRule.ISSUER:
            del known["signer_purpose"]
        known = {name: as_told(value) for name, value in known.items()} | {"newest_version": str(peer.newest_version)}
        if "signer_purpose" in known:
            assert known["signer_purpose"] == CMC_CA
            known["signer_purpose"] = "cmcCA"
        assert {name: told[name][number] for name in known} == known


def test_the_examples_for_other_cas_are_understood() -> None:
    examples = [block.partition("```")[0] for block in PAGE.split("```toml\n")[1:]]
    presets = [msgspec.convert(msgspec.toml.decode(each)["ca"], CaSettings).preset for each in examples]
    assert presets == ["ejbca", "rfc9483"]
