"""The command line of the CA."""

from __future__ import annotations

from pathlib import Path

import click

from kiosk.ca import office
from kiosk.ca.authority import create_authority, load_authority
from kiosk.ca.database import configured_url
from kiosk.ca.ledger import Ledger, LedgerInUse
from kiosk.ca.migrations import NEWEST
from kiosk.ca.office.showing import JSON, show
from kiosk.ca.opening import upgrade
from kiosk.ca.options import DIRECTORY, passphrase_file
from kiosk.ca.policy import load_policy
from kiosk.ca.responder import Responder
from kiosk.ca.server import serve as serve_forever
from kiosk.ca.status import StatusService


@click.group()
def ca() -> None:
    """The issuing CA that ships with the kiosk."""


for each in office.COMMANDS:
    ca.add_command(each)


@ca.command()
@JSON
@DIRECTORY
def init(as_json: bool, directory: Path) -> None:
    """Make a root, an issuing CA, signers of CMP and OCSP answers and a TLS certificate, once, every key encrypted.

    What an earlier version made gets what it lacks. In a PostgreSQL that ledger.toml names the tables are made, too.
    """
    try:
        authority = create_authority(directory.absolute(), passphrase_file=passphrase_file())
        if configured_url(authority.directory) is not None:
            Ledger.open_beside(authority.directory).close()
    except office.FAULTS as error:
        raise click.ClickException(str(error)) from error
    chain = authority.directory / "chain.pem"
    if as_json:
        show([{"directory": str(authority.directory), "chain": str(chain)}], as_json=True)
    else:
        click.echo(chain)


@ca.command()
@JSON
@DIRECTORY
def migrate(as_json: bool, directory: Path) -> None:
    """Bring the ledger of an older version up to date, while no CA process runs; first make a backup of it.

    One in SQLite also does without: its next server does the same. An empty PostgreSQL gets a copy of it.
    """
    try:
        done = upgrade(load_authority(directory.absolute(), passphrase_file=passphrase_file()).directory)
    except (*office.FAULTS, LedgerInUse) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        show([{"before": done.before, "now": NEWEST, "copied": done.copied}], as_json=True)
        return
    if done.copied:
        click.echo("everything in the SQLite ledger is in PostgreSQL now")
    click.echo(f"revision {NEWEST}, " + ("the newest" if done.before == NEWEST else f"before {done.before}"))


@ca.command()
@DIRECTORY
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--http", is_flag=True, help="Without TLS; only this machine is listened to in any case.")
@click.option(
    "--status-port",
    type=click.IntRange(0, 65535),
    help="Tell OCSP and CRL at this port too, without TLS, and nothing else there; 0 takes a free one.",
)
@click.option("--until-stdin-closes", is_flag=True, help="End with whoever started this.")
def serve(directory: Path, port: int, http: bool, status_port: int | None, until_stdin_closes: bool) -> None:
    """Answer CMP, OCSP and CRL over HTTPS on 127.0.0.1 until told to stop, by policy.toml in the directory."""
    try:
        authority = load_authority(directory.absolute(), passphrase_file=passphrase_file())
        policy = load_policy(authority.directory)
        with Ledger.open(authority.directory) as ledger:
            responder = Responder(authority, ledger, policy)
            serve_forever(
                responder,
                StatusService(authority, ledger, policy),
                port,
                http=http,
                status_port=status_port,
                until_stdin_closes=until_stdin_closes,
            )
    except (*office.FAULTS, LedgerInUse) as error:
        raise click.ClickException(str(error)) from error
