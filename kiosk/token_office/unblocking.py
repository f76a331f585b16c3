"""`kiosk token unblock`: staff set a new PIN with the security officer's, where policy lets them."""

from __future__ import annotations

import click

from kiosk.journal import Event
from kiosk.literal import literal
from kiosk.pin_policy import PinPolicy
from kiosk.token_office.officer import (
    YES,
    agree,
    ask_new_pin,
    ask_officers_pin,
    check_officer,
    check_possible,
    noted,
    prove,
)
from kiosk.token_office.opening import Counter, Told, opened


async def unblock_token(counter: Counter, serial: str) -> None:
    """Set a new PIN on the token that is meant, and open it with that.

    Raises:
        Told: nothing was set, or the token does not open with it.
        KioskError
    """
    texts = counter.texts
    if not PinPolicy(counter.settings.policy).may_unblock:
        raise Told(texts("unblock.not-allowed"))
    async with opened(counter, serial) as token:
        facts = token.facts
        click.echo(texts("unblock.token", label=literal(facts.label), serial=literal(facts.serial)))
        click.echo(texts("unblock.locked" if facts.pin_locked else "unblock.not-locked"))
        check_possible(facts, counter)
        check_officer(facts, counter)
        if facts.so_pin_last_try or not facts.pin_locked:
            agree(YES, texts("unblock.go-on"), counter)
        so_pin = ask_officers_pin(counter)
        new, again = ask_new_pin(facts, counter)
        async with noted(counter, facts.serial, Event.UNBLOCKING, Event.UNBLOCKED):
            await token.unblock(so_pin, new)
    await prove(counter, facts.serial, again)
    click.echo(texts("unblock.done"))
