"""The systemd units in assets/units: systemd understands them, and they run what there is."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from kiosk.cli import main

SERVICE, TIMER = "kiosk-notify.service", "kiosk-notify.timer"
MOST_EXPOSED = 20
"""Of 100, by systemd's own measure; a service that nobody has hardened has 96."""

with_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def lines(name: str) -> list[str]:
    return files("assets").joinpath("units", name).read_text(encoding="utf-8").splitlines()


def values(name: str, key: str) -> list[str]:
    return [value for line in lines(name) for found, _, value in [line.partition("=")] if found == key]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as an operator copies them, with a program that is there, and in a path without spaces."""
    program = tmp_path / "kiosk"
    program.symlink_to(sys.executable)
    for name in (SERVICE, TIMER):
        text = "\n".join(lines(name)).replace("/opt/kiosk/bin/kiosk", str(program))
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@with_systemd
@pytest.mark.parametrize("name", [SERVICE, TIMER])
def test_systemd_understands_it(installed: Path, name: str) -> None:
    command = ["systemd-analyze", "verify", "--man=no", str(installed / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@with_systemd
def test_the_service_may_do_little(installed: Path) -> None:
    options = ["--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager"]
    command = ["systemd-analyze", "security", *options, str(installed / SERVICE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-500:]


@with_systemd
def test_the_timer_is_for_the_mornings_of_japan() -> None:
    [when] = values(TIMER, "OnCalendar")
    command = ["systemd-analyze", "calendar", "--iterations=4", "--base-time=2026-11-25 12:00:00 UTC", when]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    hours = [line.split()[-2] for line in done.stdout.splitlines() if line.strip().endswith("UTC")]
    assert {"00:00:00", "03:00:00", "06:00:00", "09:00:00"} <= set(hours), done.stdout + done.stderr


def test_a_day_that_was_missed_is_made_up_for() -> None:
    assert values(TIMER, "Persistent") == ["true"]


def test_the_service_runs_a_command_that_there_is(tmp_path: Path) -> None:
    [command] = values(SERVICE, "ExecStart")
    program, *arguments = shlex.split(command)
    assert Path(program).name == "kiosk"
    asked = [argument.replace("/var/lib/kiosk-ca", str(tmp_path)) for argument in arguments]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 1, "2 would be a wrong use"
    assert "there is no ledger" in done.output
