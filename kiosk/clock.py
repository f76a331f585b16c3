"""The one clock rule: how days are counted, what a year is, and whose "now" counts.

"Now" is the CA's; a kiosk learns how far its own clock is off in preprocessing. Time is handed in, never fetched, by
everything that decides something about it.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]
"""Answers the present moment, aware, in UTC."""

JAPAN = ZoneInfo("Asia/Tokyo")


def system_clock() -> datetime:
    """The machine's own clock, in UTC."""
    return datetime.now(UTC)


def days_left(last_second: datetime, now: datetime, zone: ZoneInfo = JAPAN) -> int:
    """Calendar days in the bank's zone from `now` to the last valid second.

    0 is the last day, negative numbers are days since. Notice, menu, the CA's window and the mails all ask here.
    """
    return (last_second.astimezone(zone).date() - now.astimezone(zone).date()).days


def renewable_from(last_second: datetime, window_days: int, zone: ZoneInfo = JAPAN) -> datetime:
    """The first moment at which no more than `window_days` are left: midnight in the bank's zone."""
    first_day = last_second.astimezone(zone).date() - timedelta(days=window_days)
    return datetime(first_day.year, first_day.month, first_day.day, tzinfo=zone)


def months_after(moment: datetime, months: int) -> datetime:
    """The same second so many calendar months later; a day that the month does not have becomes its last."""
    years, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + years, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))


def one_year_after(moment: datetime) -> datetime:
    """The same second one calendar year later; 29 February becomes 28 February."""
    return months_after(moment, 12)


def one_year_before(moment: datetime) -> datetime:
    """The same second one calendar year earlier; 29 February becomes 28 February."""
    try:
        return moment.replace(year=moment.year - 1)
    except ValueError:
        return moment.replace(year=moment.year - 1, day=28)
