"""The teller's commands. Each is one short transaction in the ledger, whether or not a server has it open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, select

from kiosk.ca import codes, crl, holders, ledger, promises, revoking, succession
from kiosk.ca.authority import Authority, AuthorityDamaged, load_authority
from kiosk.ca.holders import HolderRefused
from kiosk.ca.ledger import Ledger, LedgerDamaged
from kiosk.ca.policy import Policy, PolicyError, load_policy
from kiosk.ca.promises import Promise
from kiosk.ca.schema import CERTIFICATES, CODES
from kiosk.ca.vault import Vault, VaultDamaged
from kiosk.certificates import read_certificate
from kiosk.clock import JAPAN, system_clock
from kiosk.credentials import HolderKind
from kiosk.one_time_code import OneTimeCode

FAULTS = (AuthorityDamaged, LedgerDamaged, PolicyError, VaultDamaged, HolderRefused, OSError)
"""What a command tells in one line."""

DIRECTORY = click.option(
    "--directory", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the CA lives."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")
_NUMBERS = click.argument("numbers", nargs=-1, type=int)

Record = Mapping[str, str | int]
"""One line of a list, by column."""


@dataclass(frozen=True, slots=True)
class Office:
    """A CA's directory, opened for one command."""

    authority: Authority
    policy: Policy
    book: Ledger
    now: datetime


@contextmanager
def opened(directory: Path) -> Iterator[Office]:
    """Open it, and tell what goes wrong in one line.

    Raises:
        ClickException: something is missing or damaged, or what was asked cannot be.
    """
    try:
        authority = load_authority(directory.absolute())
        policy = load_policy(authority.directory)
        with Ledger.open_beside(authority.directory) as book:
            yield Office(authority, policy, book, system_clock().astimezone(UTC))
    except FAULTS as error:
        raise click.ClickException(str(error)) from error


@click.group()
def holder() -> None:
    """Those whose certificates the CA issues."""


@holder.command("add")
@click.argument("holder_id", metavar="ID")
@click.option("--kind", required=True, type=click.Choice([each.value for each in HolderKind]))
@click.option("--name", help="Goes into the certificate after the ID.")
@DIRECTORY
def add_holder(holder_id: str, kind: str, name: str | None, directory: Path) -> None:
    """Enter a new holder; the ID is what internet banking knows them by."""
    with opened(directory) as office:
        known_kind = HolderKind(kind)
        subject = holders.manual_subject(office.authority.issuing, office.policy, holder_id, known_kind, name)
        with office.book.begin() as connection:
            holders.add(connection, holder_id, known_kind, subject, name=name)
    click.echo(_name(subject))


@click.command()
@click.argument("holder_id", metavar="ID")
@DIRECTORY
def code(holder_id: str, directory: Path) -> None:
    """Make a one-time code for a holder; it is shown once, the last line is the bare code."""
    with opened(directory) as office:
        made, has_replaced = make_code(office, holder_id)
    if has_replaced:
        click.echo("The code made before is no longer good.")
    click.echo(f"One-time code of {holder_id}, good until {_time(office.now + office.policy.code_life)}:")
    click.echo(made.grouped)
    click.echo(made.secret.decode("ascii"))


def make_code(office: Office, holder_id: str) -> tuple[OneTimeCode, bool]:
    """A new one-time code for a known holder, and whether it replaces one.

    Raises:
        ClickException: there is no such holder.
    """
    vault = Vault.of(office.authority.directory, office.authority.random)
    with office.book.begin() as connection:
        if holders.find(connection, holder_id) is None:
            raise click.ClickException(f"there is no holder {holder_id}; kiosk ca holder add enters one")
        made, replaced = codes.make(
            connection, vault, holder_id, office.policy.code_life, office.authority.random, office.now
        )
        if replaced is not None:
            succession.withdraw_code(connection, replaced, office.now)
    return made, replaced is not None


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Only tell which requests wait.")
@_NUMBERS
@_JSON
@DIRECTORY
def approve(only_list: bool, numbers: Sequence[int], as_json: bool, directory: Path) -> None:
    """Approve requests that wait; NUMBERS are those that --list tells."""
    with opened(directory) as office:
        if only_list or not numbers:
            with office.book.read() as connection:
                _print(
                    [_waiting_record(connection, each) for each in promises.waiting(connection, office.now)],
                    as_json=as_json,
                )
            return
        _decide(office, numbers, approve=True)


@click.command()
@_NUMBERS
@DIRECTORY
def refuse(numbers: Sequence[int], directory: Path) -> None:
    """Refuse requests that wait; NUMBERS are those that `kiosk ca approve --list` tells."""
    if not numbers:
        raise click.UsageError("which request?")
    with opened(directory) as office:
        _decide(office, numbers, approve=False)


