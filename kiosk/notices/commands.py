"""`kiosk notify`: the command that a timer runs, and that tellers ask."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import click

from kiosk.ca.database import configured_url
from kiosk.ca.ledger import Ledger, LedgerDamaged
from kiosk.ca.office.showing import Record, show, write_json
from kiosk.ca.schema import NoticeState
from kiosk.clock import JAPAN, Clock
from kiosk.notices import records, report
from kiosk.notices.due import Due, Look, every_due
from kiosk.notices.post import Post
from kiosk.notices.run import Run, Summary
from kiosk.notices.settings import NoticeSettings, NoticeSettingsError, load_notice_settings

_FAULTS = (LedgerDamaged, NoticeSettingsError, OSError)
_USUAL_SIZE = (80, 24)


@click.command()
@click.option(
    "--directory",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the CA lives, or as much of it as names the ledger.",
)
@click.option("--dry-run", is_flag=True, help="Only tell who would get a mail; nothing is sent or written.")
@click.option(
    "--at",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="As if today were that date in Japan; nothing is sent or written then either.",
)
@click.option("--report", "as_report", is_flag=True, help="Who was told, who was not reached, whose certificate ends.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, of --report, --dry-run or --at.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV in UTF-8, of --report.")
@click.pass_obj
def notify(
    clock: Clock | None,
    directory: Path,
    dry_run: bool,
    day: datetime | None,
    as_report: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    r"""Mail a notice to every holder whose certificate has reached a notice day, once.

    \f
    The object of the context is a clock for tests; otherwise it is the ledger's own that counts.
    """
    looks = dry_run or day is not None or as_report
    if (as_json and not looks) or (as_csv and not as_report) or (as_json and as_csv):
        raise click.UsageError("--json goes with --report, --dry-run or --at, and --csv with --report")
    if as_report and dry_run:
        raise click.UsageError("--report sends nothing in any case")
    try:
        with _opened(directory.absolute(), clock) as book:
            now = _moment(book.now(), day.date() if day else None)
            if as_report:
                _show_report(book, now, as_json=as_json, as_csv=as_csv)
                return
            settings = load_notice_settings(directory.absolute())
            if looks:
                show(list(_expected(book, settings, now)), as_json=as_json, short=_SHORT)
                return
            with _alone(directory.absolute(), book):
                summary = asyncio.run(_run(book, settings, directory.absolute()))
    except _FAULTS as error:
        raise click.ClickException(str(error)) from error
    _tell_summary(summary)


_SHORT = ("holder", "notice", "days_left", "ends", "address")


@contextmanager
def _opened(directory: Path, clock: Clock | None) -> Iterator[Ledger]:
    if configured_url(directory) is None and not (directory / "ledger.sqlite").exists():
        raise click.ClickException(f"there is no ledger in {directory}; kiosk ca init makes a CA")
    with Ledger.open_beside(directory) as book:
        yield book if clock is None else book.told_by(clock)


@contextmanager
def _alone(directory: Path, book: Ledger) -> Iterator[None]:
    """Where only this machine can be at it, it is one process at a time, and no claim of a dead one has to run out."""
    if configured_url(directory) is not None:
        yield
        return
    descriptor = os.open(directory / "notices.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with book.begin() as connection:
            records.end_claims(connection, book.now(connection))
        yield
    except BlockingIOError as error:
        raise click.ClickException("another run is on its way; it deals with everything that is due") from error
    finally:
        os.close(descriptor)


async def _run(book: Ledger, settings: NoticeSettings, directory: Path) -> Summary:
    async with Post(settings, directory) as post:
        return await Run(book, settings, post, _tell, time.monotonic).run()


def _tell(due: Due, state: NoticeState, why: str) -> None:
    about = f"{due.notice.holder.id}  {due.serial}  {due.notice.day}-day notice, days left: {due.days_left}"
    click.echo(f"{state:<11}  {about}{'  ' if why else ''}{why}")
    sys.stdout.flush()


def _tell_summary(summary: Summary) -> None:
    counts = ", ".join(f"{number} {state}" for state, number in sorted(summary.counts.items()) if number)
    click.echo(counts or "nobody is due")
    if summary.trouble:
        raise click.ClickException(f"{summary.trouble}; what is left goes out with the next run")
    if not summary.is_done:
        raise click.ClickException("what was deferred goes out with the next run")


def _expected(book: Ledger, settings: NoticeSettings, now: datetime) -> Iterator[Record]:
    for due in every_due(book, Look(settings.days, now)):
        yield {
            "holder": due.notice.holder.id,
            "serial": due.serial,
            "ends": due.notice.last_second,
            "days_left": due.days_left,
            "notice": due.notice.day,
            "language": due.notice.language,
            "address": due.notice.email or None,
        }


def _moment(now: datetime, day: date | None) -> datetime:
    """Now, or this time of day on another one."""
    return now if day is None else datetime.combine(day, now.astimezone(JAPAN).time(), JAPAN)


def _show_report(book: Ledger, now: datetime, *, as_json: bool, as_csv: bool) -> None:
    with book.read() as connection:
        made = report.make_report(connection, now)
    if as_csv:
        click.echo(report.write_csv(made), nl=False)
    elif as_json:
        click.echo(write_json(made.records))
    else:
        click.echo(report.write_report(made, shutil.get_terminal_size(_USUAL_SIZE).columns))
