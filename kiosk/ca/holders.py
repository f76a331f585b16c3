"""Holders: whose certificates they are, and the subject they are issued for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from babel import Locale, UnknownLocaleError
from cryptography import x509
from cryptography.x509.oid import NameOID
from sqlalchemy import Connection, Row, bindparam, insert, select, text

from kiosk.ca.database import is_postgres
from kiosk.ca.policy import Policy
from kiosk.ca.schema import HOLDERS
from kiosk.certificates import Certificate
from kiosk.cmp import der
from kiosk.cmp.errors import MalformedMessage
from kiosk.credentials import HolderKind

LONGEST_ID = 32
DEFAULT_LANGUAGE = "ja"
IDEOGRAPHIC_SPACE = "\u3000"
"""Between family and given name."""
_ID = re.compile(rf"[!-~]{{1,{LONGEST_ID}}}")
_LONGEST_COMMON_NAME = 64
"""Characters (ub-common-name, RFC 5280 appendix A.1)."""


_ADDRESS = re.compile(
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
)
_LONGEST_ADDRESS = 254
"""Characters (RFC 5321 §4.5.3.1.3, without the angle brackets)."""
_LONGEST_LOCAL_PART = 64
_LONGEST_LABEL = 63
_LONGEST_LANGUAGE = 16


_KEEP = text("LOCK TABLE holders IN SHARE ROW EXCLUSIVE MODE")


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


def is_literal(text: str) -> bool:
    """Whether a text has no character that does something but be seen; the ideographic space does not."""
    return text.replace(IDEOGRAPHIC_SPACE, " ").isprintable()


def manual_subject(
    issuing: Certificate, policy: Policy, holder: str, kind: HolderKind, name: str | None = None
) -> x509.Name:
    """The subject of the manual's completion screen: the CA's own lines, the units of the kind, ID and name.

    Raises:
        HolderRefused: ID or name cannot be in a certificate.
    """
    if not _ID.fullmatch(holder):
        raise HolderRefused(f"an ID is 1 to {LONGEST_ID} printable ASCII characters without spaces")
    common_name = _filled(policy.common_name, holder, name)
    if not is_literal(common_name) or len(common_name) > _LONGEST_COMMON_NAME:
        raise HolderRefused(f"ID and name together are at most {_LONGEST_COMMON_NAME} printable characters")
    units = policy.administrator_units if kind is HolderKind.ADMINISTRATOR else policy.user_units
    above = [each for each in issuing.x509.subject if each.oid != NameOID.COMMON_NAME]
    below = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    return x509.Name([*above, *below, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _filled(pattern: str, holder: str, name: str | None) -> str:
    values = {"{id}": holder, "{name}": name or ""}
    return re.sub(r"\{id\}|\{name\}", lambda hole: values[hole[0]], pattern).strip()


def check_email(address: str) -> str:
    """An address that a mail can be sent to, as it was given: a dot-atom at a domain (RFC 5321 §4.1.2), all in ASCII.

    Raises:
        HolderRefused: it is none.
    """
    found = _ADDRESS.fullmatch(address) if len(address) <= _LONGEST_ADDRESS else None
    labels = address.rpartition("@")[2].split(".")
    if found is None or len(found["local"]) > _LONGEST_LOCAL_PART or max(map(len, labels)) > _LONGEST_LABEL:
        raise HolderRefused("an e-mail address is NAME@DOMAIN in ASCII, without spaces, comments or two dots in a row")
    return address


def check_language(code: str) -> str:
    """A language by its CLDR code, as the files in assets/texts are named: `ja`, `en`, `pt_BR`.

    Raises:
        HolderRefused: it is none.
    """
    try:
        is_known = len(code) <= _LONGEST_LANGUAGE and str(Locale.parse(code)) == code
    except (ValueError, UnknownLocaleError):
        is_known = False
    if not is_known:
        raise HolderRefused("a language is a CLDR code, such as ja, en or pt_BR")
    return code


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
    add_all(connection, [Holder(holder, kind, subject.public_bytes(), name, email, language)])


def add_all(connection: Connection, new: Sequence[Holder]) -> None:
    """Enter holders none of whom is known yet."""
    if new:
        connection.execute(insert(HOLDERS), [_row(each) for each in new])


def keep_as_they_are(connection: Connection) -> None:
    """Let nobody else enter or change holders before this transaction ends; to be done before they are read.

    The CA goes on meanwhile: it changes nothing that is known of a holder.
    """
    if is_postgres(connection):
        connection.execute(_KEEP)


def change_all(connection: Connection, changed: Sequence[Holder]) -> None:
    """Write what is known of holders anew. What has been issued to them stays as it is."""
    if changed:
        statement = HOLDERS.update().where(HOLDERS.c.id == bindparam("known"))
        connection.execute(statement, [{**_row(each), "known": each.id} for each in changed])


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


def by_id(connection: Connection) -> dict[str, Holder]:
    """All of them."""
    return {each.id: each for each in everybody(connection)}


def everybody(connection: Connection) -> Sequence[Holder]:
    """All of them, by ID."""
    rows = connection.execute(select(HOLDERS).order_by(HOLDERS.c.id))
    return [_holder(row) for row in rows]


def _row(holder: Holder) -> dict[str, object]:
    return {
        "id": holder.id,
        "kind": holder.kind.value,
        "subject": holder.subject_der,
        "name": holder.name,
        "email": holder.email,
        "language": holder.language,
    }


def _holder(row: Row[tuple[object, ...]]) -> Holder:
    return Holder(row.id, HolderKind(row.kind), row.subject, row.name, row.email, row.language)
