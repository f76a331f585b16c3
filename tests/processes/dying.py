"""A process that kills itself by signal 9 at one of its commits."""

from __future__ import annotations

import itertools
import os
import signal

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool

WHENS = ("before", "after")
KEEPERS = {"crls", "audit"}
"""The tables in which the CRL's keeper enters what it has made."""


def die_at(when: str, number: int) -> None:
    """Before or after the commit with this number, counted from 1, of those that have written more than a CRL.

    The CRL's keeper writes when its time comes, whatever is asked of the CA meanwhile.
    """
    commits = itertools.count(1)
    reached = False

    def write(connection: Connection, _: object, statement: str, *__: object) -> None:
        words = statement.split()
        if words[0] in {"INSERT", "UPDATE", "DELETE"} and not KEEPERS & set(words):
            connection.info["has written"] = True

    def begin(connection: Connection) -> None:
        nonlocal reached
        if not connection.info.pop("has written", False):
            return
        reached = next(commits) == number
        if reached and when == "before":
            die()

    def end(_: DBAPIConnection, __: ConnectionPoolEntry) -> None:
        if reached:
            die()

    event.listen(Engine, "before_cursor_execute", write)
    event.listen(Engine, "commit", begin)
    event.listen(Pool, "checkin", end)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
