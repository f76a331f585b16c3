"""`notices.toml`, and the password that is never in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiosk.notices.settings import (
    NoticeSettingsError,
    Security,
    SmtpSettings,
    load_notice_settings,
    read_password,
)

LEAST = 'from = "みほん信用金庫 <a@mihon.example>"\n[smtp]\nhost = "mail.mihon.example"\n'


def written(directory: Path, text: str) -> Path:
    (directory / "notices.toml").write_text(text, encoding="utf-8")
    return directory


def test_the_least_is_a_sender_and_a_host(tmp_path: Path) -> None:
    settings = load_notice_settings(written(tmp_path, LEAST))
    assert settings.mailbox.display_name == "みほん信用金庫"
    assert settings.days == {30, 10}
    assert (settings.smtp.security, settings.smtp.real_port) == (Security.STARTTLS, 587)
    assert settings.smtp.time_limit >= 600, "a server may take ten minutes to say that it has a mail"


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465)])
def test_each_security_has_its_port(tmp_path: Path, security: str, port: int) -> None:
    settings = load_notice_settings(written(tmp_path, f'{LEAST}security = "{security}"\n'))
    assert settings.smtp.real_port == port


def test_where_there_is_no_file_the_error_has_the_least_that_works(tmp_path: Path) -> None:
    with pytest.raises(NoticeSettingsError) as caught:
        load_notice_settings(tmp_path)
    told, example = str(caught.value).split(":\n", 1)
    assert "notices.toml is missing" in told
    assert load_notice_settings(written(tmp_path, example)).mailbox.addr_spec == "certificates@bank.example"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "missing required field `from`"),
        ('from = "X <a@b.example>"', "missing required field `smtp`"),
        ('from = "a@b.example"\n[smtp]\nhost = "h"', "no name of the bank"),
        ('from = "X <a>"\n[smtp]\nhost = "h"', "one name and one address"),
        ('from = "X <a@b.example>, Y <c@d.example>"\n[smtp]\nhost = "h"', "one name and one address"),
        ('from = "X <a@b.example>\\r\\nBcc: x@y.example"\n[smtp]\nhost = "h"', "cannot be printed"),
        (f'{LEAST}security = "none"', "only a server on this machine"),
        (f'{LEAST}user = "u"', "go together"),
        (f'{LEAST}password = "secret"', "unknown field `password`"),
        (f"{LEAST}per_minute = 0", "per_minute"),
        (f"days = []\n{LEAST}", "days"),
        (f'page = "a\\nb"\n{LEAST}', "page"),
        ("from = ", "Invalid"),
    ],
)
def test_what_is_not_understood_is_told_with_where_to_look(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(NoticeSettingsError) as caught:
        load_notice_settings(written(tmp_path, text))
    assert why in str(caught.value)
    assert "docs/notices.md" in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_in_the_clear_is_for_a_server_on_this_machine(host: str) -> None:
    assert SmtpSettings(host=host, security=Security.NONE).real_port == 25


def test_the_password_comes_from_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.touch(0o600)
    path.write_text("Grüße 42\n", encoding="utf-8")
    settings = SmtpSettings(host="h", user="u", password_file="password")
    assert read_password(tmp_path, settings) == "Grüße 42"
    assert "42" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (b"secret\n", 0o644, "open to everybody"),
        (b"", 0o600, "must hold the password"),
        (b"secret\nanother\n", 0o600, "must hold the password"),
        (b"secret\xff\n", 0o600, "must hold the password"),
        (b"secret" * 1000, 0o600, "must hold the password"),
        (None, 0, "cannot be read"),
    ],
)
def test_a_password_file_that_will_not_do_is_told_without_what_is_in_it(
    tmp_path: Path, content: bytes | None, mode: int, why: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(NoticeSettingsError) as caught:
        read_password(tmp_path, SmtpSettings(host="h", user="u", password_file=str(path)))
    assert why in str(caught.value)
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None or content is None
