"""`kiosk ca holder`: those whose certificates the CA issues."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from kiosk.ca import audit, holders
from kiosk.ca.database import take_time
from kiosk.ca.holders import DEFAULT_LANGUAGE, Holder, HolderRefused
from kiosk.ca.office import csv_files
from kiosk.ca.office.files import BOM, DRY_RUN, ENCODING, FILE, OUT, UPDATE, read_at_most, show_planned, write_out
from kiosk.ca.office.holder_files import COLUMNS, OPTIONAL, REQUIRED, Described, Planning
from kiosk.ca.office.opening import DIRECTORY, opened
from kiosk.ca.office.showing import JSON, Record, name, show, write_json
from kiosk.ca.schema import Act
from kiosk.credentials import HolderKind

SHORT_HOLDER = ("id", "kind", "name", "email", "language")
"""What people at a narrow terminal are shown of holders."""

_KIND = click.Choice([each.value for each in HolderKind])
_LANGUAGE_HELP = "Of the mails to them: a CLDR code."


@click.group()
def holder() -> None:
    """Those whose certificates the CA issues."""


@holder.command("add")
@click.argument("holder_id", metavar="ID")
@click.option("--kind", required=True, type=_KIND, help="管理者 or 利用者.")
@click.option("--name", "holder_name", help="Goes into the certificate after the ID.")
@click.option("--email", help="Where notices go.")
@click.option("--language", default=DEFAULT_LANGUAGE, show_default=True, help=_LANGUAGE_HELP)
@JSON
@DIRECTORY
def add_holder(
    holder_id: str,
    kind: str,
    holder_name: str | None,
    email: str | None,
    language: str,
    as_json: bool,
    directory: Path,
) -> None:
    """Enter a new holder; the ID is what internet banking knows them by."""
    with opened(directory) as office:
        described = Described(office.authority, office.policy)
        new = described.holder(holder_id, HolderKind(kind), holder_name or None, email or None, language)
        with office.begin() as connection:
            if holders.find(connection, holder_id) is not None:
                raise HolderRefused(f"{holder_id} is in the ledger already; kiosk ca holder change changes it")
            holders.add_all(connection, [new])
            audit.enter(connection, Act.HOLDER_ADDED, office.now, holder=holder_id)
    show([holder_record(new)], as_json=as_json)


@holder.command("change")
@click.argument("holder_id", metavar="ID")
@click.option("--kind", type=_KIND, help="管理者 or 利用者.")
@click.option("--name", "holder_name", help="For certificates obtained from now on; empty for none.")
@click.option("--email", help="Empty for none.")
@click.option("--language", help=_LANGUAGE_HELP)
@JSON
@DIRECTORY
def change_holder(
    holder_id: str,
    kind: str | None,
    holder_name: str | None,
    email: str | None,
    language: str | None,
    as_json: bool,
    directory: Path,
) -> None:
    """Change what is known of a holder. Certificates stay as they are, and so does what renews them."""
    given = {"kind": kind, "name": holder_name, "email": email, "language": language}
    changes = [column for column, value in given.items() if value is not None]
    with opened(directory) as office, office.begin() as connection:
        holders.keep_as_they_are(connection)
        known = _known(holders.find(connection, holder_id), holder_id)
        wanted = replace(
            known,
            kind=known.kind if kind is None else HolderKind(kind),
            name=known.name if holder_name is None else holder_name or None,
            email=known.email if email is None else email or None,
            language=known.language if language is None else language,
        )
        after = Described(office.authority, office.policy).changed(known, wanted)
        if after != known:
            holders.change_all(connection, [after])
            audit.enter(connection, Act.HOLDER_CHANGED, office.now, holder=holder_id, detail=", ".join(changes))
    show([holder_record(after)], as_json=as_json)


@holder.command("show")
@click.argument("holder_id", metavar="ID")
@JSON
@DIRECTORY
def show_holder(holder_id: str, as_json: bool, directory: Path) -> None:
    """What is known of a holder."""
    with opened(directory) as office, office.book.read() as connection:
        found = _known(holders.find(connection, holder_id), holder_id)
    show([holder_record(found)], as_json=as_json)


@holder.command("list")
@JSON
@DIRECTORY
def list_holders(as_json: bool, directory: Path) -> None:
    """Everybody, by ID."""
    with opened(directory) as office, office.book.read() as connection:
        take_time(connection)
        records = [holder_record(each) for each in holders.everybody(connection)]
    show(records, as_json=as_json, short=SHORT_HOLDER)


@holder.command("import")
@FILE
@ENCODING
@UPDATE
@DRY_RUN
@JSON
@DIRECTORY
def import_holders(file: Path, encoding: str, update: bool, dry_run: bool, as_json: bool, directory: Path) -> None:
    """Enter the holders of a CSV file, all of them or none.

    Its first line names the columns: id and kind, and those of name, email and language that it tells.
    """
    with opened(directory) as office:
        rows = csv_files.read_rows(
            read_at_most(file, csv_files.LARGEST_FILE), encoding, required=REQUIRED, optional=OPTIONAL
        )
        described = Described(office.authority, office.policy)
        with office.book.read() if dry_run else office.begin() as connection:
            take_time(connection)
            if not dry_run:
                holders.keep_as_they_are(connection)
            planning = Planning(holders.by_id(connection), described, update=update)
            planned = csv_files.take_rows(rows, planning.add)
            if not dry_run:
                planning.carry_out(connection, office.now)
    show_planned([(each.where, each.holder.id, each.outcome) for each in planned], dry_run=dry_run, as_json=as_json)


@holder.command("export")
@OUT
@BOM
@JSON
@DIRECTORY
def export_holders(out: Path | None, bom: bool, as_json: bool, directory: Path) -> None:
    """Everybody, as the CSV that `import` reads."""
    with opened(directory) as office, office.begin() as connection:
        take_time(connection)
        records = [holder_record(each) for each in holders.everybody(connection)]
        audit.enter(connection, Act.EXPORTED, office.now, detail=f"holders: {len(records)}")
        content = write_json(records) + "\n" if as_json else csv_files.write_rows(records, COLUMNS)
        write_out(content, out, bom=bom and not as_json)


def holder_record(each: Holder) -> Record:
    """A holder, as lists and exports have him."""
    return {
        "id": each.id,
        "kind": each.kind.value,
        "name": each.name,
        "email": each.email,
        "language": each.language,
        "subject": name(each.subject),
    }


def _known(found: Holder | None, holder_id: str) -> Holder:
    if found is None:
        raise HolderRefused(f"there is no holder {holder_id}; kiosk ca holder add enters one")
    return found
