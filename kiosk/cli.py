"""The `kiosk` command. Every import that costs time is made by the subcommand that needs it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import click


class _Commands(click.Group):
    """Subcommands that are only imported when they are called."""

    _ELSEWHERE: ClassVar = {
        "ca": "kiosk.ca.commands",
        "doctor": "kiosk.doctor.command",
        "journal": "kiosk.audit.commands",
        "notify": "kiosk.notices.commands",
        "token": "kiosk.token_office.command",
    }
    """Each in a module that calls it by the same name."""
    _WITH_CA: ClassVar = {"ca", "notify"}
    """What only `kiosk[ca]` brings along."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        try:
            command = getattr(import_module(self._ELSEWHERE[cmd_name]), cmd_name)
        except ModuleNotFoundError as error:
            if cmd_name not in self._WITH_CA:
                raise
            raise click.ClickException(
                f"the CA is not installed ({error.name} is missing): install kiosk[ca]"
            ) from error
        return command if isinstance(command, click.Command) else None


class _Language(click.ParamType[str]):
    """One of the languages there is a catalogue for."""

    name = "language"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        from kiosk.texts import languages

        return f"[{'|'.join(languages())}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from kiosk.texts import languages

        return value if value in languages() else self.fail(f"one of {', '.join(languages())} is wanted", param, ctx)


@click.group(cls=_Commands)
def main() -> None:
    """Renew the electronic certificates of internet banking at a full-screen terminal."""


@main.command()
@click.option("--settings", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The kiosk's TOML.")
def run(settings: Path) -> None:
    """Serve customers on this terminal."""
    from kiosk.launcher import NoTerminal, launch
    from kiosk.settings import SettingsError, load_settings

    try:
        sys.exit(launch(settings.absolute(), load_settings(settings)))
    except (SettingsError, NoTerminal) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--plain", is_flag=True, help="Line by line instead of full screen.")
@click.option("--yes", is_flag=True, help="With --plain: ask nothing, renew now; what has expired is obtained anew.")
@click.option(
    "--into", type=click.Choice(["usb", "pc"]), default="usb", show_default=True, help="With --yes: where to save."
)
@click.option(
    "--from",
    "source",
    type=click.Choice(["usb", "pc"]),
    default="usb",
    show_default=True,
    help="With --plain: where the certificate is; what was saved --into pc is there with --keep.",
)
@click.option("--keep", is_flag=True, help="Go on with the token of the last demo.")
@click.option("--language", type=_Language(), default="ja", show_default=True)
@click.option(
    "--days-left",
    type=click.IntRange(-3650, 364),
    default=20,
    show_default=True,
    help="Of the certificate; 0 is today.",
)
@click.option(
    "--key", type=click.Choice(["rsa-2048", "ec-p256"]), default="rsa-2048", show_default=True, help="Kind of key pair."
)
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="Where the demo's bank lives.")
def demo(
    plain: bool,
    yes: bool,
    into: str,
    source: str,
    keep: bool,
    language: str,
    days_left: int,
    key: str,
    directory: Path | None,
) -> None:
    """A whole bank on this machine: CA, customer, software token and kiosk; nothing else is needed."""
    if yes and not plain:
        raise click.UsageError("--yes goes with --plain")
    if source != "usb" and not plain:
        raise click.UsageError("--from goes with --plain; full screen, the first screen has a button for it")
    try:
        from kiosk import demo as demonstration
    except ModuleNotFoundError as error:
        raise click.ClickException(f"the CA is not installed ({error.name} is missing): install kiosk[ca]") from error
    sys.exit(
        demonstration.run(
            demonstration.Options(
                plain=plain,
                yes=yes,
                into=into,
                source=source,
                keep=keep,
                language=language,
                days_left=days_left,
                key=key,
                directory=directory,
            )
        )
    )
