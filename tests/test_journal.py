from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

import kiosk.journal
from kiosk.chain import BEGINNING, link
from kiosk.errors import Code, KioskError
from kiosk.journal import ROOM, Event, Journal
from tests.old_journal import write_old_journal

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


async def test_what_is_noted_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "journal.sqlite"
    with Journal(path, lambda: NOW) as journal:
        record = journal.begin_visit("token-1")
        record.holder = "TKYM1408054"
        await record.note(Event.WRITING, serial="60345f56")
    assert path.stat().st_mode & 0o077 == 0
    with Journal(path) as again:
        (entry,) = again.entries()
    assert (entry.event, entry.token, entry.holder, entry.serial) == ("writing", "token-1", "TKYM1408054", "60345f56")
    assert entry.at == "2026-11-23T03:00:00.000+00:00"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET event = 'x'",
        "DELETE FROM journal",
        "INSERT OR REPLACE INTO journal (number, at, visit, event) VALUES (1, '', '', 'forged')",
    ],
)
async def test_nothing_is_rewritten_or_erased(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        await journal.begin_visit("t").note(Event.VISIT_BEGUN)
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute(statement)


async def test_every_line_is_synced_to_the_disk(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        (level,) = journal._database.execute("PRAGMA synchronous").fetchone()
    assert level == 2, "FULL"


def test_a_journal_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "file" / "journal.sqlite"):
        (tmp_path / "file").touch()
        with pytest.raises(KioskError) as raised:
            Journal(path)
        assert raised.value.problem.code is Code.JOURNAL_NOT_WRITABLE


async def test_a_journal_that_cannot_be_written_any_more(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        with closing(sqlite3.connect(path)) as database:
            database.execute("DROP TABLE journal")
        with pytest.raises(KioskError) as raised:
            await journal.begin_visit("t").note(Event.VISIT_BEGUN)
    assert raised.value.problem.code is Code.JOURNAL_NOT_WRITABLE


class Calendar:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def chained(path: Path) -> list[tuple[int, str, str]]:
    """Number, event and link of each line."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT number, event, chain FROM journal ORDER BY number").fetchall()


def holds_from(path: Path, number: int, before: str) -> bool:
    """Whether each line from `number` on is linked to the one before."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT number, chain, at, visit, event, token, holder, serial, code, detail"
            " FROM journal WHERE number >= ? ORDER BY number",
            (number,),
        ).fetchall()
    for at, chain, *fields in rows:
        if link(before, at, fields) != chain:
            return False
        before = chain
    return bool(rows)


async def test_each_line_is_linked_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    for _ in range(2):
        with Journal(path) as journal:
            record = journal.begin_visit("t")
            await record.note(Event.VISIT_BEGUN)
            await record.note(Event.VISIT_ENDED)
    assert [number for number, _, _ in chained(path)] == [1, 2, 3, 4]
    assert holds_from(path, 1, BEGINNING)


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    code = """
import sys
from pathlib import Path
from types import SimpleNamespace
from kiosk.journal import ROOM, Event, Journal
with Journal(Path(sys.argv[1])) as journal:
    for number in range(40):
        journal.append("v", Event.WRITING, "", "", "", "", str(number))
"""
    others = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(3)]
    assert [other.wait() for other in others] == [0, 0, 0]
    assert len(chained(path)) == 120
    assert holds_from(path, 1, BEGINNING)


async def test_a_journal_from_before_the_chain_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write_old_journal(path)
    with Journal(path, lambda: NOW) as journal:
        await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        assert [entry.event for entry in journal.entries()] == ["visit-begun", "visit-ended", "visit-begun"]
    first = link(BEGINNING, 1, ["2026-01-01T00:00:00.000+00:00", "v", "visit-begun", "", "", "", "", ""])
    second = link(first, 2, ["2026-06-01T00:00:00.000+00:00", "v", "visit-ended", "", "", "", "", ""])
    assert holds_from(path, 3, second)
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("DELETE FROM journal WHERE number = 1")


