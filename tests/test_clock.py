from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.clock import JAPAN, days_left, months_after, one_year_after, one_year_before, renewable_from


def japan(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=JAPAN)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("last_second", "now", "days"),
    [
        (japan(2026, 12, 13, 23, 59, 59), japan(2026, 11, 23, 12), 20),
        (japan(2026, 11, 23, 23, 59, 59), japan(2026, 11, 23, 23, 59, 59), 0),
        (japan(2026, 11, 23, 23, 59, 59), japan(2026, 11, 24), -1),
        (japan(2026, 11, 24), japan(2026, 11, 23, 23, 59, 59), 1),
        (japan(2028, 3, 1, 9), japan(2028, 2, 28, 9), 2),
        (japan(2027, 3, 1, 9), japan(2027, 2, 28, 9), 1),
        (japan(2027, 1, 1), japan(2026, 12, 31, 23), 1),
        # 23:59:59 UTC is 8:59:59 of the next day in Japan
        (datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC), japan(2026, 11, 23, 9), 1),
        (datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 23, 14, 59, tzinfo=UTC), 1),
        (datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 23, 15, tzinfo=UTC), 0),
    ],
)
def test_days_left_are_calendar_days_in_japan(last_second: datetime, now: datetime, days: int) -> None:
    assert days_left(last_second, now) == days


@pytest.mark.parametrize(
    ("months", "later"),
    [
        (1, japan(2026, 2, 28, 1, 2, 3)),
        (2, japan(2026, 3, 31, 1, 2, 3)),
        (3, japan(2026, 4, 30, 1, 2, 3)),
        (11, japan(2026, 12, 31, 1, 2, 3)),
        (12, japan(2027, 1, 31, 1, 2, 3)),
        (25, japan(2028, 2, 29, 1, 2, 3)),
    ],
)
def test_a_month_ends_in_the_same_second(months: int, later: datetime) -> None:
    assert months_after(japan(2026, 1, 31, 1, 2, 3), months) == later


@pytest.mark.parametrize(
    ("moment", "later"),
    [
        (japan(2026, 11, 23, 1, 2, 3), japan(2027, 11, 23, 1, 2, 3)),
        (japan(2028, 2, 29, 1, 2, 3), japan(2029, 2, 28, 1, 2, 3)),
        (japan(2027, 2, 28), japan(2028, 2, 28)),
    ],
)
def test_a_year_ends_in_the_same_second(moment: datetime, later: datetime) -> None:
    assert one_year_after(moment) == later


def test_a_year_back_from_a_leap_day() -> None:
    assert one_year_before(japan(2028, 2, 29)) == japan(2027, 2, 28)


moments = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2060, 1, 1), timezones=st.just(UTC))


@given(moments, st.integers(0, 60))
def test_the_window_opens_exactly_where_the_days_say(last_second: datetime, window: int) -> None:
    opens = renewable_from(last_second, window)
    assert days_left(last_second, opens) == window
    assert days_left(last_second, opens - timedelta(seconds=1)) == window + 1
