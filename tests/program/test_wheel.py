"""The wheel, installed elsewhere, is the whole program."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.program.command import kiosk, last_line

PROJECT = Path(__file__).parents[2]


def test_the_wheel_runs_the_demo(tmp_path: Path) -> None:
    python = installed_wheel(tmp_path)
    where = subprocess.run(
        [python, "-c", "import kiosk; print(kiosk.__file__)"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert where.stdout.startswith(str(tmp_path)), "not the checkout"
    subprocess.run([python, "-m", "pip", "check", "-qq"], check=True, cwd=tmp_path)
    done = kiosk(
        "demo", "--plain", "--yes", "--key", "ec-p256", "--directory", tmp_path / "demo", python=python, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert last_line(done)["new_serial"]


def installed_wheel(directory: Path) -> str:
    """A virtual environment with the wheel in it; its dependencies are those of this environment, unpacked already."""
    build = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(directory), str(PROJECT)], check=True)
    (wheel,) = directory.glob("*.whl")
    venv.create(directory / "venv", with_pip=False)
    python = str(directory / "venv" / "bin" / "python")
    into = [sys.executable, "-m", "pip", "--python", python]
    subprocess.run([*into, "install", "-qq", "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = (directory / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python
