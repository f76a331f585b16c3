"""What commands that read or write a file have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from kiosk.ca.office.csv_files import ENCODINGS
from kiosk.ca.office.showing import Record, show

FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
ENCODING = click.option(
    "--encoding", type=click.Choice(ENCODINGS), default=ENCODINGS[0], show_default=True, help="Of the file."
)
UPDATE = click.option("--update", is_flag=True, help="Take the file's word also for holders who are known.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
OUT = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it there.")
BOM = click.option("--bom", is_flag=True, help="Begin a CSV with the mark by which Excel knows UTF-8.")

_MARK = "\ufeff"

Planned = tuple[str, str, str]
"""Where in a file, whose it is, and what becomes of it."""


def read_at_most(path: Path, largest: int) -> bytes:
    """What is in a file; of one that is larger a byte more than `largest`, by which it is known.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(largest + 1)


def show_planned(planned: Sequence[Planned], *, dry_run: bool, as_json: bool) -> None:
    """What an import did: a record a row for programs, how many of each for people."""
    if as_json:
        records: list[Record] = [{"where": where, "id": whose, "outcome": outcome} for where, whose, outcome in planned]
        show(records, as_json=True)
        return
    counts = Counter(outcome for _, _, outcome in planned)
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())) or "nothing in the file"
    click.echo(f"{told} (nothing was done: --dry-run)" if dry_run else told)


def write_out(content: str, out: Path | None, *, bom: bool = False) -> None:
    """To a file, or to standard output.

    Raises:
        OSError: the file cannot be written.
    """
    marked = _MARK + content if bom else content
    if out is None:
        click.echo(marked, nl=False)
    else:
        out.write_bytes(marked.encode())
