"""What every command of the CA is told: where the CA lives, and where the passphrase of its keys does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

PASSPHRASE_VARIABLE = "KIOSK_CA_PASSPHRASE_FILE"  # noqa: S105 - a name
CREDENTIAL = "kiosk-ca-passphrase"
"""The name of the credential with which systemd hands over the passphrase (`LoadCredential=`, systemd.exec(5))."""
_SAID = "kiosk.ca.options.passphrase_file"

Command = TypeVar("Command", bound=Callable[..., Any])


def _remember(context: click.Context, _: click.Parameter, said: Path | None) -> None:
    context.meta[_SAID] = said or _handed_over(os.environ.get("CREDENTIALS_DIRECTORY"))


def _handed_over(directory: str | None) -> Path | None:
    credential = Path(directory) / CREDENTIAL if directory else None
    return credential if credential is not None and credential.exists() else None


_DIRECTORY = click.option(
    "--directory", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the CA lives."
)
_PASSPHRASE_FILE = click.option(
    "--passphrase-file",
    envvar=PASSPHRASE_VARIABLE,
    type=click.Path(dir_okay=False, path_type=Path),
    expose_value=False,
    callback=_remember,
    help=f"Holds the passphrase of the CA's keys; a file in its directory, or systemd's credential {CREDENTIAL}, "
    "unless said otherwise.",
)


def DIRECTORY(command: Command) -> Command:  # noqa: N802 - stands where options do
    """The options `--directory` and `--passphrase-file`; the command is handed the first."""
    return _DIRECTORY(_PASSPHRASE_FILE(command))


def passphrase_file() -> Path | None:
    """Where the command at work was told that the passphrase lies; None where it was not, or none is at work."""
    context = click.get_current_context(silent=True)
    said: Path | None = None if context is None else context.meta.get(_SAID)
    return said
