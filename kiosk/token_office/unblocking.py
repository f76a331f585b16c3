"""`kiosk token unblock`: staff set a new PIN with the security officer's, where policy lets them.

Both PINs are typed at the terminal without echo, by whoever they belong to; never an argument, a pipe, or a log.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import pwd
import sys
from pathlib import Path
from typing import NoReturn

import click

from kiosk.errors import KioskError
from kiosk.journal import Event, Journal
from kiosk.literal import literal
from kiosk.pin import Pin
from kiosk.pin_policy import Lengths, PinPolicy
from kiosk.problems import token_problem
from kiosk.settings import Settings, SettingsError, load_settings
from kiosk.text_keys import TextKey
from kiosk.texts import Texts, languages
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import FailureKind, TokenFacts

_FAILURES: dict[FailureKind, TextKey] = {
    FailureKind.SO_PIN_WRONG: "unblock.so-wrong",
    FailureKind.SO_PIN_LOCKED: "unblock.so-locked",
    FailureKind.PIN_LENGTH: "unblock.length",
}
"""Anything else is told with what the module called it."""

_FAULTS = (TokenError, TokenHangs, TokenProcessDied)


@click.command()
@click.option("--settings", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The kiosk's TOML.")
@click.option("--serial", default="", help="Of the token, where several are in.")
@click.option("--language", type=click.Choice(languages()), help="In place of that of the settings.")
def unblock(settings: Path, serial: str, language: str | None) -> None:
    """Set a new PIN on a locked token with the security officer's PIN; exit status 1 where nothing was set."""
    try:
        known = load_settings(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    Unblocking(known, Texts(language or known.branch.language)).run(serial)


class Unblocking:
    """One run of the command."""

    def __init__(self, settings: Settings, texts: Texts) -> None:
        self._settings = settings
        self._texts = texts

    def run(self, serial: str) -> None:
        """Unblock the token of this serial number, or the only one that is in."""
        if not PinPolicy(self._settings.policy).may_unblock:
            self._end("unblock.not-allowed")
        if not sys.stdin.isatty():
            self._end("unblock.no-terminal")
        try:
            asyncio.run(self._run(serial))
        except _FAULTS as error:
            self._end("unblock.failed", detail=error.detail if isinstance(error, TokenError) else type(error).__name__)
        except (EOFError, KeyboardInterrupt):
            self._end("unblock.left")
        except KioskError as error:
            raise click.ClickException(
                f"{error.problem.code} {self._texts.of_problem(error.problem, 'happened')}"
            ) from error

    async def _run(self, serial: str) -> None:
        process = TokenProcess.start(self._settings.token)
        try:
            facts = self._the_one(await find_tokens(process), serial)
        except BaseException:
            await process.end()
            raise
        async with Token(self._settings.token, process, facts, self._settings.policy.holder_rule) as token:
            self._tell_standing(facts)
            lengths = PinPolicy(self._settings.policy).lengths(facts)
            so_pin = _typed(self._texts("unblock.so-pin"))
            new, again = self._ask_new(lengths)
            await self._set(token, so_pin, new)
        await self._prove(facts, again)

    def _the_one(self, found: list[TokenFacts], serial: str) -> TokenFacts:
        meant = [each for each in found if serial in ("", each.serial)]
        if not meant:
            self._end("unblock.none")
        if len(meant) > 1:
            self._end("unblock.several", count=len(meant), serials=", ".join(literal(each.serial) for each in meant))
        return meant[0]

    def _tell_standing(self, facts: TokenFacts) -> None:
        """Which token it is and how it stands with its PINs; what cannot be taken back needs a yes."""
        self._say("unblock.token", label=literal(facts.label), serial=literal(facts.serial))
        self._say("unblock.locked" if facts.pin_locked else "unblock.not-locked")
        if facts.so_pin_locked:
            self._end("unblock.so-locked")
        if facts.so_pin_last_try:
            self._say("unblock.so-last")
        elif facts.so_pin_few_tries:
            self._say("unblock.so-few")
        if (facts.so_pin_last_try or not facts.pin_locked) and input(self._texts("unblock.go-on")).strip() != "yes":
            self._end("unblock.left")

    def _ask_new(self, lengths: Lengths) -> tuple[Pin, Pin]:
        """The new PIN, typed the same twice: one to be set, one to be tried. Digits, as the kiosk takes no other."""
        limits = {"shortest": lengths.shortest, "longest": lengths.longest}
        while True:
            new = _typed(self._texts("unblock.new", **limits), digits=lengths)
            if new is None:
                self._say("unblock.unfit", **limits)
                continue
            again = _typed(self._texts("unblock.again"))
            if again is not None and again.equals(new):
                return new, again
            self._say("unblock.unequal")

    async def _set(self, token: Token, so_pin: Pin | None, new: Pin) -> None:
        """Noted in the journal before and after; nothing is done where it cannot be."""
        if so_pin is None:
            self._end("unblock.left")
        with Journal(Path(self._settings.journal)) as journal:
            record = journal.begin_visit(token.facts.serial)
            await record.note(Event.UNBLOCKING, detail=_user())
            try:
                await token.unblock(so_pin, new)
            except TokenError as error:
                problem = token_problem(error).problem
                await record.note(Event.PROBLEM, code=problem.code, detail=error.detail)
                if error.kind not in _FAILURES:
                    raise
                self._end(_FAILURES[error.kind])
            await record.note(Event.UNBLOCKED)

    async def _prove(self, facts: TokenFacts, new: Pin) -> None:
        """Open the token with the new PIN, in a fresh process."""
        process = TokenProcess.start(self._settings.token)
        async with Token(self._settings.token, process, facts, self._settings.policy.holder_rule) as token:
            try:
                await token.log_in(new)
            except TokenError as error:
                self._end("unblock.not-proven", detail=error.detail)
        self._say("unblock.done")

    def _say(self, key: TextKey, **values: object) -> None:
        click.echo(self._texts(key, **values))

    def _end(self, key: TextKey, **values: object) -> NoReturn:
        click.echo(self._texts(key, **values), err=True)
        sys.exit(1)


def _typed(prompt: str, digits: Lengths | None = None) -> Pin | None:
    """What is typed without echo; None where it is nothing, or cannot be a PIN."""
    typed = getpass.getpass(f"{prompt}: ")
    if not typed or not typed.isascii() or not typed.isprintable():
        return None
    if digits and not (typed.isdigit() and digits.shortest <= len(typed) <= digits.longest):
        return None
    return Pin(bytearray(typed, "ascii"))


def _user() -> str:
    """Who runs this, as the kernel says, not the environment."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
