"""`kiosk token list`, `inspect`, `enrol`, `initialise` and `unblock`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from kiosk.clock import system_clock
from kiosk.token_office.enrolling import enrol_by_code
from kiosk.token_office.initialising import initialise_token
from kiosk.token_office.opening import JSON, SERIAL, Counter, Told, log_in, opened, with_settings
from kiosk.token_office.records import (
    ContentRecord,
    Eyes,
    TokenRecord,
    content_record,
    content_words,
    token_record,
    token_words,
)
from kiosk.token_office.requests import store_certificate, write_request
from kiosk.token_office.unblocking import unblock_token
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import find_blank_tokens, find_tokens, key_kinds_of

T = TypeVar("T")

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def token() -> None:
    """Look into customers' USB tokens, and prepare new ones; a PIN is asked on the terminal and nowhere else."""


@token.command("list")
@JSON
@with_settings
def list_command(counter: Counter, as_json: bool) -> None:
    """Every token that is in: reader, label, serial number, and what it says of its PIN."""
    found = asyncio.run(_listed(counter))
    if as_json:
        _print_json(found)
    elif not found:
        click.echo(counter.texts("token.none"))
    else:
        for number, each in enumerate(found):
            click.echo("\n" * (number > 0) + "\n".join(token_words(each, counter.texts)))


@token.command()
@SERIAL
@click.option("--without-pin", is_flag=True, help="Ask for none; then private keys are hidden.")
@JSON
@with_settings
def inspect(counter: Counter, serial: str, without_pin: bool, as_json: bool) -> None:
    """Everything on a token, named for what it is. Changes nothing.

    The PIN is asked on the terminal; with an empty line, or without a terminal, it is done without.
    """
    found = asyncio.run(_inspected(counter, serial, without_pin=without_pin))
    if as_json:
        _print_json(found)
    else:
        click.echo("\n".join(content_words(found, counter.texts)))


@token.command()
@click.argument("holder_id", metavar="ID")
@SERIAL
@click.option("--csr", type=_FILE, help="Only make a key, and write a request (PKCS #10, PEM) to this new file.")
@click.option(
    "--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Store what came of a request."
)
@with_settings
def enrol(counter: Counter, holder_id: str, serial: str, csr: Path | None, certificate: Path | None) -> None:
    """Prepare a token for an ID: make a key in it, and have it certified by the one-time code of the bank.

    With --csr and --certificate the certificate comes from elsewhere, as from `kiosk ca issue --csr`.
    """
    if csr and certificate:
        raise click.UsageError("--csr comes first, and --certificate when the certificate is there")
    if not counter.settings.policy.id_shape.matches(holder_id):
        raise Told(counter.texts("token.no-id"))
    if csr:
        asyncio.run(write_request(counter, holder_id, serial, csr))
    elif certificate:
        asyncio.run(store_certificate(counter, holder_id, serial, certificate))
    else:
        asyncio.run(enrol_by_code(counter, holder_id, serial))


@token.command()
@SERIAL
@click.option("--label", default="", help="What the token is to be called; by default token.token_label.")
@with_settings
def initialise(counter: Counter, serial: str, label: str) -> None:
    """Make an empty token with a PIN of a blank one, or of one whose content nobody needs any more.

    A blank one is meant unless --serial names another; of that everything is told before it is lost.
    """
    asyncio.run(initialise_token(counter, serial, label))


@token.command()
@SERIAL
@with_settings
def unblock(counter: Counter, serial: str) -> None:
    """Set a new PIN on a locked token with the security officer's PIN."""
    asyncio.run(unblock_token(counter, serial))


async def _listed(counter: Counter) -> Sequence[TokenRecord]:
    process = TokenProcess.start(counter.settings.token)
    try:
        found = [token_record(each, await key_kinds_of(process, each)) for each in await find_tokens(process)]
        return found + [token_record(each, [], initialised=False) for each in await find_blank_tokens(process)]
    finally:
        await process.end()


async def _inspected(counter: Counter, serial: str, *, without_pin: bool) -> ContentRecord:
    anchors, now = counter.anchors, system_clock()
    async with opened(counter, serial) as token:
        pin_given = not without_pin and await log_in(token, counter)
        if not pin_given:
            await token.open_without_pin()
        inventory = anchors.ours_in(await token.inventory(), now)
        record, room = token_record(token.facts, await token.key_kinds()), await token.room()
    return content_record(record, room, inventory, Eyes(counter.settings.policy, now), pin_given=pin_given)


def _print_json(found: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
