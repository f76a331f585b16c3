"""`kiosk doctor`."""

from __future__ import annotations

import asyncio
import sys
from io import TextIOWrapper
from pathlib import Path

import click
import msgspec

from kiosk.clock import system_clock
from kiosk.doctor.examination import examine
from kiosk.doctor.findings import Check, Finding, Verdict
from kiosk.doctor.report import report, rows, summary, worst
from kiosk.doctor.site import Site, known_from, site_folder
from kiosk.texts import Texts, languages


@click.command()
@click.option(
    "--settings",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The kiosk's TOML; without it only the machine is looked at.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as docs/doctor.md has it.")
@click.option("--language", type=click.Choice(languages()), help="In place of that of the settings.")
def doctor(settings: Path | None, as_json: bool, language: str | None) -> None:
    """Look at everything a kiosk needs, and say what to do; exit status 1 where something is bad.

    Run it as the user the kiosk runs as, on the kiosk's own terminal.
    """
    known = known_from(settings)
    texts = Texts(language or known.branch.language)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    with site_folder() as folder:
        found = asyncio.run(_examined(Site(known, Path(folder)), texts, as_json=as_json))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report(found, system_clock(), texts))).decode())
    else:
        click.echo("\n" + summary((finding for _, finding in found), texts))
    sys.exit(1 if worst(finding for _, finding in found) is Verdict.BAD else 0)


async def _examined(site: Site, texts: Texts, *, as_json: bool) -> list[tuple[Check, Finding]]:
    """Everything that was found; told as it comes, except in JSON."""
    found = []
    async for check, finding in examine(site):
        found.append((check, finding))
        if not as_json:
            for row in rows(check, finding, texts):
                click.echo(row)
    return found
