"""The kiosk's append-only record of every visit and step.

It holds serial numbers and IDs, never names and never secrets, and it is on the disk before the step it announces:
what may have happened can always be told, what is not in it did not happen. Its lines are a chain (`kiosk.chain`),
which goes on where the bank's policy has old ones removed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from kiosk.alone_in import alone_in
from kiosk.chain import BEGINNING, link
from kiosk.clock import JAPAN, Clock, system_clock
from kiosk.errors import Code, KioskError

_TABLE = """
CREATE TABLE IF NOT EXISTS journal (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    visit TEXT NOT NULL,
    event TEXT NOT NULL,
    token TEXT NOT NULL DEFAULT '',
    holder TEXT NOT NULL DEFAULT '',
    serial TEXT NOT NULL DEFAULT '',
    code TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    chain TEXT NOT NULL DEFAULT ''
) STRICT
"""

_CHAIN_FOR_OLD_JOURNALS = "ALTER TABLE journal ADD COLUMN chain TEXT NOT NULL DEFAULT ''"

_RULES = (
    """
CREATE TABLE IF NOT EXISTS removed (
    through INTEGER PRIMARY KEY,
    chain TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT""",
    """
CREATE TRIGGER IF NOT EXISTS journal_is_not_rewritten BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """
CREATE TRIGGER IF NOT EXISTS journal_is_not_replaced BEFORE INSERT ON journal
WHEN EXISTS (SELECT 1 FROM journal WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    "DROP TRIGGER IF EXISTS journal_is_not_erased",
    """
CREATE TRIGGER IF NOT EXISTS journal_is_erased_by_policy_only BEFORE DELETE ON journal
WHEN OLD.number > (SELECT coalesce(max(through), 0) FROM removed)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
)

PC_IN_JOURNAL = "pc"
"""What `Entry.token` is where the customer's certificate is in this PC; elsewhere it is a token's serial number."""

FIELDS = "at, visit, event, token, holder, serial, code, detail"
"""The columns of an entry, in the order in which the chain has them."""

_NEWEST_PROVEN = "SELECT at FROM journal WHERE event = ? ORDER BY number DESC LIMIT 1"
_UNPROVEN_DAYS = 7
YEARS = range(1970, 9999)
"""Of moments that can be reckoned with and shown in any zone, by any policy."""
_NEWEST_BEFORE = """
SELECT number, at, chain FROM journal
WHERE number < coalesce(
    (SELECT number FROM journal WHERE at >= ? ORDER BY number LIMIT 1), (SELECT max(number) FROM journal))
ORDER BY number DESC LIMIT 1
"""

SQLITE_FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""What a database raises: Python reads SQLite's own words as UTF-8, and a damaged file has it say others."""
_FIRST_LINES = 100
"""Among which it stands that the journal before this one was damaged, if it was."""
_NOBODY_TOLD = """
SELECT CASE WHEN EXISTS (SELECT 1 FROM journal WHERE number <= ? AND event = ?)
THEN (SELECT count(*) FROM journal WHERE event = ? AND code = ?)
  <= (SELECT count(*) FROM journal WHERE event = ? AND code = ?) END
"""
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_COMPANIONS = ("", "-wal", "-shm")
"""The files of a database in WAL mode."""

_BUSY_SECONDS = 5.0
_CACHE_KIB = 64
"""Kept of the file in memory: lines are appended, and hardly ever read again. SQLite's own 2 MB would be filled by the
lines of 800 visits (`tests/flows/test_many_visits.py`)."""
ROOM = 8 << 20
"""Bytes of free room without which no visit begins; it writes about 4 kB, and the file beside the database grows to
4 MB before SQLite goes on at its beginning."""


