"""Which certificates have reached a notice day, in one SQL query that is read page by page.

The query chooses by the moments at which days begin; how many days are left is decided by `kiosk.clock.days_left`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, exists, func, literal, or_, select

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CERTIFICATES, HOLDERS, NOTICES, CertificateState, Moment, NoticeState
from kiosk.clock import days_left, renewable_from
from kiosk.credentials import Holder, HolderKind
from kiosk.notices.message import Notice

PAGE = 500
"""So many certificates are read at a time."""

_REACHABLE_AT = func.nullif(HOLDERS.c.email, "")
_NEWER = CERTIFICATES.alias("newer")
_NONE_NEWER = ~exists().where(
    _NEWER.c.holder == CERTIFICATES.c.holder,
    _NEWER.c.state == CertificateState.VALID,
    or_(
        _NEWER.c.not_after > CERTIFICATES.c.not_after,
        and_(_NEWER.c.not_after == CERTIFICATES.c.not_after, _NEWER.c.id > CERTIFICATES.c.id),
    ),
)


@dataclass(frozen=True, slots=True)
class Due:
    """A certificate whose holder is to be told now, if there is an address."""

    id: int
    """In the ledger."""
    serial: str
    notice: Notice
    days_left: int


def reached(left: int, days: Iterable[int]) -> int | None:
    """The notice day that counts where so many days are left: the last one that has come; None before the first.

    None, too, once the certificate has ended.
    """
    return min((day for day in days if left <= day), default=None) if left >= 0 else None


def every_due(book: Ledger, days: Iterable[int], now: datetime, page: int = PAGE) -> Iterator[Sequence[Due]]:
    """All of them by their ends, in pages; each page is one short look into the ledger."""
    days, place = frozenset(days), None
    while True:
        with book.read() as connection:
            statement = due_certificates(days, now, after=place).limit(page)
            rows = connection.execute(statement).all()
        if found := [due for row in rows if (due := _due(row, days, now)) is not None]:
            yield found
        if len(rows) < page:
            return
        place = (rows[-1].not_after, rows[-1].id)


def find_due(connection: Connection, number: int, days: Iterable[int], now: datetime) -> Due | None:
    """The certificate with this number, if its holder is still to be told."""
    days = frozenset(days)
    row = connection.execute(due_certificates(days, now).where(CERTIFICATES.c.id == number)).one_or_none()
    return None if row is None else _due(row, days, now)


def due_certificates(
    days: Iterable[int], now: datetime, *, after: tuple[datetime, int] | None = None
) -> Select[tuple[object, ...]]:
    """The query: valid, in date, the holder's newest, and not dealt with for the notice day that counts.

    Args:
        days: The notice days.
        now: The moment.
        after: End and number of the certificate behind which to go on.
    """
    ordered = sorted(days)
    day = case(*((CERTIFICATES.c.not_after < literal(_end_of(each, now), Moment), each) for each in ordered))
    statement = (
        ending(ordered[-1], now)
        .outerjoin(NOTICES, and_(NOTICES.c.certificate == CERTIFICATES.c.id, NOTICES.c.day == day))
        .where(or_(NOTICES.c.state.is_(None), _open(now)))
    )
    if after is None:
        return statement
    end, number = after
    later = or_(CERTIFICATES.c.not_after > end, CERTIFICATES.c.id > number)
    return statement.where(CERTIFICATES.c.not_after >= end, later)


def ending(within: int, now: datetime) -> Select[tuple[object, ...]]:
    """The query for what ends within so many days and has not been replaced, by its end."""
    return (
        select(
            CERTIFICATES.c.id,
            CERTIFICATES.c.serial,
            CERTIFICATES.c.fingerprint,
            CERTIFICATES.c.not_after,
            CERTIFICATES.c.holder,
            HOLDERS.c.kind,
            HOLDERS.c.name,
            _REACHABLE_AT.label("email"),
            HOLDERS.c.language,
        )
        .join_from(CERTIFICATES, HOLDERS, HOLDERS.c.id == CERTIFICATES.c.holder)
        .where(
            CERTIFICATES.c.state == CertificateState.VALID,
            CERTIFICATES.c.not_after >= now,
            CERTIFICATES.c.not_after < _end_of(within, now),
            _NONE_NEWER,
        )
        .order_by(CERTIFICATES.c.not_after, CERTIFICATES.c.id)
    )


def _open(now: datetime) -> ColumnElement[bool]:
    """What has been begun and not brought to an end; a refused address counts only until another one is entered."""
    reachable = _REACHABLE_AT.is_not(None)
    return or_(
        NOTICES.c.state == NoticeState.DEFERRED,
        and_(NOTICES.c.state == NoticeState.SENDING, NOTICES.c.lease < now),
        and_(NOTICES.c.state == NoticeState.UNREACHABLE, reachable),
        and_(NOTICES.c.state == NoticeState.REFUSED, reachable, HOLDERS.c.email != NOTICES.c.address),
    )


def _end_of(day: int, now: datetime) -> datetime:
    """The first moment of which more than `day` days are left until then."""
    return renewable_from(now, -day - 1)


def _due(row: Row[tuple[object, ...]], days: frozenset[int], now: datetime) -> Due | None:
    left = days_left(row.not_after, now)
    day = reached(left, days)
    if day is None:
        return None
    notice = Notice(
        certificate=row.fingerprint,
        day=day,
        holder=Holder(row.holder, HolderKind(row.kind)),
        last_second=row.not_after,
        name=row.name or "",
        email=row.email or "",
        language=row.language,
    )
    return Due(row.id, row.serial, notice, left)
