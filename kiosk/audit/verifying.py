"""Whether a journal is whole: the file as a database, its numbers without a gap, its lines linked (`kiosk.chain`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from kiosk.audit.reading import JournalReader, JournalUnreadable, Line
from kiosk.chain import BEGINNING, link
from kiosk.journal import Event

_MOST_TOLD = 20
"""Flaws that are told one by one; the rest is counted."""


class Flaw(Enum):
    """What is not as it was written."""

    CHANGED = "changed"
    """The link of this line does not fit: it was changed, or the one before it."""
    MISSING = "missing"
    """Lines before this one are not there."""
    UNLINKED = "unlinked"
    """The line has no link, though one before it has: something else than a kiosk has written it."""
    REMOVAL_NOT_NOTED = "removal-not-noted"
    """Lines were removed up to this one, as if by policy, and the journal does not say so."""
    DAMAGED = "damaged"
    """The file is no whole database."""


@dataclass(frozen=True, slots=True)
class Found:
    """A flaw, and the number of the line at which it was found; 0 for the file as a whole."""

    flaw: Flaw
    number: int = 0


@dataclass(slots=True)
class Verification:
    """What was found out about a journal."""

    lines: int = 0
    before_chain: int = 0
    """Lines of a journal from before the chain: they are covered by the first link after them."""
    first_at: str = ""
    last_at: str = ""
    last_number: int = 0
    last_link: str = BEGINNING
    """To be noted elsewhere: whoever has it can tell later that nothing up to here was changed or cut off."""
    removed_through: int = 0
    """The last line that policy had removed; 0 where it never did."""
    flaws: list[Found] = field(default_factory=list)
    """The first ones."""
    flaw_count: int = 0
    known: bool | None = None
    """Whether the link that was noted elsewhere is in the journal; None where none was given."""

    @property
    def is_whole(self) -> bool:
        """Whether everything is as it was written."""
        return self.flaw_count == 0 and self.known is not False

    def add(self, flaw: Flaw, number: int = 0) -> None:
        """Tell or count one more."""
        self.flaw_count += 1
        if len(self.flaws) < _MOST_TOLD:
            self.flaws.append(Found(flaw, number))


def verify(journal: JournalReader, known: str = "") -> Verification:
    """Look through the whole journal; `known` is a link that was noted elsewhere.

    Raises:
        JournalUnreadable: it cannot be had; where it is damaged, that is what was found out.
    """
    verification = Verification()
    try:
        journal.check_file()
        _follow_chain(journal, verification)
        if known:
            verification.known = journal.knows(known)
    except JournalUnreadable as error:
        if not error.damaged:
            raise
        verification.add(Flaw.DAMAGED)
    return verification


def _follow_chain(journal: JournalReader, verification: Verification) -> None:
    removed = journal.newest_removal()
    number, before = (0, BEGINNING) if removed is None else (removed.through, removed.chain)
    verification.removed_through = number
    removal_noted = removed is None
    for line in _counted(journal.lines(), verification):
        if line.number != number + 1:
            verification.add(Flaw.MISSING, line.number)
            before = line.chain or before
        elif line.chain:
            if line.chain != link(before, line.number, line.entry.fields):
                verification.add(Flaw.CHANGED, line.number)
            before = line.chain
        else:
            if verification.before_chain != verification.lines:
                verification.add(Flaw.UNLINKED, line.number)
            before = link(before, line.number, line.entry.fields)
        removal_noted = removal_noted or _notes_removal(line, verification.removed_through)
        number = line.number
    verification.last_number, verification.last_link = number, before
    if not removal_noted:
        verification.add(Flaw.REMOVAL_NOT_NOTED, verification.removed_through)


def _counted(lines: Iterator[Line], verification: Verification) -> Iterator[Line]:
    for line in lines:
        verification.lines += 1
        verification.before_chain += not line.chain
        verification.first_at = verification.first_at or line.entry.at
        verification.last_at = line.entry.at
        yield line


def _notes_removal(line: Line, through: int) -> bool:
    return line.entry.event == Event.OLD_LINES_REMOVED and f" through {through}," in line.entry.detail
