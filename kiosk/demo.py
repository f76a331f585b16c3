"""`kiosk demo`: the kiosk in front of a bank of its own, full screen or line by line."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import msgspec

from kiosk import one_time_code
from kiosk.ca.authority import AuthorityDamaged
from kiosk.ca.ledger import LedgerDamaged
from kiosk.demo_bank import Customer, DemoBank, DemoError, claimed, code_for, default_directory, opened, prepare
from kiosk.desk import Destination
from kiosk.errors import KioskError
from kiosk.launcher import NoTerminal, launch
from kiosk.pin import Pin
from kiosk.plain import PlainDesk, YesDesk, echo_kept
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN, SettingsError
from kiosk.texts import Texts
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.wire import KeyKind
from kiosk.visit import Outcome


@dataclass(frozen=True, slots=True)
class Options:
    """What `kiosk demo` was asked for."""

    plain: bool
    yes: bool
    keep: bool
    language: str
    days_left: int
    key: str
    directory: Path | None
    into: str = "usb"
    source: str = "usb"
    """Where the certificate is that the customer logs in with."""


class PlainResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last line of `kiosk demo --plain`, as JSON."""

    old_serial: str = ""
    new_serial: str = ""
    expires: str = ""
    """The new certificate's last second, ISO 8601, UTC."""
    machine_seconds: float = 0.0
    """What the visit took, less what the customer took to answer."""
    problem: str = ""
    """A code of the catalogue, where the renewal did not come to its end."""


def run(options: Options) -> int:
    """Run the demo until it ends; its exit status.

    Raises:
        click.ClickException: something it needs is not there; the message says what.
    """
    customer = Customer(options.days_left, KeyKind(options.key))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        with claimed((options.directory or default_directory()).absolute()) as directory:
            asyncio.run(prepare(directory, [customer], keep=options.keep))
            code = code_for(directory, customer) if options.days_left < 0 else ""
            with opened(directory, options.language, code=code) as bank:
                if not options.plain:
                    return launch(bank.settings_file, bank.settings)
                with echo_kept():
                    return asyncio.run(_run_plain(bank, options))
    except NoTerminal as error:
        raise click.ClickException(f"{error}; without one: kiosk demo --plain") from error
    except (DemoError, SettingsError, KioskError, AuthorityDamaged, LedgerDamaged, OSError) as error:
        raise click.ClickException(str(error)) from error
    except (TokenError, TokenHangs, TokenProcessDied) as error:
        raise click.ClickException(f"the software token does not work: {error}") from error


async def _run_plain(bank: DemoBank, options: Options) -> int:
    texts = Texts(options.language)
    code = bank.settings.branch.demo_code
    at_hand = one_time_code.read(code) if code else None
    into = Destination(options.into)
    desk = YesDesk(texts, _say, _demo_pin, into, at_hand) if options.yes else PlainDesk(texts, _say)
    if not options.yes:
        _say(texts("standby.demo-code" if code else "standby.demo", pin=DEMO_PIN, code=code))
    async with open_services(bank.settings) as services:
        front_desk = FrontDesk(services, bank.settings.token)
        try:
            begun = time.monotonic()
            if options.source == "pc":
                outcome = await front_desk.serve_pc(desk)
            else:
                token = await front_desk.the_token(desk)
                outcome = await front_desk.serve_token(desk, token) if token else Outcome()
            machine_seconds = time.monotonic() - begun - desk.seconds_waited
        finally:
            await front_desk.close()
    _say(msgspec.json.encode(_result(outcome, machine_seconds)).decode())
    return 0 if outcome.completion and not outcome.problem else 1


def _result(outcome: Outcome, machine_seconds: float) -> PlainResult:
    if outcome.completion is None:
        return PlainResult(problem=outcome.problem.code if outcome.problem else "")
    new, old = outcome.completion.certificate, outcome.completion.replaced
    return PlainResult(
        old_serial=old.serial if old else "",
        new_serial=new.serial,
        expires=new.not_after.isoformat(),
        machine_seconds=round(machine_seconds, 3),
        problem=outcome.problem.code if outcome.problem else "",
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _demo_pin() -> Pin:
    return Pin(bytearray(DEMO_PIN, "ascii"))


def _end(number: int, _: FrameType | None) -> NoReturn:
    """End through every `finally`, with the status a shell expects."""
    sys.exit(128 + number)
