"""Moments and spans in a customer's words, in Japan time; the patterns are CLDR's, in the catalogues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from babel.dates import format_datetime

from kiosk.clock import JAPAN
from kiosk.text_keys import TextKey
from kiosk.texts import Texts

_HOURS_OF_A_DAY = 24


def date_words(moment: datetime, texts: Texts) -> str:
    """2026年12月13日（日）."""
    return _formatted("moment.date", moment, texts)


def day_words(day: date, texts: Texts) -> str:
    """2027年10月24日（日）."""
    return format_datetime(datetime.combine(day, time()), texts("moment.date"), locale=texts.language)


def until_words(moment: datetime, texts: Texts) -> str:
    """2026年12月13日（日）23:59 まで."""
    return _formatted("moment.until", moment, texts)


def today_words(moment: datetime, texts: Texts) -> str:
    """本日 23:59 まで."""
    return _formatted("moment.today", moment, texts)


def minute_words(moment: datetime, texts: Texts) -> str:
    """2025年12月14日（日）0:00."""
    return _formatted("moment.minute", moment, texts)


def now_words(moment: datetime, texts: Texts) -> str:
    """11月23日（月） 14:05, for the header."""
    return _formatted("moment.now", moment, texts)


def time_words(moment: datetime, texts: Texts) -> str:
    """14:05, for a header without room for the date."""
    return _formatted("moment.time", moment, texts)


def second_words(moment: datetime, texts: Texts) -> str:
    """14:05:07, for records."""
    return _formatted("moment.second", moment, texts)


def days_words(days: int, texts: Texts) -> str:
    """あと20日, 本日まで, or that it is over."""
    if days < 0:
        return texts("days.over")
    if days == 0:
        return texts("days.today")
    return texts("days.one") if days == 1 else texts("days.left", days=days)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a validity, in the unit in which people count it."""

    number: int
    unit: TextKey
    """What stands behind the number."""
    whole: TextKey
    """Number and unit in one."""

    def words(self, texts: Texts) -> str:
        """あと20日, あと5時間, あと1分未満."""
        return texts(self.whole, days=self.number, hours=self.number, minutes=self.number)


def left_of(last_second: datetime, now: datetime, days: int) -> Left | None:
    """What is left up to the end of `last_second`, which is `days` calendar days ahead; None where it is over.

    Days; on the last day, and within the last 24 hours, hours; within the last hour, minutes. Rounded down, so that
    nobody is told of more time than there is.
    """
    left = last_second + timedelta(seconds=1) - now
    minutes, hours = left // timedelta(minutes=1), left // timedelta(hours=1)
    if left <= timedelta():
        return None
    if minutes < 1:
        return Left(1, "minutes.last-behind", "minutes.last")
    if hours < 1:
        one = minutes == 1
        return Left(
            minutes, "minutes.behind-one" if one else "minutes.behind", "minutes.one" if one else "minutes.left"
        )
    if days < 1 or hours < _HOURS_OF_A_DAY:
        one = hours == 1
        return Left(hours, "hours.behind-one" if one else "hours.behind", "hours.one" if one else "hours.left")
    one = days == 1
    return Left(days, "days.behind-one" if one else "days.behind", "days.one" if one else "days.left")


def _formatted(pattern: TextKey, moment: datetime, texts: Texts) -> str:
    return format_datetime(moment, texts(pattern), tzinfo=JAPAN, locale=texts.language)
