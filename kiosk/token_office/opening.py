"""What every subcommand begins with: the settings, the language, the token that is meant, and its PIN."""

from __future__ import annotations

import getpass
import signal
import sys
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

from kiosk.errors import Code, KioskError
from kiosk.literal import literal
from kiosk.pin import Pin
from kiosk.problems import as_problems, token_problem
from kiosk.services import Anchors, read_anchors
from kiosk.settings import Settings, SettingsError, load_settings
from kiosk.text_keys import TextKey
from kiosk.texts import Texts, languages
from kiosk.tokens.errors import TokenError
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import AgainAtPad, AtPad, Token, find_tokens
from kiosk.tokens.wire import FailureKind, TokenFacts

NOTHING_THERE = 3
"""Exit status where no token is in, or not the one that is meant."""

SERIAL = click.option("--serial", default="", help="Of the token that is meant, where several are in.")
JSON = click.option("--json", "as_json", is_flag=True, help="For programs, as docs/tokens.md has it.")


class Told(click.ClickException):
    """What went wrong, in the words of the language that is spoken."""


class NothingThere(Told):
    """No token is in, or not the one that is meant."""

    exit_code = NOTHING_THERE


@dataclass(frozen=True, slots=True)
class Counter:
    """What a subcommand works with."""

    settings: Settings
    texts: Texts

    @property
    def anchors(self) -> Anchors:
        """Of the CA whose certificates are ours.

        Raises:
            SettingsError: their file is missing or holds nothing usable.
        """
        return read_anchors(Path(self.settings.ca.roots))


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """--settings and --language; the command gets a `Counter`."""

    @click.option(
        "--settings", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The kiosk's TOML."
    )
    @click.option("--language", type=click.Choice(languages()), help="In place of that of the settings.")
    @wraps(command)
    def wrapped(settings: Path, language: str | None, **rest: object) -> None:
        try:
            known = load_settings(settings)
        except SettingsError as error:
            raise click.ClickException(str(error)) from error
        counter = Counter(known, Texts(language or known.branch.language))
        with telling(counter.texts):
            command(counter=counter, **rest)

    return wrapped


@contextmanager
def telling(texts: Texts) -> Iterator[None]:
    """Tell a problem by its code: what has happened, and what a teller does.

    Raises:
        Told: in place of what a kiosk shows on a screen.
    """
    try:
        with as_problems():
            yield
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    except KioskError as error:
        raise Told(problem_words(error, texts)) from error


def problem_words(error: KioskError, texts: Texts) -> str:
    """The code, what has happened, what it has left, what a teller does, and the kind of fault."""
    problem = error.problem
    lines = [
        f"{problem.code} {texts.of_problem(problem, 'happened')}",
        texts.of_change(problem.changed),
        texts.of_problem(problem, "teller"),
    ]
    return "\n".join([*lines, f"({literal(problem.detail)})"] if problem.detail else lines)


@asynccontextmanager
async def opened(counter: Counter, serial: str) -> AsyncIterator[Token]:
    """The token that is meant; nobody is logged in.

    Raises:
        NothingThere: there is none, or there are several.
    """
    process = TokenProcess.start(counter.settings.token)
    try:
        facts = the_one(await find_tokens(process), serial, counter.texts)
    except BaseException:
        await process.end()
        raise
    async with Token(counter.settings.token, process, facts, counter.settings.policy.holder_rule) as token:
        yield token


def the_one(found: Sequence[TokenFacts], serial: str, texts: Texts) -> TokenFacts:
    """The token that is meant.

    Raises:
        NothingThere: there is none, or there are several.
    """
    meant = [each for each in found if serial in ("", each.serial)]
    if not meant:
        wanted: str = texts("token.none-of-serial", serial=literal(serial)) if serial else texts("token.none")
        raise NothingThere(wanted)
    if len(meant) > 1:
        told = "\n".join(f"  {literal(each.serial)}  {literal(each.label)}" for each in meant)
        raise NothingThere(f"{texts('token.several')}\n{told}")
    return meant[0]


async def log_in(token: Token, counter: Counter) -> bool:
    """Ask for the PIN, on the terminal and without echo, and give it to the token once; false where nothing is typed.

    Where it is typed at the reader, somebody at the terminal is told when.

    Raises:
        Told: it was refused. A second try is a second command, so that nobody locks a token by mistake.
        KioskError: the token is locked, has no PIN, or has one try left, which is no teller's to use up.
    """
    texts, facts = counter.texts, token.facts
    if not facts.needs_pin:
        await token.open_without_pin()
        return True
    if facts.pin_locked:
        raise KioskError(Code.PIN_LOCKED)
    if facts.pin_last_try:
        raise KioskError(Code.PIN_LAST_TRY)
    if facts.pin_few_tries:
        click.echo(texts("pin.few"), err=True)
    if facts.pin_pad:
        return await _log_in_at_pad(token, counter)
    pin = ask_pin(texts("token.ask-pin", label=literal(facts.label)), counter)
    if pin is None:
        return False
    with _refusal_told(texts):
        await token.log_in(pin)
    return True


async def _log_in_at_pad(token: Token, counter: Counter) -> bool:
    """Once now, and once more for whatever wants it then, since nothing keeps what is typed at the reader."""
    texts = counter.texts
    if not at_terminal():
        return False

    def once_more(why: TextKey) -> AgainAtPad:
        async def ask(attempt: Callable[[], Awaitable[None]]) -> None:
            click.echo(texts(why))
            with _refusal_told(texts):
                await attempt()

        return ask

    click.echo(texts("token.at-pad", label=literal(token.facts.label)))
    with _refusal_told(texts):
        await token.log_in_at_pad(AtPad(once_more("token.at-pad-again"), once_more("token.at-pad-sign")))
    return True


@contextmanager
def _refusal_told(texts: Texts) -> Iterator[None]:
    try:
        yield
    except TokenError as error:
        if error.kind is FailureKind.PIN_WRONG:
            raise Told(texts("token.pin-refused")) from error
        raise token_problem(error) from error


def ask_pin(prompt: str, counter: Counter) -> Pin | None:
    """A PIN that somebody types without echo; None for an empty line, or where there is no terminal.

    Raises:
        Told: nothing of that form is a PIN.
    """
    if not at_terminal():
        return None
    policy = counter.settings.policy
    typed = typed_secret(prompt)
    if not typed:
        return None
    if not (typed.isascii() and typed.isprintable() and policy.pin_shortest <= len(typed) <= policy.pin_longest):
        raise Told(counter.texts("token.no-pin", shortest=policy.pin_shortest, longest=policy.pin_longest))
    return Pin(bytearray(typed, "ascii"))


def at_terminal() -> bool:
    """Whether somebody can type."""
    return sys.stdin.isatty()


def typed_secret(prompt: str) -> str:
    """What is typed without echo; digits of full width, as a Japanese keyboard may send them, are digits."""
    with _breakable():
        return unicodedata.normalize("NFKC", getpass.getpass(f"{prompt}: "))


def typed_line(prompt: str) -> str:
    """What is typed, in one line."""
    with _breakable():
        return input(prompt).strip()


@contextmanager
def _breakable() -> Iterator[None]:
    """Ctrl-C ends what is asked inside at once; asyncio would only note it until somebody presses Enter."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
