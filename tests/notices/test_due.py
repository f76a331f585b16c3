"""Who is to be told: by the day, and by what the ledger says of the certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CertificateState
from kiosk.clock import JAPAN, days_left
from kiosk.notices.due import Look, every_due, every_number, find_due, reached
from tests.ca.bank import on_both
from tests.notices.ledgers import ANOTHERS, enter, enter_certificate, enter_holder
from tests.notices.samples import END, days_before

pytestmark = on_both

DAYS = frozenset({30, 10})
YEAR = timedelta(days=365)


def told(book: Ledger, now: datetime) -> list[tuple[str, int, int]]:
    """Whom, about which day, with how many days left."""
    return [(due.notice.holder.id, due.notice.day, due.days_left) for due in every_due(book, Look(DAYS, now))]


@pytest.mark.parametrize(
    ("left", "day"), [(365, None), (31, None), (30, 30), (29, 30), (11, 30), (10, 10), (9, 10), (0, 10), (-1, None)]
)
def test_the_notice_day_that_counts_is_the_last_that_has_come(left: int, day: int | None) -> None:
    assert reached(left, DAYS) == day


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (days_before(31), []),
        (datetime(2026, 11, 12, 23, 59, 59, tzinfo=JAPAN), []),
        (datetime(2026, 11, 13, 0, 0, 0, tzinfo=JAPAN), [("A", 30, 30)]),
        (datetime(2026, 11, 12, 15, 0, 0, tzinfo=UTC), [("A", 30, 30)]),
        (datetime(2026, 11, 12, 14, 59, 59, tzinfo=UTC), []),
        (days_before(27), [("A", 30, 27)]),
        (datetime(2026, 12, 2, 23, 59, 59, tzinfo=JAPAN), [("A", 30, 11)]),
        (datetime(2026, 12, 3, tzinfo=JAPAN), [("A", 10, 10)]),
        (days_before(1), [("A", 10, 1)]),
        (END, [("A", 10, 0)]),
        (END + timedelta(seconds=1), []),
    ],
)
def test_days_begin_at_midnight_in_japan(book: Ledger, now: datetime, expected: list[tuple[str, int, int]]) -> None:
    enter(book, "A", END)
    assert told(book, now) == expected


@pytest.mark.parametrize("state", CertificateState)
def test_only_valid_certificates_are_told_of(book: Ledger, state: CertificateState) -> None:
    with book.begin() as connection:
        enter_holder(connection, "A")
        enter_certificate(connection, "A", END, state=state)
    assert bool(told(book, days_before(20))) == (state is CertificateState.VALID)


@pytest.mark.parametrize(
    ("state", "is_told"),
    [
        (CertificateState.VALID, False),
        (CertificateState.UNCONFIRMED, True),
        (CertificateState.REVOKED, True),
        (CertificateState.SUPERSEDED, True),
    ],
)
def test_who_has_a_newer_one_in_date_is_left_alone(book: Ledger, state: CertificateState, is_told: bool) -> None:
    with book.begin() as connection:
        enter_holder(connection, "A")
        enter_certificate(connection, "A", END)
        enter_certificate(connection, "A", END + YEAR, state=state)
    assert bool(told(book, days_before(20))) == is_told


def test_of_two_that_end_soon_the_later_is_told_of(book: Ledger) -> None:
    with book.begin() as connection:
        enter_holder(connection, "A")
        enter_certificate(connection, "A", END)
        enter_certificate(connection, "A", END + timedelta(days=2))
    assert told(book, days_before(20)) == [("A", 30, 22)]


def test_of_two_that_end_together_there_is_one_mail(book: Ledger) -> None:
    with book.begin() as connection:
        enter_holder(connection, "A")
        enter_certificate(connection, "A", END)
        enter_certificate(connection, "A", END, serial="02")
    assert told(book, days_before(20)) == [("A", 30, 20)]


def test_another_ids_newer_certificate_changes_nothing(book: Ledger) -> None:
    enter(book, "A", END)
    enter(book, "B", END + YEAR)
    assert told(book, days_before(20)) == [("A", 30, 20)]


def test_certificates_issued_elsewhere_are_told_of_too(book: Ledger) -> None:
    with book.begin() as connection:
        enter_holder(connection, "A")
        enter_certificate(connection, "A", END, issuer=ANOTHERS)
    assert told(book, days_before(20)) == [("A", 30, 20)]


def test_pages_miss_nobody_and_tell_nobody_twice(book: Ledger) -> None:
    # Many end in the same second, so that a page ends in the midst of them.
    for number in range(23):
        enter(book, f"H{number:02}", END + timedelta(days=number % 3))
    look = Look(DAYS, days_before(20))
    whole = [due.id for due in every_due(book, look)]
    for page in (1, 2, 7, 23, 24):
        assert [due.id for due in every_due(book, look, page)] == whole
        pages = list(every_number(book, look, page))
        assert [row.id for each in pages for row in each] == whole
        assert max(map(len, pages)) <= page
    assert len(set(whole)) == 23


def test_what_is_told_of_a_holder(book: Ledger) -> None:
    number = enter(book, "TKYM1408054", END, kind="administrator", language="en", name=None)
    with book.read() as connection:
        due = find_due(connection, number, Look(DAYS, days_before(20)))
    assert due is not None
    assert (due.notice.holder.kind.value, due.notice.language, due.notice.name) == ("administrator", "en", "")
    assert (due.notice.email, due.notice.last_second) == ("TKYM1408054@example.co.jp", END)


moments = st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2029, 1, 1), timezones=st.just(UTC))


@given(
    ends=st.lists(moments, min_size=1, max_size=5),
    now=moments,
    days=st.frozensets(st.integers(0, 60), min_size=1, max_size=4),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_query_and_the_one_function_agree(
    book: Ledger, ends: list[datetime], now: datetime, days: frozenset[int]
) -> None:
    with book.begin() as connection:
        numbers = {}
        for at, end in enumerate(ends):
            enter_holder(connection, f"H{at}")
            numbers[enter_certificate(connection, f"H{at}", end)] = end
        for number, end in numbers.items():
            due = find_due(connection, number, Look(days, now))
            day = reached(days_left(end, now), days) if end >= now else None
            assert (due.notice.day if due else None) == day
        connection.rollback()
