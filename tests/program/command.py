"""The `kiosk` command as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LIMIT = 90.0
"""Seconds after which a command that should have ended is a failure."""


def kiosk(
    *arguments: str | Path, python: str = sys.executable, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `kiosk ARGUMENTS` without a terminal."""
    return subprocess.run(
        [python, "-m", "kiosk", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=cwd,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON of `kiosk demo --plain`."""
    result = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(result, dict)
    return result
