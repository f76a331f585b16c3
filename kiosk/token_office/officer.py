"""What staff do as a token's security officer: its PIN and the customer's new one, the journal, and the proof after.

Both PINs are typed at the terminal without echo, by whoever they belong to; never an argument, a pipe, or a log.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from kiosk.journal import Event, Journal
from kiosk.literal import literal
from kiosk.pin import Pin
from kiosk.pin_policy import Lengths, PinPolicy
from kiosk.problems import token_problem
from kiosk.text_keys import TextKey
from kiosk.token_office.opening import Counter, Told, at_terminal, opened, typed_line, typed_secret
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.wire import FailureKind, TokenFacts

YES = "yes"
_LONGEST_OFFICERS_PIN = 64

_FAILURES: dict[FailureKind, TextKey] = {
    FailureKind.SO_PIN_WRONG: "officer.wrong",
    FailureKind.SO_PIN_LOCKED: "officer.locked",
    FailureKind.SO_PIN_LENGTH: "officer.length",
    FailureKind.PIN_LENGTH: "officer.new-length",
    FailureKind.UNSUITABLE: "officer.not-here",
}
"""Anything else is left to whoever knows what it has left."""

FAULTS = (TokenError, TokenHangs, TokenProcessDied)


def check_possible(facts: TokenFacts, counter: Counter) -> None:
    """See that somebody can type, and that it is done here.

    Raises:
        Told: not so.
    """
    texts = counter.texts
    if not at_terminal():
        raise Told(texts("officer.no-terminal"))
    if facts.pin_pad:
        raise Told(texts("officer.at-pad"))


def check_officer(facts: TokenFacts, counter: Counter) -> None:
    """See that the token would listen to its officer. A blank one has none, whatever it says (SoftHSM: locked).

    Raises:
        Told: its PIN is locked.
    """
    texts = counter.texts
    if facts.so_pin_locked:
        raise Told(texts("officer.locked"))
    if facts.so_pin_last_try:
        click.echo(texts("officer.last"))
    elif facts.so_pin_few_tries:
        click.echo(texts("officer.few"))


def agree(wanted: str, question: str, counter: Counter) -> None:
    """Go on only where `wanted` is typed at the question.

    Raises:
        Told: something else was, and nothing has changed.
    """
    if typed_line(question) != wanted:
        raise Told(counter.texts("officer.left"))


def ask_officers_pin(counter: Counter) -> Pin:
    """The security officer's PIN.

    Raises:
        Told: nothing was typed, or nothing that can be one.
    """
    pin = _pin(typed_secret(counter.texts("officer.pin")))
    if pin is None:
        raise Told(counter.texts("officer.left"))
    return pin


def ask_new_officers_pin(facts: TokenFacts, counter: Counter) -> Pin:
    """The same for a token that has none yet: typed the same twice, and of a length that the token takes.

    Raises:
        Told: nothing was typed.
    """
    shortest = max(counter.settings.policy.pin_shortest, facts.pin_shortest)
    longest = facts.pin_longest or _LONGEST_OFFICERS_PIN
    while True:
        typed = typed_secret(counter.texts("officer.new-pin"))
        if not typed:
            raise Told(counter.texts("officer.left"))
        new = _pin(typed) if shortest <= len(typed) <= longest else None
        if new is None:
            click.echo(counter.texts("officer.pin-unfit", shortest=shortest, longest=longest))
        elif again := _typed_again(new, "officer.pin-again", counter):
            again.discard()
            return new


def ask_new_pin(facts: TokenFacts, counter: Counter) -> tuple[Pin, Pin]:
    """The customer's, typed the same twice: one to be set, one to be tried. Digits, as the kiosk takes no other."""
    lengths = PinPolicy(counter.settings.policy).lengths(facts)
    limits = {"shortest": lengths.shortest, "longest": lengths.longest}
    while True:
        new = _pin(typed_secret(counter.texts("officer.new", **limits)), digits=lengths)
        if new is None:
            click.echo(counter.texts("officer.unfit", **limits))
        elif again := _typed_again(new, "officer.again", counter):
            return new, again


@asynccontextmanager
async def noted(counter: Counter, serial: str, before: Event, after: Event) -> AsyncIterator[None]:
    """Note an act on the token of `serial` in the journal before and after; nothing is done where that cannot be.

    Raises:
        Told: the token did not do it.
        TokenError, TokenHangs, TokenProcessDied: nobody knows what it did.
    """
    with Journal(Path(counter.settings.journal)) as journal:
        record = journal.begin_visit(serial)
        await record.note(before, detail=_user())
        try:
            yield
        except FAULTS as error:
            problem = token_problem(error).problem
            await record.note(Event.PROBLEM, code=problem.code, detail=problem.detail)
            if isinstance(error, TokenError) and error.kind in _FAILURES:
                told = counter.texts(_FAILURES[error.kind], detail=literal(error.detail))
                raise Told(told) from error
            raise
        await record.note(after)


async def prove(counter: Counter, serial: str, new: Pin) -> None:
    """Open the token with the new PIN, in a fresh process.

    Raises:
        Told: it does not open.
    """
    async with opened(counter, serial) as token:
        try:
            await token.log_in(new)
        except TokenError as error:
            raise Told(counter.texts("officer.not-proven", detail=literal(error.detail))) from error


def _typed_again(new: Pin, prompt: TextKey, counter: Counter) -> Pin | None:
    again = _pin(typed_secret(counter.texts(prompt)))
    if again is not None and again.equals(new):
        return again
    for each in (new, again):
        if each is not None:
            each.discard()
    click.echo(counter.texts("officer.unequal"))
    return None


def _pin(typed: str, digits: Lengths | None = None) -> Pin | None:
    """None for what is nothing, or cannot be a PIN."""
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
