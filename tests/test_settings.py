from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kiosk.services import read_anchors
from kiosk.settings import CaSettings, Settings, SettingsError, load_settings, save_settings
from kiosk.tokens.process import Limits, ModuleSettings

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


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        load_settings(tmp_path / "missing.toml")
    with pytest.raises(SettingsError, match=r"ca\.roots"):
        read_anchors(tmp_path / "missing.pem")
