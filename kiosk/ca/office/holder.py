"""`kiosk ca holder`: those whose certificates the CA issues."""

from __future__ import annotations

from pathlib import Path

import click

from kiosk.ca import audit, holders
from kiosk.ca.holders import Holder
from kiosk.ca.office.opening import DIRECTORY, opened
from kiosk.ca.office.showing import JSON, Record, name, show
from kiosk.ca.schema import Act
from kiosk.credentials import HolderKind


@click.group()
def holder() -> None:
    """Those whose certificates the CA issues."""


@holder.command("add")
@click.argument("holder_id", metavar="ID")
@click.option("--kind", required=True, type=click.Choice([each.value for each in HolderKind]))
@click.option("--name", "holder_name", help="Goes into the certificate after the ID.")
@JSON
@DIRECTORY
def add_holder(holder_id: str, kind: str, holder_name: str | None, as_json: bool, directory: Path) -> None:
    """Enter a new holder; the ID is what internet banking knows them by."""
    with opened(directory) as office:
        known_kind = HolderKind(kind)
        subject = holders.manual_subject(office.authority.issuing, office.policy, holder_id, known_kind, holder_name)
        with office.begin() as connection:
            holders.add(connection, holder_id, known_kind, subject, name=holder_name)
            audit.enter(connection, Act.HOLDER_ADDED, office.now, holder=holder_id)
            entered = holders.get(connection, holder_id)
    show([holder_record(entered)], as_json=as_json)


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
