"""`kiosk token enrol ID`: 電子証明書取得 line by line, by the same steps as on the screens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from kiosk.certificates import Certificate
from kiosk.desk import Destination, SavingStep, Waiting
from kiosk.enrolment import Enrolment
from kiosk.errors import Changed, Code, KioskError, Problem
from kiosk.journal import Event, VisitRecord
from kiosk.literal import literal
from kiosk.moments import until_words
from kiosk.one_time_code import MistypedCode, OneTimeCode, read
from kiosk.problems import as_problems
from kiosk.services import open_services
from kiosk.texts import Texts
from kiosk.token_office.opening import Counter, Told, log_in, opened, typed_line
from kiosk.words import step_name, waiting_words

T = TypeVar("T")


@dataclass
class _Standing:
    changed: Changed = Changed.NOTHING


@dataclass(frozen=True)
class _Terminal:
    """Where it is told that the CA is waited for; keeps `kiosk.desk.Preparing`."""

    texts: Texts

    def pauses(self, waiting: Waiting | None) -> None:
        """Say that there is a pause."""
        if waiting:
            for line in waiting_words(waiting, waiting.seconds, self.texts):
                click.echo(line)

    async def given_up(self) -> None:
        """Never: who types Ctrl-C ends the command."""
        await asyncio.Event().wait()


async def enrol_by_code(counter: Counter, holder_id: str, serial: str) -> None:
    """Obtain a certificate for `holder_id` by the code that is typed; one that was cut goes on.

    Raises:
        Told, KioskError: with what it has left.
    """
    async with open_services(counter.settings) as services, opened(counter, serial) as token:
        if not await log_in(token, counter):
            raise Told(counter.texts("token.pin-needed"))
        standing, record = _Standing(), services.journal.begin_visit(token.facts.serial)
        record.holder = holder_id
        await record.note(Event.ENROLMENT_WANTED, detail=holder_id)
        enrolment = Enrolment(token, holder_id, services, record, standing)
        try:
            with as_problems():
                new = await _obtained(enrolment, counter, record)
        except KioskError as error:
            problem = Problem(error.problem.code, standing.changed, error.problem.detail)
            await record.note(Event.PROBLEM, code=problem.code, detail=problem.detail)
            raise KioskError(problem.code, problem.detail, problem.changed) from error
        await record.note(Event.COMPLETED, serial=new.serial)
        click.echo(done_words(new, counter.texts))


async def _obtained(enrolment: Enrolment, counter: Counter, record: VisitRecord) -> Certificate:
    terminal = _Terminal(counter.texts)
    begun = (await enrolment.services.inventory_of(enrolment.token)).unfinished_enrolment(enrolment.holder_id)
    if begun is not None and await enrolment.finish_confirmed(begun, terminal) is not None:
        return begun.certificate
    try:
        await enrolment.prepare(_ask_code(counter.texts), terminal)
    except KioskError as error:
        if error.problem.code is Code.CODE_NOT_ACCEPTED:
            await record.note(Event.CODE_REFUSED, detail=error.problem.detail)
        raise
    await _step(SavingStep.KEY, enrolment.make_key, counter.texts)
    new = await _step(SavingStep.REQUEST, lambda: enrolment.request(terminal), counter.texts)
    await _step(SavingStep.WRITE, enrolment.write, counter.texts)
    await _step(SavingStep.PROVE, enrolment.prove, counter.texts)
    await _step(SavingStep.CONFIRM, lambda: enrolment.confirm(terminal), counter.texts)
    await enrolment.tidy_up()
    return new


async def _step(step: SavingStep, act: Callable[[], Awaitable[T]], texts: Texts) -> T:
    click.echo(texts(step_name(step, Destination.USB)))
    return await act()


def _ask_code(texts: Texts) -> OneTimeCode:
    """The code as somebody typed it; a slip of the finger costs no try at the CA.

    Raises:
        Told: nothing was typed.
    """
    while True:
        typed = typed_line(f"{texts('token.ask-code')}: ")
        if not typed:
            raise Told(texts("token.code-needed"))
        try:
            return read(typed)
        except MistypedCode:
            click.echo(texts("token.mistyped"), err=True)


def done_words(new: Certificate, texts: Texts) -> str:
    """What is on the token now."""
    until = until_words(new.not_after, texts)
    return texts("token.enrolled", name=literal(new.common_name), serial=new.serial, until=until)
