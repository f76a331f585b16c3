"""`kiosk demo --plain --yes --into pc`, and what NSS's own tool says about its work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.program.command import kiosk, last_line
from tests.program.descendants import watching_descendants


@pytest.mark.parametrize("key", ["rsa-2048", "ec-p256"])
def test_certutil_lists_what_was_renewed(tmp_path: Path, key: str) -> None:
    directory = tmp_path / "a demo"
    with watching_descendants() as descendants:
        done = kiosk("demo", "--plain", "--yes", "--into", "pc", "--key", key, "--directory", directory)
        assert descendants.running() == []
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        ["certutil", "-L", "-d", f"sql:{directory}/home/.pki/nssdb"], capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"^TKYM1408054 1403 +(\S+)$", listed, re.MULTILINE) == ["u,u,u"]
    assert f"シリアル番号 = {last_line(done)['new_serial']}" in done.stdout
    assert "ブラウザを一度終了してください。" in done.stdout


def test_the_next_demo_logs_in_with_what_was_saved(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    saved = kiosk("demo", "--plain", "--yes", "--into", "pc", "--key", "ec-p256", "--directory", directory)
    again = kiosk("demo", "--plain", "--yes", "--from", "pc", "--keep", "--language", "en", "--directory", directory)
    assert f"Serial number = {last_line(saved)['new_serial']}" in again.stdout
    assert "Change PIN" not in again.stdout
    assert last_line(again) == {}, "there was nothing to renew, and nothing went wrong"


def test_the_full_screen_demo_has_a_button_for_that() -> None:
    assert "the first screen has a button" in kiosk("demo", "--from", "pc").stderr
