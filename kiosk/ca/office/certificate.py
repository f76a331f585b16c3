"""`kiosk ca certificate`: certificates that another CA has issued to our holders, for notices and lists.

Ours takes them for no signers of messages and puts them on no CRL; whether they were revoked, it does not know.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, select

from kiosk.ca import audit, holders, ledger
from kiosk.ca.database import take_time
from kiosk.ca.office import csv_files
from kiosk.ca.office.csv_files import FileRefused, Row, RowRefused
from kiosk.ca.office.files import DRY_RUN, ENCODING, UPDATE, read_at_most, show_planned
from kiosk.ca.office.holder_files import OPTIONAL, Described, Planning
from kiosk.ca.office.opening import DIRECTORY, Office, opened
from kiosk.ca.office.revocation import plain_serial
from kiosk.ca.office.showing import JSON, show
from kiosk.ca.schema import CERTIFICATES, Act, CertificateState
from kiosk.certificates import LARGEST_CERTIFICATE, Certificate, UnreadableCertificate, read_certificate
from kiosk.credentials import HolderRule

FACTS = ("serial", "state", "reason", "begins", "ends", "issuer")
"""Columns of exports; of them only the state is not in the certificate itself."""

_SUFFIXES = frozenset({".pem", ".crt", ".cer"})
_PEM = b"-----BEGIN"
_SEQUENCE = b"\x30"
_LARGEST_FILE = 4 * LARGEST_CERTIFICATE
_LONGEST_SERIAL = 40
"""Hexadecimal digits: 20 octets (RFC 5280 §4.1.2.2)."""


@click.group()
def certificate() -> None:
    """Certificates that were issued elsewhere."""


@certificate.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@ENCODING
@UPDATE
@DRY_RUN
@JSON
@DIRECTORY
def import_certificates(
    source: Path, encoding: str, update: bool, dry_run: bool, as_json: bool, directory: Path
) -> None:
    """Enter the certificates of a CSV file, or of the PEM files in a directory, all of them or none.

    The file's first line names the columns: id and certificate (base64, PEM, or the path of a file), and those of kind,
    name, email and language that it tells; a new holder needs a kind. Rows whose column state says anything else than
    valid are left out. In a directory ID and name are the common name's.
    """
    with opened(directory) as office:
        rows = _rows_of_directory(source) if source.is_dir() else _rows_of_file(source, encoding)
        with office.book.read() if dry_run else office.begin() as connection:
            take_time(connection)
            if not dry_run:
                holders.keep_as_they_are(connection)
            importing = _Importing(connection, office, source.parent, update=update)
            planned = csv_files.take_rows(rows, importing.add)
            if not dry_run:
                importing.carry_out(connection)
    show_planned(planned, dry_run=dry_run, as_json=as_json)


@certificate.command("retire")
@click.argument("serial")
@JSON
@DIRECTORY
def retire(serial: str, as_json: bool, directory: Path) -> None:
    """Note that a certificate issued elsewhere was revoked or replaced there: no notice is sent for it any more."""
    with opened(directory) as office, office.begin() as connection:
        wanted = (CERTIFICATES.c.serial == plain_serial(serial), CERTIFICATES.c.state == CertificateState.VALID)
        ours = ledger.issuer_hash(office.authority.issuing.subject_der)
        query = select(CERTIFICATES.c.id, CERTIFICATES.c.serial, CERTIFICATES.c.holder)
        valid = connection.execute(query.where(*wanted, CERTIFICATES.c.issuer != ours)).all()
        retired = [each for each in valid if _retire(connection, each.id, office.now)]
        if not retired:
            raise click.ClickException("no valid certificate issued elsewhere has this serial number; kiosk ca list")
    if as_json:
        show([{"serial": each.serial, "holder": each.holder} for each in retired], as_json=True)
        return
    for each in retired:
        click.echo(f"{each.serial} of {each.holder} is retired")


def _retire(connection: Connection, number: int, now: datetime) -> bool:
    """Answers whether it was valid until now: another teller may have come first."""
    state, only_from = CertificateState.REVOKED, CertificateState.VALID
    retired = ledger.change_state(connection, number, state, reason="unspecified", only_from=only_from, now=now)
    if retired:
        audit.enter_certificate(connection, Act.REVOKED, number, now, detail="elsewhere")
    return retired


@dataclass(frozen=True, slots=True)
class _Known:
    holder: str
    fingerprint: bytes


class _Importing:
    """What rows with certificates do to a ledger, one after the other."""

    def __init__(self, connection: Connection, office: Office, beside: Path, *, update: bool) -> None:
        described = Described(office.authority, office.policy)
        self._holders = Planning(holders.by_id(connection), described, update=update)
        self._ours = office.authority.issuing.subject_der
        self._now = office.now
        self._beside = beside
        self._known = {
            (row.issuer, row.serial): _Known(row.holder, row.fingerprint)
            for row in connection.execute(
                select(CERTIFICATES.c.issuer, CERTIFICATES.c.serial, CERTIFICATES.c.holder, CERTIFICATES.c.fingerprint)
            )
        }
        self._new: list[tuple[Certificate, str]] = []

    def add(self, row: Row) -> tuple[str, str, str]:
        """What this row does: where it stands, whose the certificate is, and whether that is new.

        Raises:
            HolderRefused: its holder cannot be.
            RowRefused: its certificate cannot be.
        """
        found = _certificate(row.cells["certificate"], self._beside)
        if row.cells.get("state", CertificateState.VALID) != CertificateState.VALID:
            return row.where, row.cells["id"], "left out"
        holder = self._holders.add(row).holder.id
        place = (ledger.issuer_hash(found.issuer_der), found.serial)
        known = self._known.get(place)
        if known is not None:
            if known.fingerprint != found.fingerprint:
                raise RowRefused("another certificate of this issuer has its serial number")
            if known.holder != holder:
                raise RowRefused(f"the certificate is in the ledger as one of {known.holder}")
            return row.where, holder, "unchanged"
        if found.issuer_der == self._ours:
            raise RowRefused("it names this CA as its issuer, and this ledger does not know it")
        self._known[place] = _Known(holder, found.fingerprint)
        self._new.append((found, holder))
        return row.where, holder, "added"

    def carry_out(self, connection: Connection) -> None:
        """Enter all of it, and in the audit."""
        self._holders.carry_out(connection, self._now)
        ledger.record_all(connection, self._new, state=CertificateState.VALID, now=self._now)
        whose = [(holder, each.serial) for each, holder in self._new]
        audit.enter_all(connection, Act.CERTIFICATE_IMPORTED, whose, self._now)


def _rows_of_file(path: Path, encoding: str) -> Sequence[Row]:
    return csv_files.read_rows(
        read_at_most(path, csv_files.LARGEST_FILE),
        encoding,
        required=("id", "certificate"),
        optional=("kind", *OPTIONAL, *FACTS),
    )


def _rows_of_directory(directory: Path) -> Sequence[Row]:
    """A row for each certificate that is no CA's, with the ID as a kiosk would read it."""
    rows, faults = [], []
    for path in sorted(each for each in directory.iterdir() if each.suffix.lower() in _SUFFIXES):
        try:
            pems = [_read(each) for each in _split(_content(path))]
        except RowRefused as refused:
            faults.append(f"{path.name}: {refused}")
            continue
        for found in pems:
            if not found.is_authority:
                holder = HolderRule().holder_of(found)
                name = found.common_name.removeprefix(holder.id).strip()
                cells = {
                    "id": holder.id,
                    "kind": holder.kind.value,
                    "certificate": base64.b64encode(found.der).decode(),
                }
                rows.append(Row(path.name, cells | ({"name": name} if name else {})))
    if not rows and not faults:
        faults.append(f"{directory} holds no certificates ({', '.join(sorted(_SUFFIXES))})")
    if faults:
        raise FileRefused(faults)
    return rows


