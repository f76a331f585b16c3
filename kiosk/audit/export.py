"""The journal for an audit: every field, in CSV for a spreadsheet or in JSON Lines for a program."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TextIO

import msgspec

from kiosk.audit.reading import Line

COLUMNS = ("number", "at", "visit", "event", "token", "holder", "serial", "code", "detail", "chain")
"""Of both forms, in this order."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Form(Enum):
    """How it is written."""

    CSV = "csv"
    """RFC 4180, UTF-8 with a byte order mark, as spreadsheets in Japan want it.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    JSONL = "jsonl"
    """One JSON object a line; every value is as it is in the journal."""


def write(lines: Iterable[Line], form: Form, file: TextIO) -> int:
    """Write them; how many there were."""
    rows = (_row(line) for line in lines)
    return _write_csv(rows, file) if form is Form.CSV else _write_json(rows, file)


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A file at `path` for its owner only, which is there once it is complete.

    Raises:
        FileExistsError: something is there already; it stays as it is.
        OSError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # A rename alone would replace what is there; a hard link would not, but a USB stick (FAT) knows none (link(2)).
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _row(line: Line) -> dict[str, str | int]:
    return dict(zip(COLUMNS, (line.number, *line.entry.fields, line.chain), strict=True))


def _write_csv(rows: Iterable[dict[str, str | int]], file: TextIO) -> int:
    file.write("\ufeff")
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    count = 0
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
        count += 1
    return count


def _write_json(rows: Iterable[dict[str, str | int]], file: TextIO) -> int:
    count = 0
    for row in rows:
        file.write(msgspec.json.encode(row).decode() + "\n")
        count += 1
    return count


def _cell(value: str | int) -> str | int:
    """A spreadsheet computes what begins like a formula, wherever it came from (CWE-1236)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