class Event(StrEnum):
    """What the journal tells of. Steps marked (before) are written before they are taken."""

    VISIT_BEGUN = "visit-begun"
    PIN_REFUSED = "pin-refused"
    LAST_TRY_AGREED = "last-try-agreed"
    """The customer was told that the next wrong PIN may lock the token, and wanted to type it."""
    CHANGING_PIN = "changing-pin"
    """(before)"""
    PIN_CHANGED = "pin-changed"
    UNBLOCKING = "unblocking"
    """(before) Staff set a new PIN with the security officer's; `detail` says which user of this machine."""
    UNBLOCKED = "unblocked"
    INITIALISING = "initialising"
    """(before) Staff empty a token, and give it a PIN; `detail` says which user of this machine."""
    INITIALISED = "initialised"
    LOGGED_IN = "logged-in"
    NOTICE_SHOWN = "notice-shown"
    ENROLMENT_WANTED = "enrolment-wanted"
    """電子証明書取得 was chosen; `detail` says for which ID, as the customer gave it."""
    CODE_REFUSED = "code-refused"
    PREPROCESSED = "preprocessed"
    CLOCK_OFF = "clock-off"
    STATUS_TOLD = "status-told"
    """The certificate is not revoked, or only because its successor is there; `detail` says who told it."""
    STATUS_NOT_TOLD = "status-not-told"
    """Nobody told whether the certificate is revoked, and policy goes on."""
    ASKING_AGAIN = "asking-again"
    """The CA could not be asked; `code` says why, `detail` when it is asked again."""
    TURNED_BACK = "turned-back"
    PC_UNUSABLE = "pc-unusable"
    """Nothing can be saved on this PC, though policy offers it."""
    MAKING_KEY = "making-key"
    """(before)"""
    REMOVING_KEY = "removing-key"
    """(before) A new key that nobody will certify."""
    REQUESTING = "requesting"
    """(before)"""
    ISSUED = "issued"
    REJECTING = "rejecting"
    """(before)"""
    WRITING = "writing"
    """(before)"""
    PROVEN = "proven"
    CONFIRMING = "confirming"
    """(before)"""
    CONFIRMED = "confirmed"
    RETIRING = "retiring"
    """(before)"""
    RETIRED = "retired"
    RESUMED = "resumed"
    """The customer goes on with a renewal that an earlier visit has left unfinished."""
    CLEANING = "cleaning"
    """(before) What earlier visits have left and nobody can use goes, with the customer's yes; `detail` says what."""
    OLD_KEPT = "old-kept"
    """The customer was asked, and keeps the old credential, which is in another store than the new one."""
    COMPLETED = "completed"
    PROBLEM = "problem"
    STAFF_CALLED = "staff-called"
    STAFF_NOT_REACHED = "staff-not-reached"
    IDLE = "idle"
    VISIT_ENDED = "visit-ended"
    FORGOTTEN = "forgotten"
    FORGOTTEN_TAKEN_OUT = "forgotten-taken-out"
    OLD_LINES_REMOVED = "old-lines-removed"
    """By the bank's policy; `detail` says how many, and up to which."""
    CRASHED = "crashed"
    """The kiosk's process ended without being told to, or could not begin; `detail` says how. With a `code`, 調整中 is
    on the terminal until the next one is started."""
    WRITABLE_AGAIN = "writable-again"
    """Lines before this one could not be written; the kiosk served nobody meanwhile."""
    DAMAGED_SET_ASIDE = "damaged-set-aside"
    """The journal there was could not be read; `detail` says what its file is called now."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal."""

    at: str
    visit: str
    event: str
    token: str
    holder: str
    serial: str
    code: str
    detail: str

    @property
    def fields(self) -> tuple[str, ...]:
        """All of it, in the order of `FIELDS`."""
        return (self.at, self.visit, self.event, self.token, self.holder, self.serial, self.code, self.detail)


