"""A journal where nothing can be written, as an auditor gets it on a disc: read by an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kiosk.journal import Event, Journal
from tests.pc.ordinary_user import ordinary_home, root, way_to_become


def test_a_copy_is_verified_where_nothing_can_be_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.append("v", Event.VISIT_BEGUN, "", "", "", "", "")
    with ordinary_home() as home:
        way = way_to_become(home) if os.geteuid() == 0 else ()
        if way is None:
            pytest.skip("an ordinary user cannot run Python here")
        disc = home / "disc"
        disc.mkdir()
        shutil.copyfile(tmp_path / "journal.sqlite", disc / "journal.sqlite")
        (disc / "journal.sqlite").chmod(0o444)
        disc.chmod(0o555)
        command = [sys.executable, "-m", "kiosk", "journal", "verify", "--journal", str(disc / "journal.sqlite")]
        done = subprocess.run([*way, *command], cwd=root(), capture_output=True, text=True, check=False)
        left = [each.name for each in disc.iterdir()]
    assert (done.returncode, done.stderr) == (0, "")
    assert left == ["journal.sqlite"]