@click.command()
@click.argument("serial")
@click.option("--reason", required=True, type=click.Choice(list(revoking.REASONS.values())))
@DIRECTORY
def revoke(serial: str, reason: str, directory: Path) -> None:
    """Revoke the certificate with this serial number, in hexadecimal, for good."""
    with opened(directory) as office, office.book.begin() as connection:
        entry = ledger.find_serial(
            connection, ledger.issuer_hash(office.authority.issuing.subject_der), _plain_serial(serial)
        )
        if entry is None:
            raise click.ClickException("there is no certificate with this serial number")
        if not revoking.put_on_crl(connection, entry, reason, office.now):
            raise click.ClickException(f"it is revoked already ({entry.reason})")
    click.echo(f"{entry.certificate.serial} of {entry.holder} is revoked: {reason}")


@click.command("list")
@click.argument("what", type=click.Choice(["certificates", "holders", "codes"]), default="certificates")
@_JSON
@DIRECTORY
def list_(what: str, as_json: bool, directory: Path) -> None:
    """What the ledger knows: certificates, holders or codes (never a code itself)."""
    records = {"certificates": _certificates, "holders": _holders, "codes": _codes}
    with opened(directory) as office, office.book.read() as connection:
        _print(records[what](connection), as_json=as_json)


@click.command("crl")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it there, in DER.")
@DIRECTORY
def current_crl(out: Path | None, directory: Path) -> None:
    """The list of what is revoked, in PEM, made anew where that is due."""
    with opened(directory) as office:
        with office.book.begin() as connection:
            newest = crl.current(connection, office.authority, office.policy, office.now)
        if out is not None:
            out.write_bytes(newest.der)
            return
    click.echo(x509.load_der_x509_crl(newest.der).public_bytes(Encoding.PEM), nl=False)


COMMANDS = (holder, code, approve, refuse, revoke, list_, current_crl)
"""Those of a teller."""


def _decide(office: Office, numbers: Sequence[int], *, approve: bool) -> None:
    with office.book.begin() as connection:
        succession.lapse(connection, office.now)
        in_vain = [each for each in numbers if not succession.decide(connection, each, approve=approve, now=office.now)]
    for number in numbers:
        if number not in in_vain:
            click.echo(f"{number} is {'approved' if approve else 'refused'}")
    if in_vain:
        raise click.ClickException(f"no such request waits: {', '.join(map(str, in_vain))}")


def _waiting_record(connection: Connection, promise: Promise) -> Record:
    return {
        "number": promise.id,
        "for": promise.kind.value,
        "holder": _holder_of(connection, promise),
        "key": promise.key_hash.hex()[:16],
        "since": _time(promise.made_at),
        "until": _time(promise.deadline),
    }


def _holder_of(connection: Connection, promise: Promise) -> str:
    if promise.by_certificate is not None:
        return ledger.get(connection, promise.by_certificate).holder
    found: str = connection.execute(select(CODES.c.holder).where(CODES.c.id == promise.by_code)).scalar_one()
    return found


def _certificates(connection: Connection) -> list[Record]:
    rows = connection.execute(select(CERTIFICATES).order_by(CERTIFICATES.c.holder, CERTIFICATES.c.id))
    return [
        {
            "serial": row.serial,
            "holder": row.holder,
            "state": row.state,
            "reason": row.reason or "",
            "begins": _time(read_certificate(row.der).not_before),
            "ends": _time(row.not_after),
        }
        for row in rows
    ]


def _holders(connection: Connection) -> list[Record]:
    return [
        {"id": each.id, "kind": each.kind.value, "subject": _name(each.subject)}
        for each in holders.everybody(connection)
    ]


def _codes(connection: Connection) -> list[Record]:
    rows = connection.execute(select(CODES).order_by(CODES.c.holder, CODES.c.id))
    return [
        {"holder": row.holder, "state": row.state, "made": _time(row.made_at), "expires": _time(row.expires_at)}
        for row in rows
    ]


def _print(records: Sequence[Record], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(records, ensure_ascii=False))
        return
    if not records:
        click.echo("none")
        return
    lines = [list(records[0]), *([str(value) for value in record.values()] for record in records)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        click.echo("  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip())


def _plain_serial(typed: str) -> str:
    digits = typed.replace(":", "").strip()
    try:
        return ledger.serial_text(int(digits, 16))
    except ValueError as error:
        raise click.ClickException("a serial number is hexadecimal") from error


def _time(moment: datetime) -> str:
    return moment.astimezone(JAPAN).strftime("%Y-%m-%d %H:%M:%S %Z")


def _name(subject: x509.Name) -> str:
    return ", ".join(f"{each.rfc4514_attribute_name}={each.value!s}" for each in subject)
