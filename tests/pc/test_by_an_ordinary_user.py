"""Run by root: every other file of this folder, as an ordinary user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pc.chromium import NO_NAMESPACE, private_configuration, works
from tests.pc.ordinary_user import ordinary_home, root, way_to_become

HERE = Path(__file__)
FILES = sorted(file.name for file in HERE.parent.glob("test_*.py") if file != HERE)


@pytest.mark.parametrize("file", FILES)
def test_file(file: str) -> None:
    with ordinary_home() as home:
        way = way_to_become(home)
        if way is None:
            pytest.skip(f"tests/pc/{file}: an ordinary user cannot run {sys.executable} here")
        if works(private_configuration(["true"])):
            way = private_configuration(way)
        options = ["-q", "-p", "no:cacheprovider", f"--basetemp={home / 'tmp'}"]
        run = subprocess.run(
            [*way, sys.executable, "-m", "pytest", *options, f"tests/pc/{file}"],
            cwd=root(),
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    if NO_NAMESPACE in run.stdout:
        pytest.skip(NO_NAMESPACE)
    assert "skipped" not in run.stdout, said
