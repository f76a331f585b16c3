"""Reads a journal that a kiosk may be writing meanwhile, line by line, without holding it whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kiosk.journal import FIELDS, SQLITE_FAULTS, Entry, Event, is_damage, readable

_BUSY_SECONDS = 10.0
_NO_SHARING = ("SQLITE_READONLY_DIRECTORY", "SQLITE_CANTOPEN")
"""What SQLite says where it cannot make the files by which readers and writers share a journal."""

_NOT_OURS = "SQLITE_ERROR"
"""What it says of a table or a column that is not there."""


class JournalUnreadable(Exception):
    """The journal cannot be read; the message is for staff."""

    def __init__(self, message: str, *, damaged: bool = False) -> None:
        super().__init__(message)
        self.damaged = damaged
        """Whether it is there, and is no whole database."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal."""

    number: int
    entry: Entry
    chain: str
    """The link of this line; empty in a journal from before the chain."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What policy had removed at one time."""

    through: int
    """The number of the last line that went."""
    chain: str
    """The link of that line, with which the first one left was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines are asked for; what is left empty counts for all.

    An ID, a serial number, a code and `problems` choose whole visits, in which they occur anywhere.
    """

    since: datetime | None = None
    before: datetime | None = None
    holder: str = ""
    serial: str = ""
    code: str = ""
    problems: bool = False
    """Only visits that had a problem."""


class JournalReader:
    """A journal, opened for reading only."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Use `opened`."""
        self._database = database

    def lines(self, wanted: Wanted | None = None) -> Iterator[Line]:
        """The lines that are wanted, oldest first.

        Raises:
            JournalUnreadable: it is damaged, or cannot be had.
        """
        where, values = _conditions(wanted or Wanted())
        with _told():
            query = f"SELECT number, {self._link} AS chain, {FIELDS} FROM journal{where} ORDER BY number"  # noqa: S608
            for number, chain, *fields in self._database.execute(query, values):
                yield Line(_number(number), Entry(*map(_text, fields)), _text(chain))

    def newest_removal(self) -> Removed | None:
        """Up to where policy has had lines removed; None where it never did.

        Raises:
            JournalUnreadable: it is damaged, or cannot be had.
        """
        with _told():
            if not self._has("removed"):
                return None
            query = "SELECT through, chain FROM removed ORDER BY through DESC LIMIT 1"
            found = self._database.execute(query).fetchone()
        return None if found is None else Removed(_number(found[0]), _text(found[1]))

    def knows(self, chain: str) -> bool:
        """Whether a line has this link, or the last one that policy had removed.

        Raises:
            JournalUnreadable: it is damaged, or cannot be had.
        """
        removed = self.newest_removal()
        if removed is not None and removed.chain == chain:
            return True
        with _told():
            query = f"SELECT 1 FROM journal WHERE {self._link} = ? LIMIT 1"  # noqa: S608
            return self._database.execute(query, (chain,)).fetchone() is not None

    def check_file(self) -> None:
        """Look through the whole file as a database.

        Raises:
            JournalUnreadable: it is damaged, or cannot be had.
        """
        with _told():
            (said,) = self._database.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise JournalUnreadable("the journal's file is damaged", damaged=True)

    @property
    def _link(self) -> str:
        columns = {name for _, name, *_ in self._database.execute("PRAGMA table_info(journal)")}
        return "chain" if "chain" in columns else "''"

    def _has(self, table: str) -> bool:
        query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
        return self._database.execute(query, (table,)).fetchone() is not None


@contextmanager
def opened(path: Path) -> Iterator[JournalReader]:
    """The journal at `path`, as it is at one moment, and not changed.

    Raises:
        JournalUnreadable: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise JournalUnreadable(f"there is no journal at {path}")
    with _told():
        database = _connected(path)
    with closing(database):
        yield JournalReader(database)


def _connected(path: Path) -> sqlite3.Connection:
    """Shared with whoever writes it; a copy on a disc, which nobody writes, is read as it lies there."""
    try:
        return _probed(path, "mode=ro")
    except sqlite3.OperationalError as error:
        is_shared = path.with_name(f"{path.name}-wal").exists()
        if is_shared or getattr(error, "sqlite_errorname", "") not in _NO_SHARING:
            raise
        return _probed(path, "mode=ro&immutable=1")


def _probed(path: Path, how: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?{how}"
    database = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    database.text_factory = readable
    try:
        database.execute("BEGIN")  # else what policy removes between two questions would seem to be missing
        database.execute("SELECT number FROM journal LIMIT 1").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _text(value: object) -> str:
    """A table that no kiosk has made may hold anything."""
    return value if isinstance(value, str) else repr(value)


def _number(value: object) -> int:
    """Of a line; a kiosk's table has nothing else in its place."""
    if not isinstance(value, int):
        raise JournalUnreadable("a line of the journal has no number", damaged=True)
    return value


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except SQLITE_FAULTS as error:
        if is_damage(error):
            raise JournalUnreadable("the journal's file is damaged", damaged=True) from error
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if name == _NOT_OURS:
            raise JournalUnreadable("the file is a database, but no kiosk's journal: name another one") from error
        raise JournalUnreadable(
            f"the journal cannot be read ({name}): ask as the user whom the kiosk runs as, or copy all its files"
        ) from error


_OF_PROBLEM = f"event = '{Event.PROBLEM}'"
_BY_ID = f"(holder = ? OR event = '{Event.ENROLMENT_WANTED}' AND detail = ?)"


def _conditions(wanted: Wanted) -> tuple[str, list[str]]:
    lines: list[str] = []
    values: list[str] = []
    for compared, moment in (("at >= ?", wanted.since), ("at < ?", wanted.before)):
        if moment is not None:
            lines.append(compared)
            values.append(moment.astimezone(UTC).isoformat(timespec="milliseconds"))
    of_visit: tuple[tuple[str, list[str], str | bool], ...] = (
        (_BY_ID, [wanted.holder] * 2, wanted.holder),
        ("serial = ?", [wanted.serial], wanted.serial),
        ("code = ?", [wanted.code], wanted.code),
        (_OF_PROBLEM, [], wanted.problems),
    )
    for condition, operands, asked in of_visit:
        if asked:
            lines.append(f"visit IN (SELECT visit FROM journal WHERE visit != '' AND {condition})")  # noqa: S608
            values += operands
    return (f" WHERE {' AND '.join(lines)}" if lines else ""), values
