"""The calendar entry, read back as RFC 5545 has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from kiosk.reminder import Reminder, calendar_entry
from kiosk.texts import Texts, languages

REMINDER = Reminder(date(2027, 10, 24), "TKYM1408054", bytes(range(32)), datetime(2026, 11, 23, 5, 5, 6, tzinfo=UTC))


def lines(reminder: Reminder = REMINDER, language: str = "ja") -> list[str]:
    text = calendar_entry(reminder, Texts(language))
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r") == text.count("\r\n")
    return text.split("\r\n")[:-1]


@pytest.mark.parametrize("language", languages())
def test_what_a_calendar_asks_for_is_there_and_nested(language: str) -> None:
    found = lines(language=language)
    assert [line for line in found if line.startswith(("BEGIN", "END"))] == [
        "BEGIN:VCALENDAR",
        "BEGIN:VEVENT",
        "BEGIN:VALARM",
        "END:VALARM",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    told = dict(line.split(":", 1) for line in found if not line.startswith(("BEGIN", "END")))
    assert told.keys() == {
        *("VERSION", "PRODID", "UID", "DTSTAMP", "DTSTART;VALUE=DATE", "SUMMARY", "ACTION", "DESCRIPTION", "TRIGGER")
    }
    assert (told["VERSION"], told["ACTION"], told["TRIGGER"]) == ("2.0", "DISPLAY", "PT9H")
    assert told["DTSTAMP"] == "20261123T050506Z"
    assert told["DTSTART;VALUE=DATE"] == "20271024"


@pytest.mark.parametrize("language", languages())
def test_no_line_has_to_be_folded(language: str) -> None:
    assert all(len(line.encode()) <= 75 for line in lines(language=language))


@pytest.mark.parametrize("language", languages())
def test_it_stays_within_the_code_that_a_terminal_of_34_rows_can_show(language: str) -> None:
    assert len(calendar_entry(REMINDER, Texts(language)).encode()) <= 271


def test_the_id_is_there_in_part_only() -> None:
    text = calendar_entry(REMINDER, Texts("ja"))
    assert "*8054" in text
    assert "TKYM" not in text
    assert replace(REMINDER, holder_id="8054").id_in_part == "*"


def test_one_certificate_is_one_entry_however_often_it_is_read() -> None:
    again = replace(REMINDER, made=datetime(2027, 1, 1, tzinfo=UTC))
    another = replace(REMINDER, certificate=bytes(32))
    uid = [line for line in lines() if line.startswith("UID")]
    assert uid == [line for line in lines(again) if line.startswith("UID")]
    assert uid != [line for line in lines(another) if line.startswith("UID")]


@pytest.mark.parametrize("hostile", ["TKYM\r\nX:1", "TKYM;a,b", "TKYM\\n;,\x00"])
def test_an_id_cannot_write_lines_of_its_own(hostile: str) -> None:
    found = lines(replace(REMINDER, holder_id=hostile))
    assert len(found) == len(lines())
    summary = next(line for line in found if line.startswith("SUMMARY"))
    assert not any(summary[at] in ";," and summary[at - 1] != "\\" for at in range(len(summary)))
