"""`kiosk ca list`: what the ledger knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from sqlalchemy import Connection, Row, select

from kiosk.ca import audit, holders
from kiosk.ca.database import take_time
from kiosk.ca.office.holder import SHORT_HOLDER, holder_record
from kiosk.ca.office.opening import DIRECTORY, opened
from kiosk.ca.office.showing import JSON, Record, name, show
from kiosk.ca.schema import CERTIFICATES, CODES
from kiosk.certificates import read_certificate
from kiosk.clock import JAPAN


class MomentType(click.ParamType[datetime]):
    """A date or a time by ISO 8601, in Japan where it names no zone."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment, aware."""
        try:
            read = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("a date or time by ISO 8601 is wanted: 2026-03-01, 2026-03-01T09:30", param, ctx)
        return read if read.tzinfo is not None else read.replace(tzinfo=JAPAN)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a list is wanted."""

    holder: str | None = None
    since: datetime | None = None


@click.command("list")
@click.argument("what", type=click.Choice(["certificates", "holders", "codes", "audit"]), default="certificates")
@click.option("--holder", "holder_id", metavar="ID", help="Only what is about this holder.")
@click.option("--since", type=MomentType(), help="Of the audit: only from this date or time on.")
@JSON
@DIRECTORY
def list_(what: str, holder_id: str | None, since: datetime | None, as_json: bool, directory: Path) -> None:
    """What the ledger knows: certificates, holders, codes (never a code itself), or who did what (audit)."""
    if since is not None and what != "audit":
        raise click.UsageError("--since goes with audit")
    wanted = Wanted(holder_id, since)
    with opened(directory) as office, office.book.read() as connection:
        take_time(connection)
        show(_LISTS[what](connection, wanted), as_json=as_json, short=_SHORT.get(what, ()))


def certificate_rows(connection: Connection, wanted: Wanted) -> Sequence[Row[tuple[object, ...]]]:
    """Certificates of the ledger, by holder."""
    query = select(CERTIFICATES).order_by(CERTIFICATES.c.holder, CERTIFICATES.c.id)
    if wanted.holder is not None:
        query = query.where(CERTIFICATES.c.holder == wanted.holder)
    return connection.execute(query).all()


def certificate_record(row: Row[tuple[object, ...]]) -> Record:
    """A certificate, as lists and exports have it."""
    certificate = read_certificate(row.der)
    return {
        "serial": row.serial,
        "holder": row.holder,
        "state": row.state,
        "reason": row.reason,
        "begins": certificate.not_before,
        "ends": row.not_after,
        "issuer": name(certificate.x509.issuer),
    }


def holder_records(connection: Connection, wanted: Wanted) -> Sequence[Record]:
    """Holders, as lists and exports have them."""
    everybody = holders.everybody(connection)
    return [holder_record(each) for each in everybody if wanted.holder in (None, each.id)]


def audit_records(connection: Connection, wanted: Wanted) -> Sequence[Record]:
    """The audit, as lists and exports have it."""
    return [
        {
            "at": line.at,
            "actor": line.actor,
            "act": line.act,
            "holder": line.holder,
            "serial": line.serial,
            "detail": line.detail,
        }
        for line in audit.lines(connection, since=wanted.since, holder=wanted.holder)
    ]


def _code_records(connection: Connection, wanted: Wanted) -> Sequence[Record]:
    query = select(CODES).order_by(CODES.c.holder, CODES.c.id)
    if wanted.holder is not None:
        query = query.where(CODES.c.holder == wanted.holder)
    rows = connection.execute(query)
    return [{"holder": row.holder, "state": row.state, "made": row.made_at, "expires": row.expires_at} for row in rows]


def _certificate_records(connection: Connection, wanted: Wanted) -> Sequence[Record]:
    return [certificate_record(row) for row in certificate_rows(connection, wanted)]


_LISTS: Mapping[str, Callable[[Connection, Wanted], Sequence[Record]]] = {
    "certificates": _certificate_records,
    "holders": holder_records,
    "codes": _code_records,
    "audit": audit_records,
}
_SHORT: Mapping[str, Sequence[str]] = {
    "certificates": ("serial", "holder", "state", "ends"),
    "holders": SHORT_HOLDER,
    "audit": ("at", "act", "holder", "actor"),
}
"""What people at a narrow terminal are shown."""
