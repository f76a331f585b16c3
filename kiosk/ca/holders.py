"""Holders: whose certificates they are, and the subject they are issued for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID
from sqlalchemy import Connection, Row, insert, select

from kiosk.ca.policy import Policy
from kiosk.ca.schema import HOLDERS
from kiosk.certificates import Certificate
from kiosk.cmp import der
from kiosk.cmp.errors import MalformedMessage
from kiosk.credentials import HolderKind

LONGEST_ID = 32
DEFAULT_LANGUAGE = "ja"
_ID = re.compile(rf"[!-~]{{1,{LONGEST_ID}}}")
_LONGEST_COMMON_NAME = 64
"""Characters (ub-common-name, RFC 5280 appendix A.1)."""


class HolderRefused(ValueError):
    """A holder cannot be entered; the message says why."""


@dataclass(frozen=True, slots=True)
class Holder:
    """An ID of the bank's internet banking as the ledger knows it."""

    id: str
    kind: HolderKind
    subject_der: bytes
    name: str | None = None
    """What stands in the subject after the ID."""
    email: str | None = None
    language: str = DEFAULT_LANGUAGE
    """Of the mails to them: a CLDR code."""

    @property
    def subject(self) -> x509.Name:
        """What certificates of this holder are issued for."""
        return der.decode(x509.Name, self.subject_der)

    def is_named_by(self, name_der: bytes) -> bool:
        """Whether a name means this holder: the whole subject, or a common name alone that is the ID."""
        try:
            name = der.decode(x509.Name, name_der)
        except MalformedMessage:
            return False
        attributes = list(name)
        # By value: which kind of string somebody writes a name in is nobody's business (RFC 5280 §7.1).
        return name == self.subject or (
            len(attributes) == 1 and (attributes[0].oid, attributes[0].value) == (NameOID.COMMON_NAME, self.id)
        )


def manual_subject(
    issuing: Certificate, policy: Policy, holder: str, kind: HolderKind, name: str | None = None
) -> x509.Name:
    """The subject of the manual's completion screen: the CA's own lines, the units of the kind, ID and name.

    Raises:
        HolderRefused: ID or name cannot be in a certificate.
    """
    if not _ID.fullmatch(holder):
        raise HolderRefused(f"an ID is 1 to {LONGEST_ID} printable ASCII characters without spaces")
    common_name = f"{holder} {name}" if name else holder
    if not common_name.isprintable() or len(common_name) > _LONGEST_COMMON_NAME:
        raise HolderRefused(f"ID and name together are at most {_LONGEST_COMMON_NAME} printable characters")
    units = policy.administrator_units if kind is HolderKind.ADMINISTRATOR else policy.user_units
    above = [each for each in issuing.x509.subject if each.oid != NameOID.COMMON_NAME]
    below = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    return x509.Name([*above, *below, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def add(
    connection: Connection,
    holder: str,
    kind: HolderKind,
    subject: x509.Name,
    *,
    name: str | None = None,
    email: str | None = None,
    language: str = DEFAULT_LANGUAGE,
) -> None:
    """Enter a new holder.

    Raises:
        HolderRefused: the ID is there already.
    """
    if find(connection, holder) is not None:
        raise HolderRefused(f"{holder} is in the ledger already")
    row = {
        "id": holder,
        "kind": kind.value,
        "subject": subject.public_bytes(),
        "name": name,
        "email": email,
        "language": language,
    }
    connection.execute(insert(HOLDERS).values(row))


def ensure(connection: Connection, holder: str, kind: HolderKind, subject: x509.Name) -> None:
    """Enter a holder who is not yet known; one who is stays as he is."""
    if find(connection, holder) is None:
        add(connection, holder, kind, subject)


def find(connection: Connection, holder: str) -> Holder | None:
    """The holder with this ID."""
    row = connection.execute(select(HOLDERS).where(HOLDERS.c.id == holder)).one_or_none()
    return None if row is None else _holder(row)


def get(connection: Connection, holder: str) -> Holder:
    """The holder whom other rows refer to by this ID."""
    found = find(connection, holder)
    if found is None:
        raise LookupError("a row of the ledger refers to no holder")
    return found


def everybody(connection: Connection) -> Sequence[Holder]:
    """All of them, by ID."""
    rows = connection.execute(select(HOLDERS).order_by(HOLDERS.c.id))
    return [_holder(row) for row in rows]


def _holder(row: Row[tuple[object, ...]]) -> Holder:
    return Holder(row.id, HolderKind(row.kind), row.subject, row.name, row.email, row.language)
