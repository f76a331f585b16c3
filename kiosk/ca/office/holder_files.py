"""Holders out of a file: what it says of them, and what that changes in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from kiosk.ca import audit, holders
from kiosk.ca.authority import Authority
from kiosk.ca.holders import DEFAULT_LANGUAGE, Holder, HolderRefused
from kiosk.ca.office.csv_files import Row
from kiosk.ca.policy import Policy
from kiosk.ca.schema import Act
from kiosk.credentials import HolderKind

REQUIRED = ("id", "kind")
OPTIONAL = ("name", "email", "language")
COLUMNS = (*REQUIRED, *OPTIONAL)

_KINDS = {
    "administrator": HolderKind.ADMINISTRATOR,
    "user": HolderKind.USER,
    "管理者": HolderKind.ADMINISTRATOR,
    "利用者": HolderKind.USER,
}


class Outcome(StrEnum):
    """What a row does to its holder."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Planned:
    """One row, and what it does."""

    where: str
    holder: Holder
    outcome: Outcome


class Described:
    """What an authority enters of holders, under its policy."""

    def __init__(self, authority: Authority, policy: Policy) -> None:
        self._issuing = authority.issuing
        self._policy = policy

    def holder(
        self,
        holder_id: str,
        kind: HolderKind,
        name: str | None = None,
        email: str | None = None,
        language: str = DEFAULT_LANGUAGE,
    ) -> Holder:
        """A holder with the subject that certificates are issued for.

        Raises:
            HolderRefused: something of it cannot be.
        """
        subject = holders.manual_subject(self._issuing, self._policy, holder_id, kind, name)
        address = None if email is None else holders.check_email(email)
        return Holder(holder_id, kind, subject.public_bytes(), name, address, holders.check_language(language))

    def changed(self, known: Holder, wanted: Holder) -> Holder:
        """`wanted` in place of `known`; the subject is made anew only if what it is made of is another.

        Raises:
            HolderRefused: something of it cannot be.
        """
        entered = self.holder(known.id, wanted.kind, wanted.name, wanted.email, wanted.language)
        same = (wanted.kind, wanted.name) == (known.kind, known.name)
        return replace(entered, subject_der=known.subject_der) if same else entered


class Planning:
    """What the rows of a file do, one after the other, where these holders are known."""

    def __init__(self, known: Mapping[str, Holder], described: Described, *, update: bool) -> None:
        """Begin.

        Args:
            known: Holders by ID.
            described: Makes holders.
            update: Whether the file may change what is known.
        """
        self._known = known
        self._described = described
        self._update = update
        self._planned: dict[str, Planned] = {}

    def add(self, row: Row) -> Planned:
        """What this row does to its holder. A column that is not there, or no kind, says nothing of him.

        Raises:
            HolderRefused: it cannot be, or another row says otherwise.
        """
        before, earlier = self._known.get(row.cells["id"]), self._planned.get(row.cells["id"])
        after = self._new(row) if before is None else self._described.changed(before, _with(row, before))
        if before is not None and before != after and not self._update:
            raise HolderRefused(f"{after.id} is in the ledger with other details; --update takes those of the file")
        if earlier is not None and earlier.holder != after:
            raise HolderRefused(f"{earlier.where} says something else of {after.id}")
        outcome = Outcome.ADDED if before is None else Outcome.UNCHANGED if before == after else Outcome.CHANGED
        planned = Planned(row.where, after, outcome)
        self._planned.setdefault(after.id, planned)
        return planned

    def carry_out(self, connection: Connection, now: datetime) -> None:
        """Enter all of it, and in the audit."""
        new = [each.holder for each in self._planned.values() if each.outcome is Outcome.ADDED]
        changed = [each.holder for each in self._planned.values() if each.outcome is Outcome.CHANGED]
        holders.add_all(connection, new)
        holders.change_all(connection, changed)
        audit.enter_all(connection, Act.HOLDER_ADDED, [(each.id, None) for each in new], now)
        audit.enter_all(connection, Act.HOLDER_CHANGED, [(each.id, None) for each in changed], now)

    def _new(self, row: Row) -> Holder:
        kind = _kind(row)
        if kind is None:
            raise HolderRefused(f"the kind of a new holder is one of {', '.join(_KINDS)}")
        cells = row.cells
        name, email = cells.get("name") or None, cells.get("email") or None
        return self._described.holder(cells["id"], kind, name, email, cells.get("language") or DEFAULT_LANGUAGE)


def _with(row: Row, known: Holder) -> Holder:
    cells = row.cells
    return replace(
        known,
        kind=_kind(row) or known.kind,
        name=cells.get("name", known.name) or None,
        email=cells.get("email", known.email) or None,
        language=cells.get("language", known.language) or DEFAULT_LANGUAGE,
    )


def _kind(row: Row) -> HolderKind | None:
    word = row.cells.get("kind")
    if not word:
        return None
    if word not in _KINDS:
        raise HolderRefused(f"a kind is one of {', '.join(_KINDS)}")
    return _KINDS[word]
