"""The systemd unit of the kiosk: systemd understands it, it runs what there is, and forbids nothing the kiosk needs."""

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
from kiosk.crashes import Patience

UNIT, TERMINAL = "kiosk.service", "kiosk-foot.ini"
MOST_EXPOSED = 25
"""Of 100, by systemd's own measure: it has devices and a network. A service that nobody has hardened has 96."""
PROGRAMS = ("/usr/bin/cage", "/usr/bin/chvt", "/opt/kiosk/bin/kiosk")

with_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def text(name: str) -> str:
    return files("assets").joinpath("units", name).read_text(encoding="utf-8")


def values(key: str) -> list[str]:
    lines = text(UNIT).replace("\\\n", " ").splitlines()
    return [value for line in lines for found, _, value in [line.partition("=")] if found == key]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as an operator copies it, with programs that are there, and in a path without spaces."""
    program = tmp_path / "program"
    program.symlink_to(sys.executable)
    copied = text(UNIT)
    for each in PROGRAMS:
        assert each in copied
        copied = copied.replace(each, str(program))
    path = tmp_path / UNIT
    path.write_text(copied, encoding="utf-8")
    return path


@with_systemd
def test_systemd_understands_it(installed: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", str(installed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@with_systemd
def test_it_may_do_little(installed: Path) -> None:
    options = ["--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager"]
    done = subprocess.run(
        ["systemd-analyze", "security", *options, str(installed)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout[-500:]


def test_it_runs_a_command_that_there_is() -> None:
    [command] = values("ExecStart")
    words = shlex.split(command)
    arguments = words[words.index("/opt/kiosk/bin/kiosk") + 1 :]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1, "2 would be a wrong use"
    assert "the settings file /etc/kiosk/kiosk.toml cannot be read" in done.output


def test_it_is_on_a_terminal_of_its_own_and_always_comes_back() -> None:
    assert values("TTYPath") == ["/dev/tty7"]
    assert values("Restart") == ["always"]
    assert values("StartLimitIntervalSec") == ["0"], "or systemd gives up after a few times"


def test_it_has_the_time_to_end_in_order() -> None:
    [seconds] = values("TimeoutStopSec")
    assert float(seconds) > Patience().grace


def test_its_compositor_has_a_place_for_its_socket() -> None:
    """ProtectHome= takes /run/user away, and ReadWritePaths= does not give it back (systemd.exec(5))."""
    assert values("ReadWritePaths") == ["-/run/user"]
    assert values("ProtectHome") in ([], ["no"])
    assert not any("/run" in each for each in values("InaccessiblePaths"))


def test_it_may_speak_to_pcscd_and_to_usb_tokens_and_write_its_journal() -> None:
    [families] = values("RestrictAddressFamilies")
    assert "AF_UNIX" in families.split()
    assert "char-usb_device rw" in values("DeviceAllow")
    assert values("PAMName"), "polkit lets only who sits at the screen speak to pcscd"
    assert values("StateDirectory") == ["kiosk"]
    assert "pcscd.socket" in values("Wants")[0].split()


def test_nothing_of_a_pin_may_stay_in_a_core() -> None:
    assert values("LimitCORE") == ["0"]


def test_no_key_of_the_terminal_opens_anything() -> None:
    """What foot binds by itself (foot.ini(5), 1.13 to 1.16) is off, above all what starts a program."""
    sections = text(TERMINAL).split("\n[")
    bindings = {
        name.strip(): value.strip()
        for section in sections
        if section.startswith(("key-bindings]", "mouse-bindings]"))
        for name, equals, value in [line.partition("=") for line in section.splitlines()]
        if equals
    }
    assert set(bindings.values()) == {"none"}
    assert {"spawn-terminal", "show-urls-launch", "search-start", "clipboard-paste", "font-increase"} <= set(bindings)


@pytest.mark.skipif(shutil.which("foot") is None, reason="foot is not here")
def test_the_terminal_understands_its_settings(tmp_path: Path) -> None:
    settings = tmp_path / "foot.ini"
    settings.write_text(text(TERMINAL), encoding="utf-8")
    done = subprocess.run(
        ["foot", "--check-config", f"--config={settings}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
