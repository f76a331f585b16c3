"""`kiosk journal show`, `export` and `verify`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from functools import wraps
from io import TextIOWrapper
from pathlib import Path

import click

from kiosk.audit import export as exporting
from kiosk.audit.reading import JournalReader, JournalUnreadable, Wanted, opened
from kiosk.audit.verifying import Flaw, Verification, verify
from kiosk.audit.words import broken, told
from kiosk.clock import JAPAN
from kiosk.journal import YEARS
from kiosk.settings import SettingsError, load_settings
from kiosk.text_keys import TextKey
from kiosk.texts import BASE_LANGUAGE, Texts, languages

_FLAWS: dict[Flaw, TextKey] = {
    Flaw.CHANGED: "journal.verify.changed",
    Flaw.MISSING: "journal.verify.missing",
    Flaw.UNLINKED: "journal.verify.unlinked",
    Flaw.REMOVAL_NOT_NOTED: "journal.verify.removal-not-noted",
    Flaw.DAMAGED: "journal.verify.damaged",
}

_FILE = click.Path(dir_okay=False, path_type=Path)


class _Day(click.DateTime):
    """A day that can be reckoned with."""

    def __init__(self) -> None:
        super().__init__(formats=["%Y-%m-%d"])

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """See click."""
        day: datetime = super().convert(value, param, ctx)
        if day.year not in YEARS:
            self.fail(f"a year from {YEARS.start} to {YEARS.stop - 1} is wanted", param, ctx)
        return day


_DAY = _Day()


@click.group()
def journal() -> None:
    """What the kiosk has written down of its visits: to be read, exported, verified. Nothing here changes it."""


def _which_journal(command: Callable[..., None]) -> Callable[..., None]:
    """--settings or --journal, and the language; the command gets a path and texts."""

    @click.option("--settings", type=_FILE, help="The kiosk's TOML, which names the journal.")
    @click.option("--journal", "path", type=_FILE, help="The journal itself.")
    @click.option("--language", type=click.Choice(languages()), help="In place of that of the settings.")
    @wraps(command)
    def wrapped(settings: Path | None, path: Path | None, language: str | None, **rest: object) -> None:
        if (settings is None) == (path is None):
            raise click.UsageError("one of --settings and --journal is wanted")
        try:
            known = load_settings(settings) if settings else None
        except SettingsError as error:
            raise click.ClickException(str(error)) from error
        texts = Texts(language or (known.branch.language if known else BASE_LANGUAGE))
        command(path=path or Path(known.journal if known else ""), texts=texts, **rest)

    return wrapped


def _which_lines(command: Callable[..., None]) -> Callable[..., None]:
    """Options that choose lines; the command gets what is wanted."""

    @click.option("--day", type=_DAY, help="Of this day in Japan, as 2026-11-23.")
    @click.option("--since", type=_DAY, help="From the beginning of this day on.")
    @click.option("--until", type=_DAY, help="Up to the end of this day.")
    @click.option("--id", "holder", default="", help="Visits of this ID.")
    @click.option("--serial", default="", help="Visits with the certificate of this serial number, in hex.")
    @click.option("--code", default="", help="Visits in which this code was shown, as T-02.")
    @click.option("--problems", is_flag=True, help="Visits that had a problem.")
    @wraps(command)
    def wrapped(
        day: datetime | None,
        since: datetime | None,
        until: datetime | None,
        holder: str,
        serial: str,
        code: str,
        problems: bool,
        **rest: object,
    ) -> None:
        if day and (since or until):
            raise click.UsageError("--day stands for --since and --until")
        first, last = (day, day) if day else (since, until)
        wanted = Wanted(
            since=_midnight(first) if first else None,
            before=_midnight(last + timedelta(days=1)) if last else None,
            holder=holder,
            serial=serial.lower(),
            code=code.upper(),
            problems=problems,
        )
        command(wanted=wanted, **rest)

    return wrapped


def _midnight(day: datetime) -> datetime:
    return datetime.combine(day.date(), time(), JAPAN)


@journal.command()
@_which_journal
@_which_lines
def show(path: Path, texts: Texts, wanted: Wanted) -> None:
    """Tell what happened, in sentences, the newest last."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    found = False
    with _reading(path) as reader:
        for words in told(reader.lines(wanted), texts):
            for row in broken(words, width) if width else [words]:
                click.echo(row)
            found = True
    if not found:
        click.echo(texts("journal.nothing"))


@journal.command()
@_which_journal
@_which_lines
@click.option(
    "--format", "form", type=click.Choice([each.value for each in exporting.Form]), default="csv", show_default=True
)
@click.option("--out", type=_FILE, help="A new file; standard output without it.")
def export(path: Path, texts: Texts, wanted: Wanted, form: str, out: Path | None) -> None:
    """Write every field of the lines that are wanted, for an audit."""
    with _reading(path) as reader:
        if out is None:
            if isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8", newline="")
            exporting.write(reader.lines(wanted), exporting.Form(form), sys.stdout)
            return
        try:
            with exporting.new_file(out) as file:
                count = exporting.write(reader.lines(wanted), exporting.Form(form), file)
        except FileExistsError as error:
            raise click.ClickException(f"{out} is there already, and stays as it is: name another file") from error
        except OSError as error:
            raise click.ClickException(f"{out} cannot be written: {error.strerror}") from error
    click.echo(texts("journal.exported", count=count, file=out))


@journal.command("verify")
@_which_journal
@click.option("--known", default="", help="A link that was noted elsewhere; it must be in the journal.")
def verify_command(path: Path, texts: Texts, known: str) -> None:
    """Say whether the journal is as it was written; exit status 1 where it is not."""
    try:
        with opened(path) as reader:
            found = verify(reader, known.strip().lower())
    except JournalUnreadable as error:
        if not error.damaged:
            raise click.ClickException(str(error)) from error
        found = Verification()
        found.add(Flaw.DAMAGED)
    for line in _verification_words(found, texts):
        click.echo(line)
    sys.exit(0 if found.is_whole else 1)


def _verification_words(found: Verification, texts: Texts) -> Iterator[str]:
    yield texts("journal.verify.whole" if found.is_whole else "journal.verify.not-whole", count=found.lines)
    for each in found.flaws:
        yield "  " + texts(_FLAWS[each.flaw], number=each.number)
    if found.flaw_count > len(found.flaws):
        yield "  " + texts("journal.verify.more", count=found.flaw_count - len(found.flaws))
    if found.known is not None:
        yield texts("journal.verify.known" if found.known else "journal.verify.unknown")
    if found.removed_through:
        yield texts("journal.verify.removed", number=found.removed_through)
    if found.before_chain:
        yield texts("journal.verify.before-chain", count=found.before_chain)
    if found.last_link:
        yield texts("journal.verify.link", number=found.last_number, link=found.last_link)
    if not found.is_whole:
        yield texts("journal.verify.do")


@contextmanager
def _reading(path: Path) -> Iterator[JournalReader]:
    try:
        with opened(path) as reader:
            yield reader
    except JournalUnreadable as error:
        hint = "; see `kiosk journal verify`" if error.damaged else ""
        raise click.ClickException(f"{error}{hint}") from error
