"""`kiosk token initialise`: a blank USB, or one whose content nobody needs, becomes an empty one with a PIN."""

from __future__ import annotations

import click

from kiosk.clock import system_clock
from kiosk.journal import Event
from kiosk.literal import literal
from kiosk.problems import token_problem
from kiosk.token_office.officer import (
    FAULTS,
    agree,
    ask_new_officers_pin,
    ask_new_pin,
    ask_officers_pin,
    check_officer,
    check_possible,
    noted,
    prove,
)
from kiosk.token_office.opening import Counter, NothingThere, Told, opened, the_one
from kiosk.token_office.records import Eyes, content_record, content_words, token_record
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import find_blank_tokens, find_tokens, initialise
from kiosk.tokens.wire import LABEL_BYTES, TokenFacts


async def initialise_token(counter: Counter, serial: str, label: str) -> None:
    """Empty the token that is meant, give it a PIN and a label, and open it with that PIN.

    A token that is in use is emptied only where its serial number is typed, after everything on it was told.

    Raises:
        Told: nothing was done, or how far it has come.
        KioskError
    """
    texts = counter.texts
    label = _fitting(label or counter.settings.token.token_label, counter)
    process = TokenProcess.start(counter.settings.token)
    try:
        used, blank = await find_tokens(process), await find_blank_tokens(process)
        facts = _meant(used, blank, serial, counter)
        is_used = facts in used
        click.echo(texts("initialise.used" if is_used else "initialise.blank", reader=literal(facts.reader)))
        check_possible(facts, counter)
        if is_used:
            check_officer(facts, counter)
            await _tell_content(counter, facts)
            agree(facts.serial, texts("initialise.go-on"), counter)
        so_pin = ask_officers_pin(counter) if is_used else ask_new_officers_pin(facts, counter)
        new, again = ask_new_pin(facts, counter)
        try:
            async with noted(counter, facts.serial, Event.INITIALISING, Event.INITIALISED):
                serial_now = await initialise(process, facts, label, so_pin, new)
        except FAULTS as error:
            problem = token_problem(error).problem
            raise Told(texts("initialise.cut", code=problem.code, detail=literal(problem.detail))) from error
    finally:
        await process.end()
    await prove(counter, serial_now, again)
    click.echo(texts("initialise.done", label=literal(label), serial=literal(serial_now)))


def _fitting(label: str, counter: Counter) -> str:
    known = counter.settings.token.token_label
    if not label:
        raise Told(counter.texts("initialise.no-label"))
    if known not in ("", label):
        raise Told(counter.texts("initialise.another-label", label=literal(known)))
    if not label.isprintable() or len(label.encode()) > LABEL_BYTES:
        raise Told(counter.texts("initialise.label", longest=LABEL_BYTES))
    return label


def _meant(used: list[TokenFacts], blank: list[TokenFacts], serial: str, counter: Counter) -> TokenFacts:
    """By its serial number, or else the only blank one: a token in use is never the one that merely happens to be in.

    Raises:
        NothingThere: there is none, or there are several.
    """
    if serial or not used:
        return the_one([*used, *blank], serial, counter.texts)
    if not blank:
        raise NothingThere(counter.texts("initialise.none-blank"))
    return the_one(blank, "", counter.texts)


async def _tell_content(counter: Counter, facts: TokenFacts) -> None:
    """In a process of its own, that no session is open with a token that is to be emptied."""
    anchors, now = counter.anchors, system_clock()
    async with opened(counter, facts.serial) as token:
        await token.open_without_pin()
        inventory = anchors.ours_in(await token.inventory(), now)
        record, room = token_record(facts, await token.key_kinds()), await token.room()
    content = content_record(record, room, inventory, Eyes(counter.settings.policy, now), pin_given=False)
    click.echo("\n".join(content_words(content, counter.texts)))
    in_date = sum(each.certificate is not None and each.certificate.ends > now for each in content.items)
    if in_date:
        click.echo(counter.texts("initialise.in-date", count=in_date))
