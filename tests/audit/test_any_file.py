"""Whatever is in a journal's file, whoever reads it gets what can be read, or one clear error."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kiosk.audit.reading import JournalUnreadable, Wanted, opened
from kiosk.audit.verifying import verify
from kiosk.audit.words import told
from kiosk.errors import KioskError
from kiosk.journal import Event, Journal
from kiosk.texts import Texts
from tests.mutations import TRIED
from tests.watching import growing_little, holding_little, in_time

TRIES = int(os.environ.get("KIOSK_SOAK", "40"))
LONGEST_SECONDS = 30
"""For one journal; whoever takes longer hangs."""


def written() -> bytes:
    """The file of a journal with some pages."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "journal.sqlite"
        with Journal(path) as journal:
            for number in range(60):
                journal.append("v", Event.ISSUED, "t", "TKYM1408054", "60345f56", "", str(number) + "x" * 40)
        return path.read_bytes()


WHOLE = written()


@contextmanager
def file_of(content: bytes) -> Iterator[Path]:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "journal.sqlite"
        path.write_bytes(content)
        yield path


@contextmanager
def watched() -> Iterator[None]:
    with in_time(LONGEST_SECONDS), growing_little(), holding_little():
        yield


def read_everything(path: Path) -> None:
    with suppress(JournalUnreadable), opened(path) as reader:
        list(told(reader.lines(), Texts("en")))
    with suppress(JournalUnreadable), opened(path) as reader:
        list(told(reader.lines(Wanted(holder="TKYM1408054", problems=True)), Texts("en")))
    with suppress(JournalUnreadable), opened(path) as reader:
        verify(reader, "0" * 64)


@settings(max_examples=TRIES)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=12),
    length=st.integers(0, len(WHOLE)) | st.just(len(WHOLE)),
)
def test_a_file_with_other_bytes(changes: list[tuple[int, int]], length: int) -> None:
    TRIED["journal files"] += 1
    content = bytearray(WHOLE)
    for position, value in changes:
        content[position] = value
    with file_of(bytes(content[:length])) as path, watched():
        read_everything(path)
        with suppress(KioskError), Journal(path) as journal:
            journal.append("v", Event.VISIT_BEGUN, "", "", "", "", "")
            journal.remove_older_than(30)


VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)


MOMENTS = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)


@settings(max_examples=TRIES)
@given(
    rows=st.lists(st.tuples(VALUES, VALUES | MOMENTS, *[VALUES] * 8), max_size=4),
    removed=st.lists(st.tuples(VALUES, VALUES), max_size=2),
)
@example(rows=[(1, "9999-12-31T23:00:00+00:00", *[""] * 8)], removed=[])
@example(rows=[("a", "", *[""] * 8), ("b", "", *[""] * 8)], removed=[])
@example(rows=[(1, "", *[""] * 8)], removed=[("a", 1)])
def test_a_table_that_no_kiosk_has_made(rows: list[tuple[object, ...]], removed: list[tuple[object, object]]) -> None:
    TRIED["journal lines"] += 1
    with file_of(b"") as path:
        with closing(sqlite3.connect(path)) as database:
            database.execute(
                "CREATE TABLE journal (number, at, visit, event, token, holder, serial, code, detail, chain)"
            )
            database.execute("CREATE TABLE removed (through, chain)")
            database.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            database.executemany("INSERT INTO removed VALUES (?, ?)", removed)
            database.commit()
        with watched():
            read_everything(path)


@pytest.mark.parametrize("made", ["CREATE TABLE other (x)", "CREATE TABLE journal (number, x)"])
def test_another_database(made: str) -> None:
    with file_of(b"") as path:
        with closing(sqlite3.connect(path)) as database:
            database.execute(made)
        with pytest.raises(JournalUnreadable, match="no kiosk's journal"), opened(path) as reader:
            list(reader.lines())
