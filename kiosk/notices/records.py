"""What the ledger knows of each notice: who is at it, and what became of it.

A notice is claimed durably before a byte of it is sent, and marked durably afterwards. Whoever dies in between leaves
a claim behind; once that has run out the notice goes out again, with the same Message-ID.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, case, exists, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from kiosk.ca.database import is_postgres
from kiosk.ca.schema import NOTICES, NoticeState
from kiosk.notices.due import Due, Look, find_due
from kiosk.notices.message import literal, message_id

_LONGEST_ERROR = 200
_LASTED = timedelta(days=3)
"""So long a server may object to a mail before that is taken to be for the address."""
_TAKES_OTHERS = timedelta(days=1)
"""It has taken the mail of somebody else within so long a time."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send one notice."""

    due: Due
    at: datetime
    """When it was claimed, which is also when the mail says that it was written."""
    lease: datetime | None
    """None where there is nothing to send, because the holder has no address."""


def claim(connection: Connection, number: int, domain: str, look: Look, span: timedelta) -> Claim | None:
    """Take the notice that is due for the certificate with this number; None where none is, or somebody else has it.

    Notices of earlier days that never went out are recorded as skipped. One that cannot go out for want of an address
    is recorded so.

    Args:
        connection: A transaction.
        number: Of the certificate, in the ledger.
        domain: Of the Message-ID.
        look: The notice days, and the moment.
        span: How long the claim holds.
    """
    due = find_due(connection, number, look)
    if due is None:
        return None
    lease = look.now + span if due.notice.email else None
    state = NoticeState.SENDING if due.notice.email else NoticeState.UNREACHABLE
    if not _enter(connection, due, due.notice.day, domain, state, look.now, lease):
        return None
    for day in sorted(day for day in look.days if day > due.notice.day):
        _enter(connection, due, day, domain, NoticeState.SKIPPED, look.now)
    return Claim(due, look.now, lease)


def mark_sent(connection: Connection, claimed: Claim, now: datetime) -> None:
    """The mail server has taken it, whoever else has claimed it meanwhile."""
    connection.execute(
        update(NOTICES)
        .where(*_row_of(claimed))
        .values(state=NoticeState.SENT, error=None, lease=None, changed_at=now, days_left=claimed.due.days_left)
    )


def mark_failed(connection: Connection, claimed: Claim, state: NoticeState, error: str, now: datetime) -> None:
    """It was not taken, now (`DEFERRED`) or ever (`REFUSED`); counts only as long as the claim is ours."""
    connection.execute(
        update(NOTICES)
        .where(*_row_of(claimed), NOTICES.c.state == NoticeState.SENDING, NOTICES.c.lease == claimed.lease)
        .values(state=state, error=literal(error)[:_LONGEST_ERROR], lease=None, changed_at=now)
    )


def is_for_the_address(connection: Connection, claimed: Claim) -> bool:
    """Whether an objection counts against the address: it has lasted, and the server takes the mails of others.

    Where it takes nobody's, a setting is at fault, and none of the addresses.
    """
    others = exists().where(
        NOTICES.c.state == NoticeState.SENT,
        NOTICES.c.changed_at > claimed.at - _TAKES_OTHERS,
        NOTICES.c.certificate != claimed.due.id,
    )
    lasted = select(NOTICES.c.day).where(*_row_of(claimed), NOTICES.c.made_at <= claimed.at - _LASTED, others)
    return connection.execute(lasted).first() is not None


def end_claims(connection: Connection, now: datetime) -> int:
    """Take back every claim, where nobody else can be at it; answers with how many there were."""
    ended = connection.execute(
        update(NOTICES)
        .where(NOTICES.c.state == NoticeState.SENDING)
        .values(state=NoticeState.DEFERRED, lease=None, error="the run that was at it was cut", changed_at=now)
    )
    return ended.rowcount


def _row_of(claimed: Claim) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return NOTICES.c.certificate == claimed.due.id, NOTICES.c.day == claimed.due.notice.day


def _enter(
    connection: Connection,
    due: Due,
    day: int,
    domain: str,
    state: NoticeState,
    now: datetime,
    lease: datetime | None = None,
) -> bool:
    """Write one row, or over one that is not at an end and nobody is at; answers whether there was none such."""
    told = {
        "state": state,
        "address": due.notice.email or None,
        "days_left": due.days_left,
        "lease": lease,
        "error": None,
        "changed_at": now,
    }
    sends = int(state is NoticeState.SENDING)
    insert = postgresql.insert if is_postgres(connection) else sqlite.insert
    statement = insert(NOTICES).values(
        certificate=due.id,
        day=day,
        message_id=message_id(due.notice.certificate, day, domain),
        tries=sends,
        made_at=now,
        **told,
    )
    is_same_address = NOTICES.c.address.is_not_distinct_from(statement.excluded.address)
    entered = statement.on_conflict_do_update(
        index_elements=[NOTICES.c.certificate, NOTICES.c.day],
        set_={
            **told,
            "tries": NOTICES.c.tries + sends,
            "made_at": case((is_same_address, NOTICES.c.made_at), else_=now),
        },
        where=or_(
            NOTICES.c.state.in_([NoticeState.DEFERRED, NoticeState.UNREACHABLE]),
            and_(NOTICES.c.state == NoticeState.SENDING, NOTICES.c.lease < now),
            and_(NOTICES.c.state == NoticeState.REFUSED, NOTICES.c.address != statement.excluded.address),
        ),
    )
    return connection.execute(entered.returning(NOTICES.c.tries)).first() is not None
