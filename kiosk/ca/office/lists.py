"""`kiosk ca list`: what the ledger knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from sqlalchemy import Connection, select

from kiosk.ca import holders
from kiosk.ca.office.holder import holder_record
from kiosk.ca.office.opening import DIRECTORY, opened
from kiosk.ca.office.showing import JSON, Record, show
from kiosk.ca.schema import CERTIFICATES, CODES
from kiosk.certificates import read_certificate


@click.command("list")
@click.argument("what", type=click.Choice(["certificates", "holders", "codes"]), default="certificates")
@JSON
@DIRECTORY
def list_(what: str, as_json: bool, directory: Path) -> None:
    """What the ledger knows: certificates, holders or codes (never a code itself)."""
    with opened(directory) as office, office.book.read() as connection:
        show(_LISTS[what](connection), as_json=as_json, short=_SHORT.get(what, ()))


def _certificates(connection: Connection) -> Sequence[Record]:
    rows = connection.execute(select(CERTIFICATES).order_by(CERTIFICATES.c.holder, CERTIFICATES.c.id))
    return [
        {
            "serial": row.serial,
            "holder": row.holder,
            "state": row.state,
            "reason": row.reason,
            "begins": read_certificate(row.der).not_before,
            "ends": row.not_after,
        }
        for row in rows
    ]


def _holders(connection: Connection) -> Sequence[Record]:
    return [holder_record(each) for each in holders.everybody(connection)]


def _codes(connection: Connection) -> Sequence[Record]:
    rows = connection.execute(select(CODES).order_by(CODES.c.holder, CODES.c.id))
    return [{"holder": row.holder, "state": row.state, "made": row.made_at, "expires": row.expires_at} for row in rows]


_LISTS: Mapping[str, Callable[[Connection], Sequence[Record]]] = {
    "certificates": _certificates,
    "holders": _holders,
    "codes": _codes,
}
_SHORT: Mapping[str, Sequence[str]] = {
    "certificates": ("serial", "holder", "state", "ends"),
    "holders": ("id", "kind", "name", "email", "language"),
}
"""What people at a narrow terminal are shown."""
