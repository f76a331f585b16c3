"""`kiosk journal export`: every field, once, and no spreadsheet computes any of it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from kiosk.audit.export import COLUMNS, Form, write
from kiosk.audit.reading import Line
from kiosk.cli import main
from kiosk.journal import Entry, Event, Journal

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x/")']


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        journal.append("v1", Event.VISIT_BEGUN, "USB1", "", "", "", "")
        journal.append("v1", Event.ISSUED, "USB1", "TKYM1408054", "60345f56", "", 'a "quoted", 日本語')
        for formula in FORMULAS:
            journal.append("v2", Event.PROBLEM, formula, formula, formula, formula, formula)
    return path


def export(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["journal", "export", "--journal", str(path), *arguments])


def test_json_lines_have_every_field_as_it_is(path: Path) -> None:
    rows = [json.loads(line) for line in export(path, "--format", "jsonl").stdout.split("\n") if line]
    with Journal(path) as journal:
        entries = journal.entries()
    assert [tuple(row) for row in rows] == [COLUMNS] * len(entries)
    assert [{name: row[name] for name in COLUMNS[1:-1]} for row in rows] == [
        {name: getattr(entry, name) for name in COLUMNS[1:-1]} for entry in entries
    ]
    assert [row["number"] for row in rows] == list(range(1, len(entries) + 1))
    assert all(len(row["chain"]) == 64 for row in rows)


def test_csv_is_what_a_spreadsheet_reads(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.csv"
    done = export(path, "--out", str(out))
    assert done.exit_code == 0
    assert "10行" in done.stdout
    assert out.read_bytes().startswith(b"\xef\xbb\xbfnumber,at,visit,event")
    assert out.stat().st_mode & 0o077 == 0
    rows = list(csv.DictReader(io.StringIO(out.read_bytes().decode("utf-8-sig"), newline="")))
    assert rows[1]["detail"] == 'a "quoted", 日本語'
    assert rows[1]["serial"] == "60345f56"


def test_no_cell_is_a_formula(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.csv"
    export(path, "--out", str(out), "--problems")
    rows = list(csv.reader(io.StringIO(out.read_bytes().decode("utf-8-sig"), newline="")))
    assert [row[-2] for row in rows[1:]] == [f"'{formula}" for formula in FORMULAS]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for row in rows for cell in row)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_whatever_is_written_there_stays_one_cell(texts: list[str]) -> None:
    lines = [Line(number, Entry(*[text] * 8), "") for number, text in enumerate(texts)]
    file = io.StringIO(newline="")
    assert write(lines, Form.CSV, file) == len(lines)
    rows = list(csv.reader(io.StringIO(file.getvalue(), newline="")))
    assert [row[1].removeprefix("'") for row in rows[1:]] == [text.removeprefix("'") for text in texts]


def test_only_what_is_wanted(path: Path) -> None:
    done = export(path, "--format", "jsonl", "--id", "TKYM1408054")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["visit-begun", "issued"]


def test_what_is_there_is_not_written_over(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.csv"
    out.write_text("another audit")
    done = export(path, "--out", str(out))
    assert (done.exit_code, out.read_text()) == (1, "another audit")
    assert "name another file" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir() if "audit" in each.name) == ["audit.csv"]


def test_a_folder_that_is_not_there_is_told(path: Path, tmp_path: Path) -> None:
    done = export(path, "--out", str(tmp_path / "none" / "audit.csv"))
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr


def test_half_an_export_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for number in range(200):
            journal.append("v", Event.ISSUED, "", "", "", "", str(number) + "x" * 1000)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 20480] = b"\xff" * 20480
    path.write_bytes(whole)
    done = export(path, "--out", str(tmp_path / "audit.csv"))
    assert done.exit_code == 1
    assert "damaged" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir() if "audit" in each.name) == []
