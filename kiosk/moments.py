"""Moments and spans in a customer's words, in Japan time; the patterns are CLDR's, in the catalogues."""

from __future__ import annotations

from datetime import date, datetime, time

from babel.dates import format_datetime

from kiosk.clock import JAPAN
from kiosk.text_keys import TextKey
from kiosk.texts import Texts


def date_words(moment: datetime, texts: Texts) -> str:
    """2026年12月13日（日）."""
    return _formatted("moment.date", moment, texts)


def day_words(day: date, texts: Texts) -> str:
    """2027年10月24日（日）."""
    return format_datetime(datetime.combine(day, time()), texts("moment.date"), locale=texts.language)


def until_words(moment: datetime, texts: Texts) -> str:
    """2026年12月13日（日）23:59 まで."""
    return _formatted("moment.until", moment, texts)


def minute_words(moment: datetime, texts: Texts) -> str:
    """2025年12月14日（日）0:00."""
    return _formatted("moment.minute", moment, texts)


def now_words(moment: datetime, texts: Texts) -> str:
    """11月23日（月） 14:05, for the header."""
    return _formatted("moment.now", moment, texts)


def days_words(days: int, texts: Texts) -> str:
    """あと20日, 本日まで, or that it is over."""
    if days < 0:
        return texts("days.over")
    if days == 0:
        return texts("days.today")
    return texts("days.one") if days == 1 else texts("days.left", days=days)


def _formatted(pattern: TextKey, moment: datetime, texts: Texts) -> str:
    return format_datetime(moment, texts(pattern), tzinfo=JAPAN, locale=texts.language)
