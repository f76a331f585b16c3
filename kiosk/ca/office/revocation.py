"""`kiosk ca revoke` and `crl`."""

from __future__ import annotations

from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kiosk.ca import crl, ledger, revoking
from kiosk.ca.office.opening import DIRECTORY, opened
from kiosk.ca.office.showing import JSON, Record, show


@click.command()
@click.argument("serial")
@click.option("--reason", required=True, type=click.Choice(list(revoking.REASONS.values())), help="Goes onto the CRL.")
@JSON
@DIRECTORY
def revoke(serial: str, reason: str, as_json: bool, directory: Path) -> None:
    """Revoke the certificate with this serial number, in hexadecimal, for good."""
    with opened(directory) as office, office.begin() as connection:
        ours = ledger.issuer_hash(office.authority.issuing.subject_der)
        entry = ledger.find_serial(connection, ours, plain_serial(serial))
        if entry is None:
            raise click.ClickException(
                "this CA has issued no certificate with this serial number; kiosk ca list tells them"
            )
        if not revoking.put_on_crl(connection, entry, reason, office.now):
            raise click.ClickException(f"it is revoked already ({entry.reason})")
    if as_json:
        show([{"serial": entry.certificate.serial, "holder": entry.holder, "reason": reason}], as_json=True)
        return
    click.echo(f"{entry.certificate.serial} of {entry.holder} is revoked: {reason}")


@click.command("crl")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it there, in DER.")
@JSON
@DIRECTORY
def current_crl(out: Path | None, as_json: bool, directory: Path) -> None:
    """The list of what is revoked, in PEM, made anew where that is due."""
    with opened(directory) as office:
        with office.begin() as connection:
            newest = crl.current(connection, office.authority, office.policy, office.now)
        if out is not None:
            out.write_bytes(newest.der)
    pem = x509.load_der_x509_crl(newest.der).public_bytes(Encoding.PEM).decode("ascii")
    if as_json:
        record: Record = {
            "number": newest.number,
            "this_update": newest.this_update,
            "next_update": newest.next_update,
            "pem": pem,
        }
        show([record], as_json=True)
    elif out is None:
        click.echo(pem, nl=False)


def plain_serial(typed: str) -> str:
    """A serial number as the ledger has it, whichever way somebody writes hexadecimal.

    Raises:
        ClickException: it is none.
    """
    digits = typed.replace(":", "").strip()
    try:
        return ledger.serial_text(int(digits, 16))
    except ValueError as error:
        raise click.ClickException("a serial number is hexadecimal") from error
