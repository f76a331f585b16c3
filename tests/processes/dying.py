"""A process that kills itself by signal 9 at one of its commits, or notes them."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool

WHENS = ("before", "after")
KEEPERS = {"crls", "audit"}
"""The tables in which the CRL's keeper enters what it has made."""


def die_at(when: str, number: int) -> None:
    """Before or after the commit with this number, as `at_commits` counts them."""
    at_commits(lambda *reached: die() if reached == (when, number) else None)


def note_commits(notes: Path) -> None:
    """Note each of them in a file, by a line."""

    def note(when: str, number: int) -> None:
        with notes.open("a") as file:
            file.write(f"{when} {number}\n")

    at_commits(note)


def noted_commits(notes: Path) -> int:
    """How many were made."""
    return sum(line.startswith("after") for line in notes.read_text().splitlines())


def at_commits(reached: Callable[[str, int], None]) -> None:
    """Have `reached` told before and after each commit, counted from 1, of those that have written more than a CRL.

    The CRL's keeper writes when its time comes, whatever is asked of the CA meanwhile.
    """
    commits = itertools.count(1)

    def write(connection: Connection, _: object, statement: str, *__: object) -> None:
        words = statement.split()
        if words[0] in {"INSERT", "UPDATE", "DELETE"} and not KEEPERS & set(words):
            connection.info["has written"] = True

    def begin(connection: Connection) -> None:
        if connection.info.pop("has written", False):
            connection.info["commits"] = number = next(commits)
            reached("before", number)

    def end(_: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        number = entry.info.pop("commits", 0)
        if number:
            reached("after", number)

    event.listen(Engine, "before_cursor_execute", write)
    event.listen(Engine, "commit", begin)
    event.listen(Pool, "checkin", end)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
