"""The kiosk's append-only record of every visit and step.

It holds serial numbers and IDs, never names and never secrets, and it is on the disk before the step it announces:
what may have happened can always be told, what is not in it did not happen.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from kiosk.clock import Clock, system_clock
from kiosk.errors import Code, KioskError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    visit TEXT NOT NULL,
    event TEXT NOT NULL,
    token TEXT NOT NULL DEFAULT '',
    holder TEXT NOT NULL DEFAULT '',
    serial TEXT NOT NULL DEFAULT '',
    code TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TRIGGER IF NOT EXISTS journal_is_not_rewritten BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS journal_is_not_replaced BEFORE INSERT ON journal
WHEN EXISTS (SELECT 1 FROM journal WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS journal_is_not_erased BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""

_BUSY_SECONDS = 5.0


class Event(StrEnum):
    """What the journal tells of. Steps marked (before) are written before they are taken."""

    VISIT_BEGUN = "visit-begun"
    PIN_REFUSED = "pin-refused"
    PIN_CHANGED = "pin-changed"
    LOGGED_IN = "logged-in"
    NOTICE_SHOWN = "notice-shown"
    ENROLMENT_WANTED = "enrolment-wanted"
    """電子証明書取得 was chosen; `detail` says for which ID, as the customer gave it."""
    CODE_REFUSED = "code-refused"
    PREPROCESSED = "preprocessed"
    CLOCK_OFF = "clock-off"
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
    OLD_KEPT = "old-kept"
    """The customer was asked, and keeps the old credential on the USB."""
    COMPLETED = "completed"
    PROBLEM = "problem"
    STAFF_CALLED = "staff-called"
    STAFF_NOT_REACHED = "staff-not-reached"
    IDLE = "idle"
    VISIT_ENDED = "visit-ended"
    FORGOTTEN = "forgotten"
    FORGOTTEN_TAKEN_OUT = "forgotten-taken-out"


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


class Journal:
    """The journal file of one kiosk."""

    def __init__(self, path: Path, clock: Clock = system_clock) -> None:
        """Open the journal at `path`, or begin it.

        Raises:
            KioskError: K-02, it cannot be written.
        """
        self._clock = clock
        self._turn = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise KioskError(Code.JOURNAL_NOT_WRITABLE, type(error).__name__) from error

    def begin_visit(self, token: str) -> VisitRecord:
        """The record of a new visit with the token of this serial number."""
        return VisitRecord(self, secrets.token_hex(4), token)

    def entries(self) -> list[Entry]:
        """Everything, oldest first."""
        with self._turn:
            rows = self._database.execute(
                "SELECT at, visit, event, token, holder, serial, code, detail FROM journal ORDER BY number"
            ).fetchall()
        return [Entry(*row) for row in rows]

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
        row = (self._clock().isoformat(timespec="milliseconds"), visit, event, token, holder, serial, code, detail)
        try:
            with self._turn:
                self._database.execute(
                    "INSERT INTO journal (at, visit, event, token, holder, serial, code, detail)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
        except sqlite3.Error as error:
            raise KioskError(Code.JOURNAL_NOT_WRITABLE, type(error).__name__) from error


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
