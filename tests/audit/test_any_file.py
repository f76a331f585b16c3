"""Whatever is in a journal's file, whoever reads it gets what can be read, or one clear error."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.audit.reading import JournalUnreadable, Wanted, opened
from kiosk.audit.verifying import verify
from kiosk.audit.words import told
from kiosk.errors import KioskError
from kiosk.journal import Event, Journal
from kiosk.texts import Texts

TRIES = int(os.environ.get("KIOSK_SOAK", "40"))


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
    content = bytearray(WHOLE)
    for position, value in changes:
        content[position] = value
    with file_of(bytes(content[:length])) as path:
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


@settings(max_examples=TRIES)
@given(st.lists(st.tuples(*[VALUES] * 9), max_size=4))
def test_a_table_that_no_kiosk_has_made(rows: list[tuple[object, ...]]) -> None:
    with file_of(b"") as path:
        with closing(sqlite3.connect(path)) as database:
            database.execute(
                "CREATE TABLE journal"
                " (number INTEGER PRIMARY KEY, at, visit, event, token, holder, serial, code, detail, chain)"
            )
            database.executemany("INSERT INTO journal VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            database.commit()
        read_everything(path)
