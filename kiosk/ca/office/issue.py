"""`kiosk ca issue`: a certificate for a request that lies in a file (PKCS #10, RFC 2986)."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import Connection

from kiosk.ca import audit, codes, holders, ledger, succession
from kiosk.ca.codes import Code
from kiosk.ca.holders import Holder, HolderRefused
from kiosk.ca.issuing import Issuing
from kiosk.ca.office.files import OUT, read_at_most, write_out
from kiosk.ca.office.opening import DIRECTORY, Office, opened
from kiosk.ca.office.showing import JSON, Record, write_json
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import Act
from kiosk.certificates import Certificate
from kiosk.cmp import der
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.requests import CertificateRequest, read_pkcs10

_LARGEST_REQUEST = 32 * 1024
"""Bytes."""
_PEM = b"-----BEGIN"


@click.command()
@click.option("--csr", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM or DER.")
@click.option("--for", "holder_id", metavar="ID", help="Whose it is to be; the one whom the request names.")
@OUT
@JSON
@DIRECTORY
def issue(csr: Path, holder_id: str | None, out: Path | None, as_json: bool, directory: Path) -> None:
    """Issue a certificate for a request in a file to a known holder: PEM, valid at once.

    It is checked like one that comes by a one-time code, and takes the place of a code that is still open.
    """
    with opened(directory) as office:
        request = _read(csr)
        try:
            with office.begin() as connection:
                holder = _holder(connection, request, holder_id)
                ledger.lock_holder(connection, holder.id)
                succession.lapse(connection, office.now)
                code, replaced = _code(connection, office, holder)
                at_once = msgspec.structs.replace(office.policy, approval=frozenset())
                certificate = Issuing(office.authority, office.book, at_once).issue(
                    connection, code, request, office.now
                )
        except Refusal as refusal:
            raise click.ClickException(f"{csr}: {refusal.text}") from refusal
        if replaced:
            click.echo("The code made before is no longer good.", err=True)
        if request.has_extensions:
            click.echo("The extensions asked for are left out: the profile is the CA's.", err=True)
        pem = certificate.x509.public_bytes(Encoding.PEM).decode("ascii")
        try:
            write_out(write_json([_record(certificate, holder, pem)]) + "\n" if as_json else pem, out)
        except OSError as error:
            has_it = f"the certificate is issued, and kiosk ca export --holder {holder.id} has it"
            raise click.ClickException(f"{error}; {has_it}") from error


def _read(path: Path) -> CertificateRequest:
    data = read_at_most(path, _LARGEST_REQUEST)
    try:
        if len(data) > _LARGEST_REQUEST:
            raise ValueError
        is_pem = data.lstrip().startswith(_PEM)
        return read_pkcs10(x509.load_pem_x509_csr(data).public_bytes(Encoding.DER) if is_pem else data)
    except (ValueError, MalformedMessage) as error:
        raise click.ClickException(f"{path} holds no certification request (PKCS #10, in PEM or DER)") from error


def _holder(connection: Connection, request: CertificateRequest, holder_id: str | None) -> Holder:
    """Who was said, or else whom the request names by its common name; whether it does is checked later."""
    wanted = holder_id or _named(request)
    if wanted is None:
        raise HolderRefused("the request names nobody; --for ID says whose it is to be")
    found = holders.find(connection, wanted)
    if found is None:
        raise HolderRefused(f"there is no holder {wanted!r}; kiosk ca holder add enters one")
    return found


def _named(request: CertificateRequest) -> str | None:
    if request.subject_der is None:
        return None
    try:
        names = der.decode(x509.Name, request.subject_der).get_attributes_for_oid(NameOID.COMMON_NAME)
    except MalformedMessage:
        return None
    return str(names[-1].value).partition(" ")[0] if names else None


def _code(connection: Connection, office: Office, holder: Holder) -> tuple[Code, bool]:
    """A one-time code that nobody ever sees, used up in the same transaction; and whether it replaces one."""
    vault = office.authority.vault
    _, replaced = codes.make(connection, vault, holder.id, office.policy.code_life, office.authority.random, office.now)
    if replaced is not None:
        audit.enter_code(connection, Act.CODE_REPLACED, replaced, office.now)
        succession.withdraw_code(connection, replaced, office.now)
    made = codes.find_open(connection, vault, holder.id)
    if made is None:
        raise LookupError("a code that was made is not there")
    return made, replaced is not None


def _record(certificate: Certificate, holder: Holder, pem: str) -> Record:
    return {
        "serial": certificate.serial,
        "holder": holder.id,
        "begins": certificate.not_before,
        "ends": certificate.not_after,
        "pem": pem,
    }
