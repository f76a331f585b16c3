"""docs/notices.md tells every option and setting, and its examples are such."""

from __future__ import annotations

import re
from pathlib import Path

import click
import msgspec
import pytest

from kiosk.ca.schema import NoticeState
from kiosk.notices.commands import notify
from kiosk.notices.report import COLUMNS
from kiosk.notices.settings import NoticeSettings, SmtpSettings, load_notice_settings
from tests.notices.pictures import LANGUAGES, picture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "notices.md").read_text(encoding="utf-8")
TOML = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_every_option_is_on_the_page() -> None:
    options = [name for each in notify.params if isinstance(each, click.Option) for name in each.opts]
    assert [name for name in options if name not in PAGE] == []


def test_the_least_settings_are_enough(tmp_path: Path) -> None:
    (tmp_path / "notices.toml").write_text(TOML[0], encoding="utf-8")
    assert load_notice_settings(tmp_path).smtp.host == "mail.mihon.example"


def test_everything_is_told_with_what_holds_where_it_is_left_out(tmp_path: Path) -> None:
    whole = TOML[1].replace('from = "…"', 'from = "X <x@y.example>"').replace('host = "…"', 'host = "h"')
    (tmp_path / "notices.toml").write_text(whole, encoding="utf-8")
    told, usual = load_notice_settings(tmp_path), 'from = "X <x@y.example>"\n[smtp]\nhost = "h"\n'
    (tmp_path / "notices.toml").write_text(usual, encoding="utf-8")
    assert told == load_notice_settings(tmp_path)
    named = set(re.findall(r"^(\w+) = ", whole, re.MULTILINE))
    fields = [each.encode_name for kind in (NoticeSettings, SmtpSettings) for each in msgspec.structs.fields(kind)]
    assert named == set(fields) - {"smtp"}


@pytest.mark.parametrize("state", NoticeState)
def test_every_state_is_told(state: NoticeState) -> None:
    assert f"| `{state}` |" in PAGE


def test_every_column_of_the_report_is_told() -> None:
    assert [name for name in COLUMNS if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_picture_is_there(language: str) -> None:
    assert f"pictures/{picture(language).name}" in PAGE
    assert picture(language).read_bytes().startswith(b"\x89PNG")
