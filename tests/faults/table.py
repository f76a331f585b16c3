"""The fault table: each case a whole visit, what it came to, what it left, and what the next visit makes of that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from kiosk.errors import Changed
from kiosk.visit import Outcome
from tests.bank import child_processes
from tests.cutting import CASES
from tests.faults.cases import PATIENCE, FaultBank, Left, left_running, open_fault_bank, patience_with, requests_told
from tests.faults.expected import DONE, End, ends_of
from tests.faults.faulty_module import Call, Fault, FaultyModule

Case = tuple[int, Fault]
"""The number of the call that goes wrong, and how."""

_LONGEST_CASE = 3 * PATIENCE[-1]
"""Seconds; a visit that takes longer, with what follows it, never ends."""

WRITES = ("Login", "GenerateKeyPair", "CreateObject", "SetAttributeValue", "DestroyObject")
"""Functions of which it matters whether they were carried out although they say that they failed."""

FINISHED = Left(
    objects=(("certificate", "new"), ("private-key", "new"), ("public-key", "new")),
    credentials=("new",),
    certificates=(("new", "valid"), ("old", "superseded")),
    promises=("confirmed",),
)
"""One credential, which signs; the CA says the same; nothing else is there, and nothing pending."""


@dataclass
class Tally:
    """What came of the cases."""

    run: int = 0
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.run} cases run, {len(self.lost)} lost"


@dataclass
class Table:
    """Runs cases over a few banks at a time: who waits for a module that hangs needs no processor."""

    banks: asyncio.Queue[FaultBank]
    calls: list[Call]
    """Of a visit in which nothing goes wrong."""
    tally: Tally = field(default_factory=Tally)
    _next: dict[Left, Left] = field(default_factory=dict)
    """What the next visit makes of what a visit has left. Keys differ from case to case; nothing hangs on them."""

    def every_call(self) -> list[int]:
        """The numbers of all calls."""
        return list(range(1, len(self.calls) + 1))

    def one_of_each(self) -> list[int]:
        """The first call of each function in each request of the visit: the rest of them says nothing new."""
        first: dict[tuple[int, str], int] = {}
        for number, call in enumerate(self.calls, start=1):
            first.setdefault((call.place.number, call.function), number)
        return list(first.values())

    def one_of_each_function(self) -> list[int]:
        """The last call of each function in the visit."""
        return list({call.function: number for number, call in enumerate(self.calls, start=1)}.values())

    async def run(self, cases: Iterable[Case]) -> Tally:
        """Run `cases`, and say which were lost and why."""
        await asyncio.gather(*(self._run(*case) for case in cases))
        return self.tally

    async def _run(self, number: int, fault: Fault) -> None:
        bank = await self.banks.get()
        call = self.calls[number - 1]
        name = f"{fault.name} at call {number} ({call.place.step or 'looking'}, {call.place.request}, {call.function})"
        for seconds in patience_with(fault):
            try:
                async with asyncio.timeout(_LONGEST_CASE):
                    outcome, module = await bank.visit_struck(number, fault, seconds)
                    faults = [each async for each in self._faults(bank, fault, outcome, module)]
            except Exception as error:  # whatever escapes from a visit is a lost case
                faults = [f"raised {error!r}"]
            if not faults:
                break
        self.tally.run += 1
        CASES["fault table: cases run"] += 1
        CASES["fault table: lost"] += bool(faults)
        for each in faults:
            print(f"{name}: {each}")  # at once: the whole table takes long
            self.tally.lost.append(f"{name}: {each}")
        self.banks.put_nowait(bank)

    async def _faults(
        self, bank: FaultBank, fault: Fault, outcome: Outcome, module: FaultyModule
    ) -> AsyncIterator[str]:
        """What is wrong with a case."""
        struck = module.struck
        if struck is None:
            yield f"there were not so many calls: {_end_of(outcome)}"
            return
        if left_running(module.calls):
            yield "a token process is left"
        end = _end_of(outcome)
        if end not in ends_of(fault, struck):
            yield f"ended with {end}"
        if outcome.completion and outcome.completion.replaced == bank.other.certificate:
            if module.was_looking(struck) and bank.customers_is_untouched():
                return  # the other token was in before the visit began
            yield "somebody else was served"
        if not bank.other_is_untouched():
            yield "the other token was changed"
        if bank.is_as_prepared():
            if end.changed is not Changed.NOTHING and not may_be_unknown(end.changed):
                yield f"nothing is changed, but {end.changed} was told"
            return
        left = await bank.left()
        if not _tells_the_truth(end, left):
            yield f"{end} was told of {left}"
        if not _has_a_working_one(left):
            yield f"no working credential: {left}"
        after = await self._after_next(bank, left)
        if _without_given_up(after) != FINISHED:
            yield f"the next visit made {after} of {left}"

    async def _after_next(self, bank: FaultBank, left: Left) -> Left:
        if left not in self._next:
            await bank.visit()
            self._next[left] = await bank.left()
        return self._next[left]


def may_be_unknown(changed: Changed) -> bool:
    """Whether the kiosk may say so without knowing: a key may have been made by a call that never returned."""
    return changed is Changed.UNFINISHED


def _end_of(outcome: Outcome) -> End:
    if outcome.problem:
        return End(outcome.problem.code, outcome.problem.changed)
    return DONE


def _has_a_working_one(left: Left) -> bool:
    """Whether the certificate that counts at the CA has its key on the token."""
    counts = {whose for whose, state in left.certificates if state == "valid"}
    return bool(counts & set(left.credentials))


def _without_given_up(left: Left) -> Left:
    """The same without certificates that the CA has revoked because nobody could store them."""
    return replace(
        left,
        certificates=tuple(each for each in left.certificates if each != ("new", "revoked")),
        promises=tuple(each for each in left.promises if each != "revoked"),
    )


def _tells_the_truth(end: End, left: Left) -> bool:
    confirmed = "confirmed" in left.promises
    match end.changed:
        case _ if end == DONE:
            return _without_given_up(left) == FINISHED
        case Changed.NOTHING:
            nothing_left = all(whose == "old" for _, whose in left.objects)
            return nothing_left and _without_given_up(left).promises == ()
        case Changed.UNFINISHED:
            return "old" in left.credentials and ("old", "valid") in left.certificates
        case Changed.RENEWED:
            return confirmed and "new" in left.credentials
        case _:
            return False


@asynccontextmanager
async def open_table(directory: Path, banks: int = 3) -> AsyncIterator[Table]:
    """A table over so many banks, with the calls of a good visit recorded."""
    async with AsyncExitStack() as opened:
        opened.enter_context(requests_told())
        pool: asyncio.Queue[FaultBank] = asyncio.Queue()
        for number in range(banks):
            pool.put_nowait(await opened.enter_async_context(open_fault_bank(directory / str(number))))
        before = child_processes()
        bank = await pool.get()
        outcome, module = await bank.visit()
        assert outcome.problem is None
        assert await bank.left() == FINISHED
        pool.put_nowait(bank)
        yield Table(pool, module.calls)
        assert child_processes() == before, "processes that never called the module have ended as well"
