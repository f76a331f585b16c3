"""What a teller wants to know: who was told when, who could not be reached, and whose certificates end soon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Row, Select, func, select

from kiosk.ca.office.csv_files import write_rows
from kiosk.ca.office.showing import Record, Value, write_table
from kiosk.ca.schema import CERTIFICATES, HOLDERS, NOTICES, NoticeState
from kiosk.clock import JAPAN, days_left
from kiosk.notices.due import ending

AHEAD = 40
"""Days for which ends are shown."""
BACK = 40
"""Days for which notices are shown."""

COLUMNS = ("list", "holder", "kind", "serial", "ends", "days_left", "notice", "state", "at", "address", "reason")
"""Of a record, whatever its list."""
_SHORT: Mapping[str, Sequence[str]] = {
    "told": ("holder", "notice", "days_left", "at", "address"),
    "unreached": ("holder", "notice", "state", "address", "reason"),
    "due": ("holder", "ends", "days_left", "notice", "at"),
}
_WIDEST_BAR = 50


class Part(StrEnum):
    """The three lists of a report."""

    TOLD = "told"
    UNREACHED = "unreached"
    DUE = "due"


_HEADINGS = {
    Part.TOLD: f"Told in the last {BACK} days",
    Part.UNREACHED: f"Not reached in the last {BACK} days",
    Part.DUE: f"Certificates that end in the next {AHEAD} days",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything of one moment."""

    now: datetime
    records: Sequence[Record]
    """Of all lists; `list` says of which."""

    def of(self, part: Part) -> Sequence[Record]:
        """One list."""
        return [record for record in self.records if record["list"] == part]


def make_report(connection: Connection, now: datetime) -> Report:
    """Look everything up.

    `notice` and `at` are of the mail itself in the lists of mails, and of the last one that went out in that of ends.
    """
    return Report(now, [*_noticed(connection, now), *_due(connection, now)])


def write_csv(report: Report) -> str:
    """For a spreadsheet: a line for every record, below the names of the columns."""
    return write_rows(report.records, COLUMNS)


def write_report(report: Report, columns: int) -> str:
    """For people: the lists, and above the ends a bar a day."""
    parts = []
    for part in Part:
        records = report.of(part)
        shown = [{name: each[name] for name in _SHORT[part]} for each in records]
        heading = f"{_HEADINGS[part]}: {len(records)}"
        bars = [write_bars(report, columns), ""] if part is Part.DUE else []
        parts.append("\n".join([heading, "", *bars, write_table(shown, columns)]))
    return "\n\n".join(parts)


def write_bars(report: Report, columns: int) -> str:
    """How many certificates end on each day, from today on."""
    ends = Counter(record["days_left"] for record in report.of(Part.DUE))
    most = max(ends.values(), default=0)
    today = report.now.astimezone(JAPAN).date()
    room = max(1, min(_WIDEST_BAR, columns - len("2026-11-25 Wed  40  ") - len(f" {most}")))
    lines = []
    for left in range(AHEAD + 1):
        day, number = today + timedelta(days=left), ends[left]
        bar = "#" * -(-number * room // max(most, room))
        lines.append(f"{day:%Y-%m-%d %a}  {left:2}  {bar} {number or ''}".rstrip())
    return "\n".join(lines)


def _noticed(connection: Connection, now: datetime) -> Iterator[Record]:
    since = now - timedelta(days=BACK)
    rows = connection.execute(
        select(NOTICES, CERTIFICATES.c.serial, CERTIFICATES.c.not_after, CERTIFICATES.c.holder, HOLDERS.c.kind)
        .join_from(NOTICES, CERTIFICATES)
        .join(HOLDERS, HOLDERS.c.id == CERTIFICATES.c.holder)
        .where(NOTICES.c.changed_at >= since, NOTICES.c.state != NoticeState.SKIPPED)
        .order_by(NOTICES.c.changed_at, NOTICES.c.certificate, NOTICES.c.day)
    )
    for row in rows:
        part = Part.TOLD if row.state == NoticeState.SENT else Part.UNREACHED
        left = row.days_left if part is Part.TOLD else days_left(row.not_after, now)
        yield _record(part, row, left, row.day, row.state, row.changed_at, row.address, row.error)


def _due(connection: Connection, now: datetime) -> Iterator[Record]:
    for row in connection.execute(_ends(now)):
        left = days_left(row.not_after, now)
        state = NoticeState.SENT if row.sent_at is not None else None
        yield _record(Part.DUE, row, left, row.sent_day, state, row.sent_at, row.email, None)


def _ends(now: datetime) -> Select[tuple[object, ...]]:
    sent = (NOTICES.c.certificate == CERTIFICATES.c.id, NOTICES.c.state == NoticeState.SENT)
    return ending(AHEAD, now).add_columns(
        select(func.min(NOTICES.c.day)).where(*sent).scalar_subquery().label("sent_day"),
        select(func.max(NOTICES.c.changed_at, type_=NOTICES.c.changed_at.type))
        .where(*sent)
        .scalar_subquery()
        .label("sent_at"),
    )


def _record(
    part: Part,
    row: Row[tuple[object, ...]],
    left: int,
    notice: int | None,
    state: str | None,
    at: datetime | None,
    address: str | None,
    reason: str | None,
) -> Record:
    values: Sequence[Value] = (
        part,
        row.holder,
        row.kind,
        row.serial,
        row.not_after,
        left,
        notice,
        state,
        at,
        address,
        reason,
    )
    return dict(zip(COLUMNS, values, strict=True))
