"""`kiosk notify` in a process of its own, which can be killed at any of its steps."""

from __future__ import annotations

import os
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.forks import FORKS


def start(directory: Path, now: datetime, *, when: str = "", number: int = 0, log: Path | None = None) -> BaseProcess:
    """Begin a run at the moment `now`; with `when` and `number` it kills itself before or after that commit."""
    process = FORKS.Process(target=_run, args=(directory, now, when, number, log or directory / "log"))
    process.start()
    return process


def _run(directory: Path, now: datetime, when: str, number: int, log: Path) -> None:
    from kiosk.notices.commands import notify
    from tests.notices.samples import Clock
    from tests.processes.dying import die_at

    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if when:
        die_at(when, number)
    notify.main(["--directory", str(directory)], obj=Clock(now))
