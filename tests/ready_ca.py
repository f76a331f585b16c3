"""CA processes that begin with everything imported already.

Each test has a CA of its own: its own process, socket and ledger. Only that an interpreter starts and imports the same
again is spared: that is most of what such a test would cost. `tests/program` and `tests/interop` start the command as
it is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.forks import FORKS
from tests.processes.dying import die_at, note_commits


@dataclass(frozen=True)
class ReadyCa:
    """One that runs."""

    url: str
    process: ForkServerProcess

    def kill(self) -> None:
        """End it as whoever pulls its plug would."""
        self.process.kill()
        self.process.join()


@contextmanager
def running_ready_ca(directory: Path, log: Path, options: Sequence[str] = ()) -> Iterator[str]:
    """As `kiosk.demo_bank.running_ca`; at the end it is killed."""
    with ready_ca(directory, log, *options) as running:
        yield running.url


@contextmanager
def ready_ca(
    directory: Path, log: Path, *options: str, dies: tuple[str, int] | None = None, notes: Path | None = None
) -> Iterator[ReadyCa]:
    """`kiosk ca serve` with these options, for the CA in this directory; at the end it is killed.

    Where `dies` says so it kills itself earlier, as in `tests.processes.dying`; or it notes its commits in `notes`.
    """
    told, tells = FORKS.Pipe(duplex=False)
    held, holds = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_serve, args=(directory, log, options, dies, notes, held, tells))
    process.start()
    tells.close()
    held.close()
    try:
        with os.fdopen(os.dup(told.fileno()), "rb") as output:
            line = output.readline()
        assert line, f"the CA did not start: {log.read_text(errors='replace')}"
        yield ReadyCa(json.loads(line)["url"], process)
    finally:
        process.kill()
        process.join()
        process.close()
        told.close()
        holds.close()


def _serve(
    directory: Path,
    log: Path,
    options: tuple[str, ...],
    dies: tuple[str, int] | None,
    notes: Path | None,
    stdin: Connection,
    stdout: Connection,
) -> None:
    """What `kiosk ca serve` does, with these in the place of the standard streams."""
    complaints = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, stream in enumerate((stdin.fileno(), stdout.fileno(), complaints)):
        os.dup2(stream, number)
    stdin.close()
    stdout.close()
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")

    from kiosk.ca.commands import ca

    if dies is not None:
        die_at(*dies)
    if notes is not None:
        note_commits(notes)
    ca(["serve", "--directory", str(directory), "--until-stdin-closes", *options], standalone_mode=False)
