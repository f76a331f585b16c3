"""`kiosk ca approve` and `refuse`: a teller's word on what waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy import Connection

from kiosk.ca import promises, succession
from kiosk.ca.office.opening import DIRECTORY, Office, opened
from kiosk.ca.office.showing import JSON, Record, show
from kiosk.ca.promises import Promise

_NUMBERS = click.argument("numbers", nargs=-1, type=int)


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Only tell which requests wait.")
@_NUMBERS
@JSON
@DIRECTORY
def approve(only_list: bool, numbers: Sequence[int], as_json: bool, directory: Path) -> None:
    """Approve requests that wait; NUMBERS are those that --list tells."""
    with opened(directory) as office:
        if only_list or not numbers:
            with office.book.read() as connection:
                waiting = [_waiting_record(connection, each) for each in promises.waiting(connection, office.now)]
            show(waiting, as_json=as_json)
            return
        _decide(office, numbers, approve=True, as_json=as_json)


@click.command()
@_NUMBERS
@JSON
@DIRECTORY
def refuse(numbers: Sequence[int], as_json: bool, directory: Path) -> None:
    """Refuse requests that wait; NUMBERS are those that `kiosk ca approve --list` tells."""
    if not numbers:
        raise click.UsageError("which request?")
    with opened(directory) as office:
        _decide(office, numbers, approve=False, as_json=as_json)


def _decide(office: Office, numbers: Sequence[int], *, approve: bool, as_json: bool) -> None:
    with office.begin() as connection:
        succession.lapse(connection, office.now)
    in_vain = [each for each in numbers if not _decide_one(office, each, approve=approve)]
    decided = [each for each in numbers if each not in in_vain]
    if as_json:
        show([{"number": each, "approved": approve} for each in decided], as_json=True)
    else:
        for number in decided:
            click.echo(f"{number} is {'approved' if approve else 'refused'}")
    if in_vain:
        raise click.ClickException(f"no such request waits: {', '.join(map(str, in_vain))}")


def _decide_one(office: Office, number: int, *, approve: bool) -> bool:
    # In a transaction of its own: who waits for a holder must have no other, nor the CRL, for which that one may wait.
    with office.begin() as connection:
        return succession.decide(connection, number, approve=approve, now=office.now)


def _waiting_record(connection: Connection, promise: Promise) -> Record:
    return {
        "number": promise.id,
        "for": promise.kind.value,
        "holder": promises.holder_of(connection, promise),
        "key": promise.key_hash.hex()[:16],
        "since": promise.made_at,
        "until": promise.deadline,
    }
