"""A journal as kiosks wrote it before its lines were linked: two lines, five months apart."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_SCHEMA = """
CREATE TABLE journal (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, visit TEXT NOT NULL, event TEXT NOT NULL,
    token TEXT NOT NULL DEFAULT '', holder TEXT NOT NULL DEFAULT '', serial TEXT NOT NULL DEFAULT '',
    code TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TRIGGER journal_is_not_erased BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
INSERT INTO journal (at, visit, event) VALUES ('2026-01-01T00:00:00.000+00:00', 'v', 'visit-begun');
INSERT INTO journal (at, visit, event) VALUES ('2026-06-01T00:00:00.000+00:00', 'v', 'visit-ended');
"""


def write_old_journal(path: Path) -> None:
    """Write it to `path`."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_SCHEMA)
