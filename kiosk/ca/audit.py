"""The audit: who did what, and when, entered in the transaction of the act: neither is there without the other.

Every transaction that writes has an actor (`Ledger.begin`); what it does is entered as done by that one. The audit
tells what happened and decides nothing: whatever the CA has to know stands in the other tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Insert, String, bindparam, insert, select

from kiosk.ca.schema import AUDIT, CERTIFICATES, CODES, Act, Moment

SCHEDULE = "schedule"
"""The actor of what happens because its time has come."""

ACTOR = "kiosk_actor"
"""The option of a connection that says who acts."""

_LONGEST_ACTOR = 128
_LONGEST_DETAIL = 256

_COLUMNS = ("at", "actor", "act", "holder", "serial", "detail")
_WHO_AND_WHAT = (
    bindparam("now", type_=Moment),
    bindparam("by", type_=String),
    bindparam("did", type_=String),
)
_MORE = bindparam("more", type_=String)

# Made once, as in `kiosk.ca.ledger`; holder and serial are read where they stand, because an act knows numbers only.
_ENTER = insert(AUDIT)
_OF_CERTIFICATE = insert(AUDIT).from_select(
    _COLUMNS,
    select(*_WHO_AND_WHAT, CERTIFICATES.c.holder, CERTIFICATES.c.serial, _MORE).where(
        CERTIFICATES.c.id == bindparam("number")
    ),
)
_OF_CODE = insert(AUDIT).from_select(
    _COLUMNS,
    select(*_WHO_AND_WHAT, CODES.c.holder, bindparam("none", None, type_=String), _MORE).where(
        CODES.c.id == bindparam("number")
    ),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One act as it was entered."""

    at: datetime
    actor: str
    act: str
    holder: str | None
    serial: str | None
    detail: str | None


def enter(
    connection: Connection,
    act: Act,
    now: datetime,
    *,
    holder: str | None = None,
    serial: str | None = None,
    detail: str | None = None,
) -> None:
    """An act that is about a holder, or about nobody."""
    row = {"at": now, "actor": _actor(connection), "act": act, "holder": holder, "serial": serial}
    connection.execute(_ENTER, {**row, "detail": _short(detail)})


def enter_all(connection: Connection, act: Act, whose: Iterable[tuple[str, str | None]], now: datetime) -> None:
    """The same act upon each of these: a holder, and the serial of a certificate, if it is about one."""
    common = {"at": now, "actor": _actor(connection), "act": act, "detail": None}
    rows = [{**common, "holder": holder, "serial": serial} for holder, serial in whose]
    if rows:
        connection.execute(_ENTER, rows)


def enter_certificate(
    connection: Connection, act: Act, number: int, now: datetime, *, detail: str | None = None, by: str | None = None
) -> None:
    """An act upon the certificate with this number in the ledger; `by` where it is not the transaction's actor."""
    _enter_of(connection, _OF_CERTIFICATE, act, number, now, detail, by)


def enter_code(
    connection: Connection, act: Act, number: int, now: datetime, *, detail: str | None = None, by: str | None = None
) -> None:
    """An act upon what the one-time code with this number has begun, or upon the code."""
    _enter_of(connection, _OF_CODE, act, number, now, detail, by)


def lines(connection: Connection, *, since: datetime | None = None, holder: str | None = None) -> Sequence[Line]:
    """What was entered, oldest first: from a moment on, about one holder, or all."""
    wanted = select(AUDIT).order_by(AUDIT.c.id)
    if since is not None:
        wanted = wanted.where(AUDIT.c.at >= since)
    if holder is not None:
        wanted = wanted.where(AUDIT.c.holder == holder)
    rows = connection.execute(wanted)
    return [Line(row.at, row.actor, row.act, row.holder, row.serial, row.detail) for row in rows]


def _enter_of(
    connection: Connection,
    statement: Insert,
    act: Act,
    number: int,
    now: datetime,
    detail: str | None,
    by: str | None,
) -> None:
    actor = _actor(connection) if by is None else by
    row = {"now": now, "by": actor, "did": act, "number": number, "more": _short(detail)}
    connection.execute(statement, row)


def _actor(connection: Connection) -> str:
    actor: str = connection.get_execution_options().get(ACTOR, SCHEDULE)
    return actor[:_LONGEST_ACTOR]


def _short(detail: str | None) -> str | None:
    return None if detail is None else detail[:_LONGEST_DETAIL]