class Journal:
    """The journal file of one kiosk."""

    def __init__(self, path: Path, clock: Clock = system_clock) -> None:
        """Open the journal at `path`, or begin it.

        Raises:
            KioskError: K-02, it cannot be written.
        """
        self._clock = clock
        self._path = path
        self._turn = threading.Lock()
        self._fault: Exception | None = None
        """Why the newest line could not be written."""
        self._damage_is_told = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database, set_aside = _opened_whole(path, clock)
        except (OSError, *SQLITE_FAULTS) as error:
            raise KioskError(Code.JOURNAL_NOT_WRITABLE, type(error).__name__) from error
        self._tell_of(set_aside)

    def _tell_of(self, set_aside: Path | None) -> None:
        if set_aside:
            self._damage_is_told = False
            self.append("", Event.DAMAGED_SET_ASIDE, "", "", "", "", set_aside.name)

    def make_sure(self) -> None:
        """Make sure, as far as one can beforehand, that a visit can be written down.

        After a line that could not be written, one that can says that this is over. A file that was damaged meanwhile
        is set aside, as at the start.

        Raises:
            KioskError: K-02, there is too little room, or it cannot be written.
        """
        try:
            folder = os.statvfs(self._path.parent)
            if folder.f_flag & os.ST_RDONLY:
                raise KioskError(Code.JOURNAL_NOT_WRITABLE, "read-only")
            if folder.f_bavail * folder.f_frsize < ROOM:
                raise KioskError(Code.JOURNAL_NOT_WRITABLE, f"{folder.f_bavail * folder.f_frsize >> 20} MiB free")
            if self._fault and is_damage(self._fault):
                self._begin_anew()
        except (OSError, *SQLITE_FAULTS) as error:
            raise KioskError(Code.JOURNAL_NOT_WRITABLE, type(error).__name__) from error
        if self._fault:
            self.append("", Event.WRITABLE_AGAIN, "", "", "", "", type(self._fault).__name__)

    def _begin_anew(self) -> None:
        with self._turn:
            self._database.close()
            self._database, set_aside = _opened_whole(self._path, self._clock)
        self._tell_of(set_aside)

    def begin_visit(self, token: str) -> VisitRecord:
        """The record of a new visit with the token of this serial number."""
        return VisitRecord(self, secrets.token_hex(4), token)

    def entries(self) -> list[Entry]:
        """Everything, oldest first."""
        with self._turn:
            rows = self._database.execute(f"SELECT {FIELDS} FROM journal ORDER BY number").fetchall()  # noqa: S608
        return [Entry(*row) for row in rows]

    def has_damage_to_tell(self) -> bool:
        """Whether this journal was begun in place of a damaged one, and no call for staff has reached anybody since.

        Raises:
            KioskError: K-02, it cannot be read.
        """
        if self._damage_is_told:
            return False
        code = Code.JOURNAL_DAMAGED
        asked = (_FIRST_LINES, Event.DAMAGED_SET_ASIDE, Event.STAFF_CALLED, code, Event.STAFF_NOT_REACHED, code)
        try:
            with self._turn:
                self._damage_is_told = not self._database.execute(_NOBODY_TOLD, asked).fetchone()[0]
        except SQLITE_FAULTS as error:
            raise KioskError(Code.JOURNAL_NOT_WRITABLE, type(error).__name__) from error
        return not self._damage_is_told

    def remove_older_than(self, days: int, zone: ZoneInfo = JAPAN) -> int:
        """Remove whole days that are more than `days` before today in the bank's zone; how many lines that were.

        Only lines at the beginning go, and never the last one, so that the chain goes on: the link that the first of
        those left was made with stays, in the same transaction. Where the journal is not in order of time (somebody has
        set the clock), nothing goes that stands behind a line to be kept.

        A clock that is years ahead must not cost the journal: today is at most `_UNPROVEN_DAYS` after the last
        preprocessing, which only ends well where this clock agrees with the CA's.

        Raises:
            KioskError: K-02, it cannot be written.
        """
        with self._writing():
            proven = self._newest_proven()
            if proven is None:
                return 0
            now = min(self._clock() - timedelta(days=_UNPROVEN_DAYS), proven) + timedelta(days=_UNPROVEN_DAYS)
            first_day = now.astimezone(zone).date() - timedelta(days=days)
            kept_from = _written(datetime.combine(first_day, time(), zone))
            found = self._database.execute(_NEWEST_BEFORE, (kept_from,)).fetchone()
            if found is None:
                return 0
            through, last_at, chain = found
            chain = chain or _chain_through(self._database, through)
            self._database.execute("INSERT INTO removed VALUES (?, ?, ?)", (through, chain, _written(self._clock())))
            count = self._database.execute("DELETE FROM journal WHERE number <= ?", (through,)).rowcount
            detail = f"{count} lines through {through}, {last_at}"
            self._insert("", Event.OLD_LINES_REMOVED, "", "", "", "", detail)
        return count

    def _newest_proven(self) -> datetime | None:
        """The last time that the kiosk's clock agreed with the CA's."""
        found = self._database.execute(_NEWEST_PROVEN, (Event.PREPROCESSED,)).fetchone()
        return None if found is None else read_moment(found[0])

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, visit: str, event: Event, token: str, holder: str, serial: str, code: str, detail: str) -> None:
        """Write one line; it is on the disk when this returns.

        Raises:
            KioskError: K-02, it cannot be written.
        """
        with self._writing():
            self._insert(visit, event, token, holder, serial, code, detail)
        self._fault = None

    def _insert(self, visit: str, event: Event, token: str, holder: str, serial: str, code: str, detail: str) -> None:
        entry = Entry(_written(self._clock()), visit, event, token, holder, serial, code, detail)
        number, before = _last_link(self._database)
        chain = link(before, number + 1, entry.fields)
        self._database.execute(
            f"INSERT INTO journal (number, {FIELDS}, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (number + 1, *entry.fields, chain),
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction that no other process writes beside; it is on the disk at the end of the block."""
        try:
            with self._turn, _transaction(self._database):
                yield
        except SQLITE_FAULTS as error:
            self._fault = error
            raise KioskError(Code.JOURNAL_NOT_WRITABLE, type(error).__name__) from error


def is_damage(error: Exception) -> bool:
    """Whether it says that the file is no whole database, rather than that it cannot be had now."""
    if isinstance(error, UnicodeDecodeError):
        return True
    return getattr(error, "sqlite_errorname", "").startswith(_DAMAGED)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise


def _opened_whole(path: Path, clock: Clock) -> tuple[sqlite3.Connection, Path | None]:
    """The journal; a damaged one is set aside first, under the name that comes with the new one."""
    # A second process that opens it meanwhile might set aside the new one in place of the damaged one.
    with alone_in(path.parent):
        try:
            return _opened(path), None
        except SQLITE_FAULTS as error:
            if not is_damage(error):
                raise
            set_aside = _set_aside(path, clock())
            return _opened(path), set_aside


def _opened(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
    database.text_factory = readable
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = ON")  # what policy has removed is not to be read from free pages
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        with closing(database.execute("PRAGMA quick_check(1)")) as check:
            if check.fetchone() != ("ok",):
                raise _damaged()
        with _transaction(database):
            database.execute(_TABLE)
            if "chain" not in _columns(database):
                database.execute(_CHAIN_FOR_OLD_JOURNALS)
            for rule in _RULES:
                database.execute(rule)
    except BaseException:
        database.close()
        raise
    return database


def _damaged() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("quick_check")
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def _columns(database: sqlite3.Connection) -> set[str]:
    return {name for _, name, *_ in database.execute("PRAGMA table_info(journal)")}


def _set_aside(path: Path, now: datetime) -> Path:
    """Keep a damaged journal under another name, for whoever can still read something in it."""
    aside = path.with_name(f"{path.name}.damaged-{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}")
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + companion).rename(aside.with_name(aside.name + companion))
    return aside


def _last_link(database: sqlite3.Connection) -> tuple[int, str]:
    """Number and link of the last line; a journal from before the chain is linked up to here."""
    found = database.execute("SELECT number, chain FROM journal ORDER BY number DESC LIMIT 1").fetchone()
    if found is None:
        return 0, BEGINNING
    number, chain = found
    return number, chain or _chain_through(database, number)


def _chain_through(database: sqlite3.Connection, last: int) -> str:
    """The link that line `last` of a journal from before the chain would have."""
    removed = database.execute("SELECT through, chain FROM removed ORDER BY through DESC LIMIT 1").fetchone()
    through, chain = removed or (0, BEGINNING)
    for number, *fields in database.execute(
        f"SELECT number, {FIELDS} FROM journal WHERE number > ? AND number <= ? ORDER BY number",  # noqa: S608
        (through, last),
    ):
        chain = link(chain, number, fields)
    return chain


def read_moment(at: str) -> datetime | None:
    """What `Entry.at` says; None where somebody has written something else there, or a year that no kiosk has seen."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo and moment.year in YEARS else None


def readable(data: bytes) -> str:
    """Text as it is in the file, also where somebody has written something else than UTF-8 there."""
    return data.decode("utf-8", "backslashreplace")


def _written(moment: datetime) -> str:
    """As the journal has it: UTC, in milliseconds, so that text sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


class VisitRecord:
    """What the journal is told of one visit; it remembers whose visit it is."""

    def __init__(self, journal: Journal, visit: str, token: str) -> None:
        """Use `Journal.begin_visit`."""
        self._journal = journal
        self._visit = visit
        self._token = token
        self.holder = ""
        """The ID, once the customer has logged in."""

    async def note(self, event: Event, *, serial: str = "", code: str = "", detail: str = "") -> None:
        """Write a line, without holding up the screen; it is on the disk when this returns.

        Raises:
            KioskError: K-02, it cannot be written.
        """
        await asyncio.to_thread(
            self._journal.append, self._visit, event, self._token, self.holder, serial, code, detail
        )