async def test_old_lines_of_a_journal_from_before_the_chain_go_too(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write_old_journal(path)
    with Journal(path, lambda: NOW) as journal:
        await journal.begin_visit("t").note(Event.PREPROCESSED)
        assert journal.remove_older_than(200) == 1
    first = link(BEGINNING, 1, ["2026-01-01T00:00:00.000+00:00", "v", "visit-begun", "", "", "", "", ""])
    second = link(first, 2, ["2026-06-01T00:00:00.000+00:00", "v", "visit-ended", "", "", "", "", ""])
    assert [event for _, event, _ in chained(path)] == ["visit-ended", "preprocessed", "old-lines-removed"]
    assert holds_from(path, 3, second)


async def test_whole_days_are_removed_and_the_chain_goes_on(tmp_path: Path) -> None:
    path, calendar = tmp_path / "journal.sqlite", Calendar()
    with Journal(path, calendar) as journal:
        for moment in (
            datetime(2026, 10, 23, 14, 59, 59, tzinfo=UTC),  # 23:59:59 in Japan
            datetime(2026, 10, 23, 15, 0, 0, tzinfo=UTC),
            NOW,
        ):
            calendar.now = moment
            await journal.begin_visit("t").note(Event.PREPROCESSED)
        before = chained(path)
        assert journal.remove_older_than(30) == 1
        assert journal.remove_older_than(30) == 0
        await journal.begin_visit("t").note(Event.VISIT_BEGUN)
    after = chained(path)
    assert after[:2] == before[1:]
    assert [event for _, event, _ in after[2:]] == ["old-lines-removed", "visit-begun"]
    assert holds_from(path, 2, before[0][2])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT through, chain FROM removed").fetchall() == [(1, before[0][2])]


async def test_what_stays_cannot_be_erased_after_a_removal(tmp_path: Path) -> None:
    path, calendar = tmp_path / "journal.sqlite", Calendar()
    with Journal(path, calendar) as journal:
        calendar.now = NOW - timedelta(days=100)
        await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        calendar.now = NOW
        await journal.begin_visit("t").note(Event.PREPROCESSED)
        assert journal.remove_older_than(30) == 1
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("DELETE FROM journal WHERE number = 2")


async def test_the_last_line_stays_however_old_it_is(tmp_path: Path) -> None:
    path, calendar = tmp_path / "journal.sqlite", Calendar()
    with Journal(path, calendar) as journal:
        calendar.now = NOW - timedelta(days=4000)
        await journal.begin_visit("t").note(Event.PREPROCESSED)
        calendar.now = NOW
        assert journal.remove_older_than(30) == 0
        assert len(journal.entries()) == 1


async def test_a_clock_that_is_years_ahead_does_not_cost_the_journal(tmp_path: Path) -> None:
    path, calendar = tmp_path / "journal.sqlite", Calendar()
    with Journal(path, calendar) as journal:
        for days in (40, 10, 0):
            calendar.now = NOW - timedelta(days=days)
            await journal.begin_visit("t").note(Event.PREPROCESSED)
        calendar.now = NOW + timedelta(days=20_000)
        await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        assert journal.remove_older_than(30) == 1, "what is old a week after the CA's clock last agreed, and no more"
        assert len(journal.entries()) == 4


@pytest.mark.parametrize("at", ["never", "2026-11-23", "9999-12-31T23:59:59.999+00:00", "0001-01-01T00:00:00+14:00"])
async def test_a_time_that_somebody_has_forged_is_no_fault(tmp_path: Path, at: str) -> None:
    path, calendar = tmp_path / "journal.sqlite", Calendar()
    with Journal(path, calendar) as journal:
        calendar.now = NOW - timedelta(days=5)
        await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        calendar.now = NOW
        with closing(sqlite3.connect(path)) as database:
            database.execute(
                "INSERT INTO journal (at, visit, event, detail) VALUES (?, 'v', 'preprocessed', CAST(x'ff' AS TEXT))",
                (at,),
            )
            database.commit()
        assert journal.remove_older_than(30) == 0
        await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        assert len(journal.entries()) == 3


async def test_without_any_proof_of_the_time_nothing_is_removed(tmp_path: Path) -> None:
    path, calendar = tmp_path / "journal.sqlite", Calendar()
    with Journal(path, calendar) as journal:
        for days in (400, 0):
            calendar.now = NOW - timedelta(days=days)
            await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        assert journal.remove_older_than(30) == 0


async def test_nothing_behind_a_line_to_be_kept_is_removed(tmp_path: Path) -> None:
    """Somebody had set the clock forward for a day."""
    path, calendar = tmp_path / "journal.sqlite", Calendar()
    with Journal(path, calendar) as journal:
        for moment in (NOW, NOW - timedelta(days=100), NOW):
            calendar.now = moment
            await journal.begin_visit("t").note(Event.PREPROCESSED)
        assert journal.remove_older_than(30) == 0


async def test_what_was_removed_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path, calendar = tmp_path / "journal.sqlite", Calendar()
    with Journal(path, calendar) as journal:
        calendar.now = NOW - timedelta(days=100)
        record = journal.begin_visit("t")
        record.holder = "TKYM1408054"
        await record.note(Event.LOGGED_IN)
        calendar.now = NOW
        await journal.begin_visit("t").note(Event.PREPROCESSED)
        assert journal.remove_older_than(30) == 1
    assert b"TKYM1408054" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("rubbish", [b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_damaged_journal_is_set_aside_and_begun_anew(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(rubbish)
    with Journal(path, lambda: NOW) as journal:
        (entry,) = journal.entries()
    aside = tmp_path / "journal.sqlite.damaged-20261123T030000.000000Z"
    assert (entry.event, entry.detail) == ("damaged-set-aside", aside.name)
    assert aside.read_bytes() == rubbish
    assert holds_from(path, 1, BEGINNING)


async def test_what_another_process_has_written_beside_a_damaged_file_is_set_aside_with_it(tmp_path: Path) -> None:
    """Its last lines stand there, and would be taken for the new journal's."""
    path = tmp_path / "journal.sqlite"
    with Journal(path) as other:
        for _ in range(200):
            await other.begin_visit("t").note(Event.VISIT_BEGUN)
        other._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await other.begin_visit("t").note(Event.VISIT_ENDED)
        last = path.with_name("journal.sqlite-wal").read_bytes()
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(b"\xff" * 4096)
        with Journal(path, lambda: NOW) as journal:
            assert [entry.event for entry in journal.entries()] == ["damaged-set-aside"]
    assert last
    assert path.with_name("journal.sqlite.damaged-20261123T030000.000000Z-wal").read_bytes() == last


def test_nobody_else_can_set_a_journal_aside_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process would set aside the new one in place of the damaged one."""
    path, set_aside = tmp_path / "journal.sqlite", kiosk.journal._set_aside

    def alone(path: Path, now: datetime) -> Path:
        others = os.open(path.parent, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(others, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(others)
        return set_aside(path, now)

    monkeypatch.setattr(kiosk.journal, "_set_aside", alone)
    path.write_bytes(b"no database" * 1000)
    with Journal(path) as journal:
        assert [entry.event for entry in journal.entries()] == ["damaged-set-aside"]


async def test_damage_in_the_middle_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for _ in range(200):
            await journal.begin_visit("t").note(Event.VISIT_BEGUN)
    whole = bytearray(path.read_bytes())
    whole[8192:12288] = b"\xff" * 4096
    path.write_bytes(whole)
    with Journal(path) as journal:
        assert [entry.event for entry in journal.entries()] == ["damaged-set-aside"]


async def test_a_journal_in_use_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as first, Journal(path) as second:
        await first.begin_visit("t").note(Event.VISIT_BEGUN)
        await second.begin_visit("t").note(Event.VISIT_ENDED)
        assert [entry.event for entry in first.entries()] == ["visit-begun", "visit-ended"]


async def test_after_a_line_that_could_not_be_written_one_says_that_this_is_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE journal RENAME TO away")
        with pytest.raises(KioskError):
            await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        with pytest.raises(KioskError) as still:
            journal.make_sure()
        assert still.value.problem.code is Code.JOURNAL_NOT_WRITABLE
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE away RENAME TO journal")
        journal.make_sure()
        journal.make_sure()
        assert [(each.event, each.detail) for each in journal.entries()] == [("writable-again", "OperationalError")]
    assert holds_from(path, 1, BEGINNING)


@pytest.mark.parametrize(("flags", "blocks"), [(os.ST_RDONLY, ROOM), (0, ROOM // 4096 - 1)])
def test_nothing_begins_on_a_disc_that_has_become_read_only_or_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, blocks: int
) -> None:
    """As the kernel makes one read-only after an error of the disc: with files open on it."""
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.make_sure()
        disc = SimpleNamespace(f_flag=flags, f_bavail=blocks, f_frsize=4096)
        monkeypatch.setattr(os, "statvfs", lambda _: disc)
        with pytest.raises(KioskError) as refused:
            journal.make_sure()
    assert refused.value.problem.code is Code.JOURNAL_NOT_WRITABLE


async def test_damage_that_is_found_meanwhile_is_set_aside_without_a_new_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path, lambda: NOW) as journal:
        for _ in range(200):
            await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        assert not journal.has_damage_to_tell()
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = bytearray(path.read_bytes())
        whole[4096:] = b"\xff" * (len(whole) - 4096)
        path.write_bytes(whole)
        with pytest.raises(KioskError):
            await journal.begin_visit("t").note(Event.VISIT_BEGUN)
        journal.make_sure()
        assert [each.event for each in journal.entries()] == ["damaged-set-aside"]
        assert journal.has_damage_to_tell()
        await journal.begin_visit("t").note(Event.VISIT_BEGUN)
    aside = tmp_path / "journal.sqlite.damaged-20261123T030000.000000Z"
    assert aside.read_bytes().startswith(b"SQLite format 3")
    assert holds_from(path, 1, BEGINNING)
