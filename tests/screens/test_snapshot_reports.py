"""A snapshot that fails, side by side with others: the report is written, and tells no PIN that was typed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CANARY = "48151623"
FAILING = """
from pathlib import Path

import pytest

from tests.screens.gallery import gallery_app
from tests.screens.stage import SIZE


async def typed(pilot):
    await pilot.pause()
    await pilot.press(*map(str, map(int, Path(__file__).with_name("digits").read_text().split())))
    await pilot.pause()


@pytest.mark.parametrize("name", ["pin", "pin-change-present", "pin-change-new"])
def test_screen(name, snap_compare):
    assert snap_compare(gallery_app(name), terminal_size=SIZE, run_before=typed)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A test of snapshots of its own, with pictures in which nothing is typed."""
    (tmp_path / "test_snapshots.py").write_text(FAILING)
    (tmp_path / "digits").write_text(" ".join(CANARY))
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    pictures = PROJECT / "tests" / "screens" / "__snapshots__"
    shutil.copytree(pictures, tmp_path / "__snapshots__")
    return tmp_path


def run(copy: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pytest.ini", *options]
    path = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "HOME": str(copy), "PYTHONUTF8": "1"}
    return subprocess.run([*command, "test_snapshots.py"], cwd=copy, env=path, capture_output=True, text=True)


def test_a_report_is_written_side_by_side_and_tells_no_pin(copy: Path) -> None:
    failed = run(copy, "-n", "2", "-l")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    report = (copy / "snapshot_report.html").read_text(encoding="utf-8")
    assert "pin-change-new" in report
    assert "●" in report, "the digits were typed"
    for told in (report, failed.stdout, failed.stderr):
        assert CANARY not in told


def test_taken_anew_they_hold(copy: Path) -> None:
    """As `make snapshots` does, and then `make test`."""
    run(copy, "-n", "0", "--snapshot-update")
    for workers in ("0", "2"):
        again = run(copy, "-n", workers)
        assert again.returncode == 0, again.stdout + again.stderr
