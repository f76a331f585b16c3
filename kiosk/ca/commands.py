"""The command line of the CA."""

from __future__ import annotations

from pathlib import Path

import click

from kiosk.ca.authority import AuthorityDamaged, create_authority, load_authority
from kiosk.ca.ledger import Ledger, LedgerDamaged, LedgerInUse
from kiosk.ca.responder import Responder
from kiosk.ca.server import serve as serve_forever

_DIRECTORY = click.option(
    "--directory", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the CA lives."
)


@click.group()
def ca() -> None:
    """The issuing CA that ships with the kiosk."""


@ca.command()
@_DIRECTORY
def init(directory: Path) -> None:
    """Make a root, an issuing CA, a signer of CMP answers and a TLS certificate, once."""
    try:
        authority = create_authority(directory.absolute())
    except (AuthorityDamaged, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(authority.directory / "chain.pem")


@ca.command()
@_DIRECTORY
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--http", is_flag=True, help="Without TLS; only this machine is listened to in any case.")
@click.option("--until-stdin-closes", is_flag=True, help="End with whoever started this.")
def serve(directory: Path, port: int, http: bool, until_stdin_closes: bool) -> None:
    """Answer CMP over HTTPS on 127.0.0.1 until told to stop."""
    try:
        authority = load_authority(directory.absolute())
        with Ledger.open(authority.directory) as ledger:
            responder = Responder(authority, ledger)
            serve_forever(responder, authority, port, http=http, until_stdin_closes=until_stdin_closes)
    except (AuthorityDamaged, LedgerDamaged, LedgerInUse, OSError) as error:
        raise click.ClickException(str(error)) from error
