"""A calendar entry for the day on which a certificate can be renewed again, short enough for a QR code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from kiosk.texts import Texts

_ID_SHOWN = 4
"""Characters of the ID that leave the kiosk; whoever finds the phone learns no more."""
_UID_BYTES = 5


@dataclass(frozen=True, slots=True)
class Reminder:
    """When the next renewal opens, for which ID."""

    day: date
    """In the bank's zone."""
    holder_id: str
    certificate: bytes
    """Fingerprint, which makes the entry one of a kind: read twice, it is in the calendar once."""
    made: datetime

    @property
    def id_in_part(self) -> str:
        """*8054; nothing but the sign where the ID is no longer than what would be shown."""
        return "*" + (self.holder_id[-_ID_SHOWN:] if len(self.holder_id) > _ID_SHOWN else "")


def calendar_entry(reminder: Reminder, texts: Texts) -> str:
    """One all-day VEVENT that rings at nine in the morning (RFC 5545 §3.6.1, §3.6.6).

    Phones take it from a QR code. It is kept under 272 octets, what a code of 57 modules holds: with the quiet zone
    that is 33 rows, for which a terminal of 34 just has room. No line is so long that it would have to be folded.
    """
    summary = texts("reminder.summary", id=_escaped(reminder.id_in_part))
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:K",
        "BEGIN:VEVENT",
        f"UID:{reminder.certificate[:_UID_BYTES].hex()}",
        f"DTSTAMP:{reminder.made.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        f"DTSTART;VALUE=DATE:{reminder.day:%Y%m%d}",
        f"SUMMARY:{summary}",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        f"DESCRIPTION:{texts('reminder.alarm')}",
        "TRIGGER:PT9H",
        "END:VALARM",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return "".join(f"{line}\r\n" for line in lines)


def _escaped(text: str) -> str:
    """RFC 5545 §3.3.11; what a line cannot carry at all is left out."""
    kept = "".join(sign for sign in text if sign.isprintable())
    return kept.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
