"""What is left of a validity, in the words in which people count it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from kiosk.clock import JAPAN, days_left
from kiosk.moments import left_of
from kiosk.texts import Texts

END = datetime(2026, 12, 13, 23, 59, 59, tzinfo=JAPAN)
MORNING_END = datetime(2026, 12, 13, 8, 59, 59, tzinfo=JAPAN)
"""Where a bank ends its certificates with the day in UTC."""
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


def said(end: datetime, before: timedelta, language: str = "ja") -> str | None:
    """What is said so long before the end of the last valid second."""
    now = end + SECOND - before
    left = left_of(end, now, days_left(end, now))
    return left.words(Texts(language)) if left else None


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (20 * DAY, "あと19日"),
        (20 * DAY - SECOND, "あと19日"),
        (2 * DAY + SECOND, "あと2日"),
        (2 * DAY, "あと1日"),
        (DAY + SECOND, "あと1日"),
        (DAY, "あと24時間"),
        (DAY - SECOND, "あと23時間"),
        (10 * HOUR, "あと10時間"),
        (2 * HOUR - SECOND, "あと1時間"),
        (HOUR, "あと1時間"),
        (HOUR - SECOND, "あと59分"),
        (2 * MINUTE, "あと2分"),
        (2 * MINUTE - SECOND, "あと1分"),
        (MINUTE, "あと1分"),
        (MINUTE - SECOND, "あと1分未満"),
        (SECOND, "あと1分未満"),
        (timedelta(microseconds=1), "あと1分未満"),
        (timedelta(), None),
        (-HOUR, None),
    ],
)
def test_days_then_hours_then_minutes_and_never_more_than_there_is(before: timedelta, words: str | None) -> None:
    assert said(END, before) == words


@pytest.mark.parametrize(
    ("before", "words"), [(10 * HOUR, "あと10時間"), (40 * MINUTE, "あと40分"), (33 * HOUR, "あと1日")]
)
def test_an_end_in_the_morning_is_not_called_a_day_away_the_evening_before(before: timedelta, words: str) -> None:
    assert said(MORNING_END, before) == words


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (5 * HOUR, "5 hours left"),
        (HOUR, "1 hour left"),
        (5 * MINUTE, "5 minutes left"),
        (MINUTE, "1 minute left"),
        (30 * SECOND, "less than 1 minute left"),
    ],
)
def test_in_english(before: timedelta, words: str) -> None:
    assert said(END, before, "en") == words
