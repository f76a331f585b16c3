"""CSV files that people write with a spreadsheet, and read with one.

A cell that a spreadsheet would take for a formula is written with an apostrophe before it, as people write it there
too, and read without (https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from kiosk.ca.holders import HolderRefused
from kiosk.ca.office.showing import Record, iso

ENCODINGS = ("utf-8", "cp932")
"""What files are read in; UTF-8 with the mark that Excel puts before it, too."""

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes."""

_Taken = TypeVar("_Taken")
_ESCAPE = "'"
_FORMULA = frozenset("=+-@＝＋－＠\t\r\n" + _ESCAPE)


@dataclass(frozen=True, slots=True)
class Row:
    """One record."""

    where: str
    """The line of the file in which it begins, or the file, for those who have to look there."""
    cells: Mapping[str, str]
    """By column; without spaces around them."""


class RowRefused(ValueError):
    """A record cannot be taken; the message says why."""


class FileRefused(ValueError):
    """A file cannot be taken; `faults` are all the reasons there are, each with where it is."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


def read_rows(
    data: bytes,
    encoding: str,
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    largest: int = LARGEST_FILE,
) -> Sequence[Row]:
    """The records below a line that names the columns.

    Raises:
        FileRefused: it is not in this encoding or no CSV, or its columns are not as they must be.
    """
    if len(data) > largest:
        raise FileRefused([f"the file has more than {largest} bytes"])
    records = _records(_decode(data, encoding))
    line, first = next(records, (1, []))
    columns = [each.strip() for each in first]
    _check_columns(line, columns, required, optional)
    rows, faults = [], []
    for line, record in records:
        if len(record) == len(columns):
            cells = {column: _read_cell(cell.strip()) for column, cell in zip(columns, record, strict=True)}
            rows.append(Row(f"line {line}", cells))
        else:
            faults.append(f"line {line}: {len(record)} cells, but {len(columns)} columns")
    if faults:
        raise FileRefused(faults)
    return rows


def take_rows(rows: Sequence[Row], take: Callable[[Row], _Taken]) -> list[_Taken]:
    """What becomes of every row.

    Raises:
        FileRefused: with every row that cannot be taken, and why.
    """
    taken, faults = [], []
    for row in rows:
        try:
            taken.append(take(row))
        except (HolderRefused, RowRefused) as refused:
            faults.append(f"{row.where}: {refused}")
    if faults:
        raise FileRefused(faults)
    return taken


def write_rows(records: Sequence[Record], columns: Sequence[str]) -> str:
    """These columns of records, below their names."""
    file = io.StringIO(newline="")
    lines = csv.writer(file)
    lines.writerow(columns)
    lines.writerows([_write_cell(record[column]) for column in columns] for record in records)
    return file.getvalue()


def _decode(data: bytes, encoding: str) -> str:
    try:
        return data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        others = " or ".join(f"--encoding {each}" for each in ENCODINGS if each != encoding)
        raise FileRefused([f"line {line}: this is not {encoding}; try {others}"]) from error


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Every record that is not empty, with the line in which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileRefused([f"line {line}: this is no CSV: {error}"]) from error
        if any(each.strip() for each in record):
            yield line, record


def _check_columns(line: int, columns: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    known = [*required, *optional]
    faults = [f"line {line}: the column {each} is missing" for each in required if each not in columns]
    faults += [
        f"line {line}: there is no column {each[:40]!r}; there can be {', '.join(known)}"
        for each in dict.fromkeys(columns)
        if each not in known
    ]
    faults += [f"line {line}: the column {each} is there twice" for each in known if columns.count(each) > 1]
    if faults:
        raise FileRefused(faults)


def _read_cell(text: str) -> str:
    return text[1:] if text[:1] == _ESCAPE and text[1:2] in _FORMULA else text


def _write_cell(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    text = "" if value is None else str(value)
    return _ESCAPE + text if text[:1] in _FORMULA else text
