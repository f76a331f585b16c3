"""No terminal, or one whose input ends without a signal: the kiosk does not begin, or ends, and nothing spins."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.settings import CaSettings, Settings, save_settings
from kiosk.tokens.process import ModuleSettings
from tests.program.command import LIMIT, kiosk
from tests.program.descendants import Descendants, watching_descendants

STANDBY = "はじめる".encode()


@pytest.fixture
def descendants() -> Iterator[Descendants]:
    with watching_descendants() as descendants:
        yield descendants


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    ca = CaSettings(url="http://127.0.0.1:1/", roots="roots.pem", tls_roots="roots.pem")
    path = tmp_path / "kiosk.toml"
    save_settings(Settings(token=ModuleSettings("none.so"), ca=ca, journal=str(tmp_path / "journal.sqlite")), path)
    return path


@pytest.mark.parametrize("command", [["run", "--settings"], ["demo", "--directory"]], ids=lambda words: words[0])
def test_without_a_terminal_it_does_not_begin_and_says_so(settings: Path, command: list[str]) -> None:
    where = settings if command[0] == "run" else settings.parent / "demo"
    done = kiosk(*command, where)
    assert done.returncode == 1
    assert "the kiosk needs a terminal of its own" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_input_that_ends_without_a_signal_ends_everything(tmp_path: Path, descendants: Descendants) -> None:
    """A terminal that is nobody's controlling terminal sends no SIGHUP; what is left of it is the end of the input."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kiosk", "demo", "--key", "ec-p256", "--directory", str(tmp_path / "demo")]
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    _read_until(ours, STANDBY)
    os.close(ours)
    assert program.wait(LIMIT) == 128 + signal.SIGHUP
    assert descendants.are_gone()


def _read_until(terminal: int, wanted: bytes) -> None:
    end, seen = time.monotonic() + LIMIT, b""
    while wanted not in seen:
        assert time.monotonic() < end, seen[-500:]
        seen += os.read(terminal, 65536)
