"""What nobody has foreseen in the middle of a visit: a mistake of ours, no memory for the token's process."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from kiosk.cmp.issued import Issued
from kiosk.desk import SavingStep
from kiosk.errors import Changed, Code
from kiosk.journal import Event, Journal
from kiosk.tokens.wire import ObjectKind
from tests.bank import Bank, child_processes
from tests.flows.test_enrolment import Through
from tests.scripted_desk import ScriptedDesk

PIN = "123456"


@dataclass
class Mistaken(ScriptedDesk):
    """A desk with a mistake in it, at one question or one step of the save."""

    mistake_at: str = ""

    async def _see(self, name: str, question: object = None) -> None:
        await super()._see(name, question)
        self._stumble(name)

    def begin(self, step: SavingStep) -> None:
        super().begin(step)
        self._stumble(step.value)

    def _stumble(self, name: str) -> None:
        if name == self.mistake_at:
            raise ZeroDivisionError(f"the PIN is {PIN}")


@pytest.mark.parametrize(
    ("where", "changed"),
    [
        ("notice", Changed.NOTHING),
        ("request", Changed.UNFINISHED),
        ("import", Changed.UNFINISHED),
        ("retire", Changed.RENEWED),
    ],
)
async def test_a_mistake_of_ours_is_told_and_costs_nothing(bank: Bank, where: str, changed: Changed) -> None:
    before = child_processes()
    desk = Mistaken(mistake_at=where, bears_faults=True)
    outcome = await bank.visit(desk)
    assert outcome.problem
    assert (outcome.problem.code, outcome.problem.changed) == (Code.UNEXPECTED, changed)
    assert desk.problem == outcome.problem, "the customer has read it"
    assert child_processes() == before
    with Journal(Path(bank.settings.journal)) as journal:
        told, ended = journal.entries()[-2:]
    assert (told.event, told.code, ended.event) == (Event.PROBLEM, Code.UNEXPECTED, Event.VISIT_ENDED)
    assert told.detail.startswith("ZeroDivisionError at test_unforeseen.py:")
    assert PIN not in told.detail + repr(outcome)
    if changed is Changed.RENEWED:
        assert len((await bank.inventory()).credentials) == 2, "the old one is still there, beside the new one"
    else:
        assert (await bank.visit(ScriptedDesk())).completion
        await bank.credential()


class Stumbling(Through):
    """The confirmation goes out, and nobody reads what comes of it."""

    async def confirm(self, issued: Issued, sending: Callable[[], None] | None = None) -> None:
        await super().confirm(issued, sending)
        raise ZeroDivisionError


async def test_a_mistake_of_ours_once_the_confirmation_has_left_says_that_either_may_count(bank: Bank) -> None:
    outcome = await bank.visit(ScriptedDesk(bears_faults=True), through=Stumbling)
    assert outcome.problem
    assert (outcome.problem.code, outcome.problem.changed) == (Code.UNEXPECTED, Changed.STORED)
    assert (await bank.visit(ScriptedDesk())).completion
    await bank.credential()


@pytest.mark.parametrize("step", SavingStep)
async def test_a_token_process_without_memory_is_told_and_costs_nothing(bank: Bank, step: SavingStep) -> None:
    before = child_processes()

    def starve(reached: SavingStep) -> None:
        if reached is step:
            for process in child_processes() - before:
                resource.prlimit(process, resource.RLIMIT_AS, (1 << 20, 1 << 20))

    outcome = await bank.visit(ScriptedDesk(at_step=starve))
    if outcome.problem is None:
        assert step not in (SavingStep.KEY, SavingStep.WRITE), "for which it needs more than it has"
        assert outcome.completion
        return
    is_renewed = outcome.problem.changed is Changed.RENEWED
    told = {Code.OLD_CREDENTIAL_NOT_REMOVED} if is_renewed else {Code.TOKEN_FAILED, Code.TOKEN_FULL}
    assert outcome.problem.code in told, outcome.problem
    assert is_renewed or step is not SavingStep.RETIRE
    assert child_processes() == before
    again = await bank.visit(ScriptedDesk())
    assert again.completion or is_renewed, "what is left then may be only to be cleaned away"
    assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind)
    assert bank.states()[(await bank.credential()).certificate.serial] == "valid"


async def test_who_is_left_alone_where_no_line_can_be_written_is_told_so(bank: Bank) -> None:
    """The visit ends for want of a touch, and not even that can be written down."""

    class Full(ScriptedDesk):
        async def _see(self, name: str, question: object = None) -> None:
            if name == "idle":
                with closing(sqlite3.connect(bank.settings.journal)) as database:
                    database.execute("DROP TABLE journal")
            await super()._see(name, question)

    outcome = await bank.with_policy(idle_seconds=0.2).visit(Full(leaves_at="notice"))
    assert outcome.problem
    assert outcome.problem.code is Code.JOURNAL_NOT_WRITABLE
