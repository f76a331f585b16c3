"""The `kiosk` command as a user runs it."""

from __future__ import annotations

import json
import os
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


def processes_about(directory: Path) -> list[str]:
    """Every process whose command line or environment speaks of `directory`, and every token process left behind.

    A token process shows its environment to root alone; but it is told who started it, and must not outlive that.
    """
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            command = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            environment = (process / "environ").read_bytes() if os.access(process / "environ", os.R_OK) else b""
        except OSError:
            continue
        orphan = b"kiosk.tokens.worker" in command and not Path("/proc", command[-1].decode()).exists()
        if orphan or any(str(directory).encode() in each for each in (*command, environment)):
            found.append(f"{process.name} {b' '.join(command).decode()}")
    return found
