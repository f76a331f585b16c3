"""A CA's directory, and the commands upon it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from kiosk.ca.commands import ca


def run(directory: Path, *arguments: str) -> str:
    """What a command prints that succeeds."""
    done = CliRunner().invoke(ca, [*arguments, "--directory", str(directory)])
    assert done.exit_code == 0, done.output
    return done.stdout


def fail(directory: Path, *arguments: str) -> str:
    """What a command says that does not."""
    done = CliRunner().invoke(ca, [*arguments, "--directory", str(directory)])
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit)
    return done.output


def records(directory: Path, *arguments: str) -> list[dict[str, Any]]:
    """What a command tells programs."""
    found: list[dict[str, Any]] = json.loads(run(directory, *arguments, "--json"))
    return found
