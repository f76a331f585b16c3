"""Which certificates have reached a notice day, in one SQL query that is read page by page.

The query chooses by the moments at which days begin; how many days are left is decided by `kiosk.clock.days_left`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, case, exists, func, literal, or_, select

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CERTIFICATES, HOLDERS, NOTICES, CertificateState, Moment, NoticeState
from kiosk.clock import days_left, renewable_from
from kiosk.credentials import Holder, HolderKind
from kiosk.notices.message import Notice

PAGE = 1000
"""So many certificates are read at a time."""

_REACHABLE_AT = func.nullif(HOLDERS.c.email, "")
_NEWER = CERTIFICATES.alias("newer")
_NONE_NEWER = ~exists().where(
    _NEWER.c.holder == CERTIFICATES.c.holder,
    # No index is wanted for the state: a SQLite that has counted nothing would look through all that are valid.
    func.coalesce(_NEWER.c.state, "") == CertificateState.VALID,
    or_(
        _NEWER.c.not_after > CERTIFICATES.c.not_after,
        and_(_NEWER.c.not_after == CERTIFICATES.c.not_after, _NEWER.c.id > CERTIFICATES.c.id),
    ),
)
_BEHIND = or_(CERTIFICATES.c.not_after > bindparam("begin", type_=Moment), CERTIFICATES.c.id > bindparam("number"))
_Columns = TypeVar("_Columns", bound=tuple[object, ...])


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


@dataclass(frozen=True, slots=True)
class Look:
    """What is chosen by: which notice days there are, and the moment."""

    days: frozenset[int]
    now: datetime


def every_number(book: Ledger, look: Look, page: int = PAGE) -> Iterator[Sequence[Row[tuple[int, datetime, bool]]]]:
    """All who are due, by their ends: the certificate's number, its end, and whether there is an address.

    Each page is one short look into the ledger, so that a run of hours holds up nobody. What else there is to know of
    a certificate is looked up when its turn comes (`find_due`), because much may have happened until then.
    """
    return _pages(book, due_numbers(look), look, page)


def every_due(book: Ledger, look: Look, page: int = PAGE) -> Iterator[Due]:
    """All who are due, by their ends, with everything about them: for those who only look."""
    for rows in _pages(book, due_certificates(look), look, page):
        yield from filter(None, (_due(row, look) for row in rows))


def find_due(connection: Connection, number: int, look: Look) -> Due | None:
    """The certificate with this number, if its holder is still to be told."""
    row = connection.execute(due_certificates(look).where(CERTIFICATES.c.id == number)).one_or_none()
    return None if row is None else _due(row, look)


def due_certificates(look: Look) -> Select[tuple[object, ...]]:
    """The query: valid, in date, the holder's newest, and not dealt with for the notice day that counts."""
    ordered, now = sorted(look.days), look.now
    day = case(*((CERTIFICATES.c.not_after < literal(_end_of(each, now), Moment), each) for each in ordered))
    return ending(ordered[-1], now).where(_is_open(day, now))


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
            CERTIFICATES.c.not_after >= bindparam("begin", now, Moment),
            CERTIFICATES.c.not_after < bindparam("end", _end_of(within, now), Moment),
            _NONE_NEWER,
        )
        .order_by(CERTIFICATES.c.not_after, CERTIFICATES.c.id)
    )


def due_numbers(look: Look) -> Select[tuple[int, datetime, bool]]:
    """The same query for what a run begins with."""
    return due_certificates(look).with_only_columns(
        CERTIFICATES.c.id, CERTIFICATES.c.not_after, _REACHABLE_AT.is_not(None).label("is_reachable")
    )


def _pages(book: Ledger, statement: Select[_Columns], look: Look, page: int) -> Iterator[Sequence[Row[_Columns]]]:
    """The rows of a query of who is due, so many at a time, day by day of their ends.

    By the day, because a PostgreSQL that has counted nothing sorts whatever is left for each page. Where a page begins
    takes the place of the moment from which on the query looks. Beside that, as a second bound, it would be overlooked
    by SQLite, which would read every page from the very first certificate on.
    """
    paged = statement.where(_BEHIND).limit(page)
    begin = look.now
    for left in range(max(look.days) + 1):
        end = _end_of(left, look.now)
        place: dict[str, object] = {"begin": begin, "number": 0, "end": end}
        rows: Sequence[Row[_Columns]] | None = None
        while rows is None or len(rows) == page:
            with book.read() as connection:
                rows = connection.execute(paged, place).all()
            if rows:
                yield rows
                place |= {"begin": rows[-1].not_after, "number": rows[-1].id}
        begin = end


def _is_open(day: ColumnElement[int], now: datetime) -> ColumnElement[bool]:
    """Whether the notice of that day is still to go out: not begun, or not brought to an end.

    A value to be looked up for each certificate and not a join: a PostgreSQL that has counted nothing takes next to
    nobody to be due, and of a million certificates joins all for one page in minutes.
    """
    closed = select(case((_open(now), 0), else_=1)).where(
        NOTICES.c.certificate == CERTIFICATES.c.id, NOTICES.c.day == day
    )
    return func.coalesce(closed.scalar_subquery(), 0) == 0


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


def _due(row: Row[tuple[object, ...]], look: Look) -> Due | None:
    left = days_left(row.not_after, look.now)
    day = reached(left, look.days)
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
