from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kiosk.errors import Code, KioskError
from kiosk.journal import Event, Journal

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