def _certificate(cell: str, beside: Path) -> Certificate:
    """The one that a cell holds or names.

    Raises:
        RowRefused: it does not.
    """
    if cell.encode().startswith(_PEM):
        ders = _split(cell.encode())
    else:
        der = _decode(cell)
        ders = [der] if der.startswith(_SEQUENCE) else _split(_content(beside / cell))
    if len(ders) != 1:
        raise RowRefused(f"one certificate is wanted, not {len(ders)}")
    found = _read(ders[0])
    if found.is_authority:
        raise RowRefused("it is the certificate of a CA")
    return found


def _decode(cell: str) -> bytes:
    try:
        return base64.b64decode("".join(cell.split()), validate=True)
    except ValueError:
        return b""


def _content(path: Path) -> bytes:
    try:
        # Whoever wrote the row may have named a device that never ends, or a pipe into which nobody writes.
        content = read_at_most(path, _LARGEST_FILE) if path.is_file() else b""
    except (OSError, ValueError):
        content = b""
    if not content:
        raise RowRefused("the certificate is neither base64 nor a file that can be read")
    if len(content) > _LARGEST_FILE:
        raise RowRefused(f"the file has more than {_LARGEST_FILE} bytes")
    return content


def _split(content: bytes) -> list[bytes]:
    if not content.lstrip().startswith(_PEM):
        return [content]
    try:
        return [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(content)]
    except ValueError as error:
        raise RowRefused("the PEM is damaged") from error


def _read(der: bytes) -> Certificate:
    try:
        found = read_certificate(der)
    except UnreadableCertificate as error:
        raise RowRefused(f"this is no certificate that can be read: {error}") from error
    if found.serial_number <= 0 or len(found.serial) > _LONGEST_SERIAL:
        raise RowRefused("its serial number is not a positive one of 20 octets at most")
    return found
