"""`kiosk ca code`: one-time codes for 電子証明書取得."""

from __future__ import annotations

from pathlib import Path

import click

from kiosk.ca import audit, codes, holders, succession
from kiosk.ca.office.opening import DIRECTORY, Office, opened
from kiosk.ca.office.showing import JSON, Record, moment, show
from kiosk.ca.schema import Act
from kiosk.one_time_code import OneTimeCode


@click.command()
@click.argument("holder_id", metavar="ID")
@JSON
@DIRECTORY
def code(holder_id: str, as_json: bool, directory: Path) -> None:
    """Make a one-time code for a holder; it is shown once, the last line is the bare code."""
    with opened(directory) as office:
        made, has_replaced = make_code(office, holder_id)
    until, bare = office.now + office.policy.code_life, made.secret.decode("ascii")
    if as_json:
        record: Record = {
            "holder": holder_id,
            "replaces": has_replaced,
            "expires": until,
            "grouped": made.grouped,
            "code": bare,
        }
        show([record], as_json=True)
        return
    if has_replaced:
        click.echo("The code made before is no longer good.")
    click.echo(f"One-time code of {holder_id}, good until {moment(until)}:")
    click.echo(made.grouped)
    click.echo(bare)


def make_code(office: Office, holder_id: str) -> tuple[OneTimeCode, bool]:
    """A new one-time code for a known holder, and whether it replaces one.

    Raises:
        ClickException: there is no such holder.
    """
    with office.begin() as connection:
        if holders.find(connection, holder_id) is None:
            raise click.ClickException(f"there is no holder {holder_id}; kiosk ca holder add enters one")
        made, replaced = codes.make(
            connection, office.authority.vault, holder_id, office.policy.code_life, office.authority.random, office.now
        )
        audit.enter(connection, Act.CODE_MADE, office.now, holder=holder_id)
        if replaced is not None:
            audit.enter_code(connection, Act.CODE_REPLACED, replaced, office.now)
            succession.withdraw_code(connection, replaced, office.now)
    return made, replaced is not None
