"""`kiosk ca`, killed by signal 9 at one of its commits: `python -m tests.interop.dying_ca WHEN NUMBER serve …`."""

from __future__ import annotations

import itertools
import os
import signal
import sys

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from kiosk.ca.commands import ca

WHENS = ("before", "after")


def die_at(when: str, number: int) -> None:
    """Before or after the commit with this number, counted from 1."""
    commits = itertools.count(1)
    reached = False

    def begin(_: Connection) -> None:
        nonlocal reached
        reached = next(commits) == number
        if reached and when == "before":
            die()

    def end(_: DBAPIConnection, __: ConnectionPoolEntry) -> None:
        if reached:
            die()

    event.listen(Engine, "commit", begin)
    event.listen(Pool, "checkin", end)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    when, number, *arguments = sys.argv[1:]
    die_at(when, int(number))
    ca(arguments)
