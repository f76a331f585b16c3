"""`kiosk ca export`: what the ledger knows, for other programs; never a key, never a code."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from kiosk.ca import audit, holders
from kiosk.ca.database import take_time
from kiosk.ca.office.certificate import FACTS as CERTIFICATE_FACTS
from kiosk.ca.office.csv_files import write_rows
from kiosk.ca.office.files import BOM, OUT, write_out
from kiosk.ca.office.holder import holder_record
from kiosk.ca.office.holder_files import COLUMNS as HOLDER_COLUMNS
from kiosk.ca.office.lists import (
    MomentType,
    Wanted,
    audit_records,
    certificate_record,
    certificate_rows,
    holder_records,
)
from kiosk.ca.office.opening import DIRECTORY, opened
from kiosk.ca.office.showing import JSON, Record, name, write_json
from kiosk.ca.schema import Act
from kiosk.certificates import read_certificate


@click.command()
@click.argument("what", type=click.Choice(["certificates", "holders", "audit"]), default="certificates")
@click.option("--format", "form", type=click.Choice(["pem", "csv"]), help="PEM for certificates, else CSV.")
@click.option("--holder", "holder_id", metavar="ID", help="Only what is about this holder.")
@click.option("--since", type=MomentType(), help="Of the audit: only from this date or time on.")
@OUT
@BOM
@JSON
@DIRECTORY
def export(
    what: str,
    form: str | None,
    holder_id: str | None,
    since: datetime | None,
    out: Path | None,
    bom: bool,
    as_json: bool,
    directory: Path,
) -> None:
    """Certificates, holders or the audit, whole: PEM, CSV or JSON."""
    if since is not None and what != "audit":
        raise click.UsageError("--since goes with audit")
    if form == "pem" and what != "certificates":
        raise click.UsageError("only certificates can be had in PEM")
    is_pem = what == "certificates" and form != "csv" and not as_json
    wanted = Wanted(holder_id, since)
    with opened(directory) as office, office.begin() as connection:
        take_time(connection)
        records = _EXPORTS[what](connection, wanted)
        audit.enter(connection, Act.EXPORTED, office.now, holder=holder_id, detail=f"{what}: {len(records)}")
        if as_json:
            content = write_json(records) + "\n"
        elif is_pem:
            content = "".join(_pem(each) for each in records)
        else:
            content = write_rows(records, _COLUMNS[what])
        write_out(content, out, bom=bom and not is_pem and not as_json)


def _certificates(connection: Connection, wanted: Wanted) -> Sequence[Record]:
    """Each with its holder, so that another ledger can enter both."""
    rows = certificate_rows(connection, wanted)
    # After them, because others may enter some meanwhile, and nobody is ever taken out.
    known = holders.by_id(connection)
    return [
        {
            **holder_record(known[row.holder]),
            **certificate_record(row),
            "subject": name(read_certificate(row.der).x509.subject),
            "certificate": base64.b64encode(row.der).decode("ascii"),
        }
        for row in rows
    ]


def _pem(record: Record) -> str:
    der = base64.b64decode(str(record["certificate"]))
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode("ascii")


_EXPORTS: Mapping[str, Callable[[Connection, Wanted], Sequence[Record]]] = {
    "certificates": _certificates,
    "holders": holder_records,
    "audit": audit_records,
}
_COLUMNS: Mapping[str, Sequence[str]] = {
    "certificates": (*HOLDER_COLUMNS, "certificate", *CERTIFICATE_FACTS),
    "holders": HOLDER_COLUMNS,
    "audit": ("at", "actor", "act", "holder", "serial", "detail"),
}
"""Of the CSV files; the first two are read again by `holder import` and `certificate import`."""
