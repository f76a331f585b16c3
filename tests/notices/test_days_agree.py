"""The one function that counts days, as customers and tellers meet it: screen, menu, the CA's window, mail and report.

The table goes over midnight, the ends of months and years and leap days, in Japan time and in UTC.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kiosk.ca.ledger import Entry, Ledger
from kiosk.ca.policy import Policy as CaPolicy
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import CertificateState
from kiosk.ca.standing import check_update
from kiosk.certificates import Certificate
from kiosk.clock import JAPAN, days_left
from kiosk.conversation import Conversation
from kiosk.credentials import Credential, Holder, HolderKind
from kiosk.notices.due import Look, every_due
from kiosk.notices.message import compose
from kiosk.notices.report import Part, make_report
from kiosk.services import Services
from kiosk.settings import Policy as KioskPolicy
from kiosk.texts import Texts
from kiosk.words import held_words
from tests.cmp.pki import certificate, new_key
from tests.notices.ledgers import enter
from tests.notices.samples import SETTINGS, notice

WINDOW = 30


def japan(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=JAPAN)  # type: ignore[arg-type,misc]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


TABLE = [
    # last valid second, now, days left
    # midnight in Japan, from both sides, in either zone
    (japan(2026, 12, 13, 23, 59, 59), japan(2026, 11, 13, 0, 0, 0), 30),
    (japan(2026, 12, 13, 23, 59, 59), japan(2026, 11, 12, 23, 59, 59), 31),
    (japan(2026, 12, 13, 23, 59, 59), utc(2026, 11, 12, 15, 0, 0), 30),
    (japan(2026, 12, 13, 23, 59, 59), utc(2026, 11, 12, 14, 59, 59), 31),
    # midnight in UTC is nothing
    (japan(2026, 12, 13, 23, 59, 59), utc(2026, 11, 12, 23, 59, 59), 30),
    (japan(2026, 12, 13, 23, 59, 59), utc(2026, 11, 13, 0, 0, 0), 30),
    # an end at midnight in UTC is one in the morning in Japan
    (utc(2026, 12, 12, 23, 59, 59), japan(2026, 12, 13, 0, 0, 0), 0),
    (utc(2026, 12, 12, 23, 59, 59), japan(2026, 12, 12, 23, 59, 59), 1),
    (utc(2026, 12, 12, 23, 59, 59), utc(2026, 12, 12, 14, 59, 59), 1),
    (utc(2026, 12, 12, 23, 59, 59), utc(2026, 12, 12, 15, 0, 0), 0),
    # an end in the first second of a day
    (japan(2026, 12, 13, 0, 0, 0), japan(2026, 12, 12, 23, 59, 59), 1),
    (japan(2026, 12, 13, 0, 0, 0), japan(2026, 12, 13, 0, 0, 0), 0),
    # months of 31, 30, 28 and 29 days
    (japan(2026, 12, 31, 12, 0, 0), japan(2026, 12, 1, 12, 0, 0), 30),
    (japan(2026, 12, 1, 12, 0, 0), japan(2026, 11, 1, 12, 0, 0), 30),
    (japan(2027, 3, 1, 12, 0, 0), japan(2027, 2, 1, 12, 0, 0), 28),
    (japan(2028, 3, 1, 12, 0, 0), japan(2028, 2, 1, 12, 0, 0), 29),
    (japan(2027, 3, 1, 0, 0, 0), japan(2027, 2, 28, 23, 59, 59), 1),
    (japan(2028, 3, 1, 0, 0, 0), japan(2028, 2, 28, 23, 59, 59), 2),
    (japan(2028, 2, 29, 23, 59, 59), japan(2028, 2, 29, 0, 0, 0), 0),
    (japan(2028, 2, 29, 23, 59, 59), japan(2028, 1, 30, 0, 0, 0), 30),
    (japan(2028, 3, 30, 23, 59, 59), japan(2028, 2, 29, 8, 59, 59), 30),
    (japan(2027, 3, 30, 23, 59, 59), japan(2027, 2, 28, 8, 59, 59), 30),
    # the turn of the year
    (japan(2027, 1, 1, 0, 0, 0), japan(2026, 12, 31, 23, 59, 59), 1),
    (utc(2026, 12, 31, 15, 0, 0), utc(2026, 12, 31, 14, 59, 59), 1),
    (japan(2027, 1, 10, 23, 59, 59), japan(2026, 12, 31, 12, 0, 0), 10),
    # the last second
    (japan(2026, 12, 13, 23, 59, 59), japan(2026, 12, 13, 23, 59, 59), 0),
]


@pytest.fixture(scope="module")
def any_certificate() -> Certificate:
    key = new_key()
    return certificate("TKYM1408054 1403", key.public_key(), signing_key=key)


def conversation(now: datetime) -> Conversation:
    """That of a kiosk at this moment; what it is asked needs no desk, and of the token only that it is none of a PC."""
    services = cast(Services, SimpleNamespace(policy=KioskPolicy(), clock=lambda: now))
    token, nobody = cast(Any, SimpleNamespace(kind=None)), cast(Any, None)
    return Conversation(nobody, token, services, nobody, nobody, nobody, nobody)


def is_taken_for_renewal(old: Certificate, now: datetime) -> bool:
    """Whether the CA would renew it."""
    try:
        check_update(Entry(1, old, "A", CertificateState.VALID, None), (), None, CaPolicy(), now)
    except Refusal:
        return False
    return True


@pytest.mark.parametrize(("end", "now", "days"), TABLE)
def test_screen_menu_window_mail_and_report_agree(
    book: Ledger, any_certificate: Certificate, end: datetime, now: datetime, days: int
) -> None:
    ending = replace(any_certificate, not_before=end - timedelta(days=365), not_after=end)
    credential = Credential(ending, b"", Holder("TKYM1408054", HolderKind.USER))
    assert days_left(end, now) == days, "the function itself"

    kiosk = conversation(now)
    menu, is_open = kiosk._menu(credential), days <= WINDOW
    assert (kiosk._held(credential).days_left, menu.days_left) == (days, days), "screen and menu"
    assert kiosk._is_due(credential) == (menu.renewable_from is None) == is_open, "the notice, and the menu's button"
    assert is_taken_for_renewal(ending, now) == is_open, "the CA's window"

    told = {"ja": "本日まで" if days == 0 else f"あと{days}日", "en": _english(days)}
    assert told["ja"] in held_words(kiosk._held(credential), Texts("ja")), "the screen's words"
    for language, words in told.items():
        mail = compose(notice(language, last_second=end), SETTINGS, now)
        assert words in str(mail["Subject"]), "the mail"

    enter(book, "A", end)
    due = [each.days_left for each in every_due(book, Look(frozenset({WINDOW}), now))]
    assert due == ([days] if is_open else []), "who gets a mail"
    with book.read() as connection:
        listed = [record["days_left"] for record in make_report(connection, now).of(Part.DUE)]
    assert listed == [days], "the teller's report"


@pytest.mark.parametrize("end", sorted({end for end, _, _ in TABLE}))
def test_each_day_before_an_end_is_counted_once(end: datetime) -> None:
    noons = [end.astimezone(JAPAN).replace(hour=12, minute=0, second=0) - timedelta(days=n) for n in range(60)]
    assert [days_left(end, noon) for noon in noons] == list(range(60))


def _english(days: int) -> str:
    return "today" if days == 0 else "in 1 day" if days == 1 else f"in {days} days"
