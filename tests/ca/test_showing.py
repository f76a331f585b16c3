from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.ca.office.showing import Record, Value, width, write_json, write_table

AT = datetime(2026, 3, 1, 15, 4, 5, 999999, tzinfo=UTC)
VALUES: st.SearchStrategy[Value] = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.just(AT))
RECORDS: st.SearchStrategy[list[Record]] = st.lists(st.fixed_dictionaries({"id": VALUES, "name": VALUES}), min_size=1)


def test_times_are_those_of_the_reader() -> None:
    assert write_table([{"ends": AT}], 80) == "ends\n2026-03-02 00:04"
    assert write_json([{"ends": AT}]) == '[{"ends": "2026-03-01T15:04:05Z"}]'


def test_what_is_not_there_is_empty_or_null() -> None:
    assert write_table([{"id": "A", "name": None, "good": True}], 80).splitlines()[1] == "A         yes"
    assert json.loads(write_json([{"id": "A", "name": None, "good": True}])) == [
        {"id": "A", "name": None, "good": True}
    ]
    assert (write_table([], 80), write_json([])) == ("none", "[]")


def test_columns_stand_below_each_other_in_japanese_too() -> None:
    table = write_table([{"name": "見本太郎", "id": "A"}, {"name": "が", "id": "B"}, {"name": "Jo", "id": "C"}], 80)
    assert {width(line[:-1]) for line in table.splitlines()[1:]} == {10}


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("見本", 4), ("ﾃｽﾄ", 3), ("か\u3099", 2), ("e\u0301", 1)]
)
def test_width_is_that_of_a_terminal(text: str, columns: int) -> None:
    assert width(text) == columns


def test_what_is_too_wide_has_fewer_columns_and_then_a_block_a_record() -> None:
    records: list[Record] = [{"id": "A", "subject": "x" * 30}, {"id": "B", "subject": "y" * 30}]
    assert write_table(records, 33, ("id",)).count("\n") == 2
    assert write_table(records, 32, ("id",)) == "id\nA\nB"
    blocks = write_table(records, 32).split("\n\n")
    assert blocks == [f"id       A\nsubject  {'x' * 30}", f"id       B\nsubject  {'y' * 30}"]


@given(RECORDS, st.integers(1, 200))
def test_nothing_steers_the_terminal(records: list[Record], columns: int) -> None:
    for text in (write_table(records, columns), write_json(records)):
        assert all(each == "\n" or each.isprintable() for each in text)
        assert not any(unicodedata.category(each) in ("Cc", "Cf") for each in text if each != "\n")


@given(RECORDS, st.integers(1, 200))
def test_a_table_is_no_wider_than_the_terminal(records: list[Record], columns: int) -> None:
    lines = write_table(records, columns).split("\n")
    is_table = len(lines) == len(records) + 1 and lines[0].split() == ["id", "name"]
    assert not is_table or all(width(line) <= columns for line in lines)


@given(RECORDS)
def test_json_says_what_the_records_say(records: list[Record]) -> None:
    told = json.loads(write_json(records))
    expected = [
        {key: "2026-03-01T15:04:05Z" if value is AT else value for key, value in each.items()} for each in records
    ]
    assert told == expected
