"""How a command shows what it found or did: a table for people, or one JSON array for programs.

Both are made from the same records. Times are Japan's in a table, ISO 8601 in UTC in JSON; what is not there is empty
in the one and null in the other. What came from outside is literal text: a character that could steer a terminal is
written as its number in either.
"""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click
from cryptography import x509

from kiosk.ca.holders import is_literal
from kiosk.clock import JAPAN

Value = str | int | bool | datetime | None
Record = Mapping[str, Value]
"""One line of a table, by column. All of a table have the same columns."""

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")

_GAP = "  "
_USUAL_SIZE = (80, 24)


def show(records: Sequence[Record], *, as_json: bool, short: Sequence[str] = ()) -> None:
    """Print records for a program, or for people at the width of their terminal.

    Args:
        records: What there is to show.
        as_json: For a program.
        short: The columns to do with where all of them would be wider than the terminal.
    """
    if as_json:
        click.echo(write_json(records))
    else:
        click.echo(write_table(records, shutil.get_terminal_size(_USUAL_SIZE).columns, short))


def write_json(records: Sequence[Record]) -> str:
    """An array of objects on one line."""
    plain = [{key: _plain(value) for key, value in each.items()} for each in records]
    return _literal(json.dumps(plain, ensure_ascii=False))


def write_table(records: Sequence[Record], columns: int, short: Sequence[str] = ()) -> str:
    """A line a record below the names, of all columns or the `short` ones; where neither fits, a block a record."""
    if not records:
        return "none"
    names = list(records[0])
    for chosen in [names, *([list(short)] if short else [])]:
        lines = [chosen, *([_told(each[key]) for key in chosen] for each in records)]
        widths = [max(width(line[at]) for line in lines) for at in range(len(chosen))]
        if sum(widths) + len(_GAP) * (len(widths) - 1) <= columns:
            return "\n".join(_line(line, widths) for line in lines)
    return "\n\n".join(_block(each) for each in records)


def width(text: str) -> int:
    """How many columns a terminal gives a text: two to a wide character, none to a mark upon another (UAX #11)."""
    return sum(_width(character) for character in text)


def moment(when: datetime) -> str:
    """A moment as people in Japan write it."""
    return when.astimezone(JAPAN).strftime("%Y-%m-%d %H:%M:%S %Z")


def iso(when: datetime) -> str:
    """A moment for programs: ISO 8601, in UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def name(subject: x509.Name) -> str:
    """A distinguished name on one line, in its own order."""
    return ", ".join(f"{each.rfc4514_attribute_name}={each.value!s}" for each in subject)


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _block(record: Record) -> str:
    longest = max(map(width, record))
    return "\n".join(_line([key, _told(value)], [longest, 0]) for key, value in record.items())


def _line(values: Sequence[str], widths: Sequence[int]) -> str:
    padded = (value + " " * (wanted - width(value)) for value, wanted in zip(values, widths, strict=True))
    return _GAP.join(padded).rstrip()


def _told(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(JAPAN).strftime("%Y-%m-%d %H:%M")
    return _literal(str(value))


def _plain(value: Value) -> str | int | bool | None:
    return iso(value) if isinstance(value, datetime) else value


def _literal(text: str) -> str:
    return "".join(each if is_literal(each) else json.dumps(each)[1:-1] for each in text)
