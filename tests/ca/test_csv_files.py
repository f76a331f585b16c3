from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.ca.office import csv_files
from kiosk.ca.office.csv_files import FileRefused, read_rows, write_rows

COLUMNS = ("id", "name")
CELLS = st.text(st.characters(codec="utf-8")).map(str.strip)


def read(text: str | bytes, encoding: str = "utf-8") -> list[tuple[str, dict[str, str]]]:
    data = text if isinstance(text, bytes) else text.encode(encoding)
    rows = read_rows(data, encoding, required=("id",), optional=("name", "email"))
    return [(row.where, dict(row.cells)) for row in rows]


def faults(text: str | bytes, encoding: str = "utf-8") -> tuple[str, ...]:
    with pytest.raises(FileRefused) as caught:
        read(text, encoding)
    return caught.value.faults


def told_of(data: bytes, encoding: str) -> tuple[str, ...]:
    """What is said against a file, if anything."""
    try:
        rows = read_rows(data, encoding, required=("id",), optional=("name",))
    except FileRefused as refused:
        return refused.faults
    assert all("id" in row.cells and row.where.startswith("line ") for row in rows)
    return ()


@pytest.mark.parametrize(
    "data",
    [
        "id,name\nA,見本太郎\n".encode(),
        "\ufeffid,name\r\nA,見本太郎\r\n".encode(),
        ' id , name \r\n"A", 見本太郎 '.encode(),
        "id,name\n\nA,見本太郎\n,\n".encode(),
        "name,id\n見本太郎,A".encode(),
    ],
)
def test_what_spreadsheets_write_is_read(data: bytes) -> None:
    ((_, cells),) = read(data)
    assert cells == {"id": "A", "name": "見本太郎"}


def test_excel_of_japan_is_read_when_said_so() -> None:
    data = "id,name\r\nA,見本太郎\r\n".encode("cp932")
    assert read(data, "cp932") == [("line 2", {"id": "A", "name": "見本太郎"})]
    (fault,) = faults(data)
    assert fault == "line 2: this is not utf-8; try --encoding cp932"


def test_a_row_is_told_by_the_line_in_which_it_begins() -> None:
    assert [line for line, _ in read('id,name\nA,"two\nlines"\n\nB,x\n')] == ["line 2", "line 5"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ("line 1: the column id is missing",)),
        ("name\nA\n", ("line 1: the column id is missing",)),
        ("id,nmae\nA,x\n", ("line 1: there is no column 'nmae'; there can be id, name, email",)),
        ("id,name,id\n", ("line 1: the column id is there twice",)),
        ("id,name\nA\nB,x\nC,x,y\n", ("line 2: 1 cells, but 2 columns", "line 4: 3 cells, but 2 columns")),
        ('id,name\nA,"x\nB,y\n', ("line 2: this is no CSV: unexpected end of data",)),
        ('id,name\nA,"x"y\n', ("line 2: this is no CSV: ',' expected after '\"'",)),
        ("id\n" + "x" * 200_000, ("line 2: this is no CSV: field larger than field limit (131072)",)),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, told: tuple[str, ...]) -> None:
    assert faults(text) == told


def test_a_file_has_an_end() -> None:
    with pytest.raises(FileRefused, match="more than 4 bytes"):
        read_rows(b"id\nA\n", "utf-8", required=("id",), largest=4)


@given(st.lists(st.tuples(CELLS, CELLS)))
def test_what_is_written_is_read_again(cells: list[tuple[str, str]]) -> None:
    records = [dict(zip(COLUMNS, each, strict=True)) for each in cells]
    rows = read_rows(write_rows(records, COLUMNS).encode(), "utf-8", required=COLUMNS)
    assert [dict(row.cells) for row in rows] == [each for each in records if any(each.values())]


@given(st.sampled_from("=+-@＝＋－＠\t\r\n'"), st.text(st.characters(codec="utf-8")))
def test_no_cell_is_a_formula(first: str, rest: str) -> None:
    text = write_rows([{"id": "A", "name": first + rest}], COLUMNS)
    assert list(csv.reader(io.StringIO(text, newline="")))[1][1] == f"'{first}{rest}"


@given(st.binary() | st.text(st.characters(codec="utf-8")).map(str.encode), st.sampled_from(csv_files.ENCODINGS))
def test_no_file_breaks_the_reader(data: bytes, encoding: str) -> None:
    for whole in (data, b"id,name\n" + data):
        told = told_of(whole, encoding)
        assert all(fault.isprintable() for fault in told)
