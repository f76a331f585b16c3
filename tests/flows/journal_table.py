"""The journal's disc fails before one line of a visit, and then there is another visit: a table, line by line.

The lines are recorded, of a visit that nothing disturbs. Everything happens in a process with a mount of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from kiosk.clock import system_clock
from kiosk.cmp.client import CmpClient
from kiosk.demo_bank import Customer, DemoBank
from kiosk.desk import SavingStep
from kiosk.errors import Changed, Code
from kiosk.journal import Event, Journal
from kiosk.tokens.wire import ObjectKind
from kiosk.visit import Outcome
from tests.bank import Bank, open_bank
from tests.flows.full_journal import WAY, Disc
from tests.flows.test_conversation import Counterfeit
from tests.scripted_desk import ScriptedDesk

SHIM = Path(__file__).with_name("read_only_disc.c")
_ONLY_TIDYING = (Changed.RENEWED, Changed.ENROLLED)
"""What a visit leaves that has come to its end but for what is to be removed."""
_AT_THE_END = (Event.PROBLEM, Event.VISIT_ENDED)
"""Lines about how a visit has ended: too late to change that."""


class Kind(StrEnum):
    """What visit it is."""

    RENEWAL = "renewal"
    ENROLMENT = "電子証明書取得"
    RESUMED = "renewal that goes on"
    """An earlier visit had its certificate issued, and no more."""
    NOTHING = "renewal that comes to nothing"
    """The CA's answer is not what was asked for: its certificate is rejected, and the new key goes."""


class Failing(StrEnum):
    """What the disc does."""

    FULL = "full"
    READ_ONLY = "read-only"


class Case(msgspec.Struct, frozen=True):
    """One cell of the table."""

    kind: Kind
    failing: Failing
    line: int
    """Counted from 1."""
    event: str


class Told(msgspec.Struct):
    """What came of them."""

    run: list[Case] = msgspec.field(default_factory=list)
    lost: list[str] = msgspec.field(default_factory=list)

    def summary(self) -> str:
        """In one line."""
        counted = Counter(f"{case.kind}, disc {case.failing}" for case in self.run)
        each = "; ".join(f"{what}: {number}" for what, number in counted.items())
        return f"journal table: cases run {len(self.run)} ({each}) / lost {len(self.lost)}"


def tried(directory: Path, kind: Kind, events: Sequence[Event] | None) -> Told:
    """All cases of `kind`, or those of `events` only; `directory` is empty."""
    library = directory / "read_only_disc.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, SHIM, "-ldl"], check=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "KIOSK_DISC": str(directory / "disc"),
        "KIOSK_READ_ONLY": str(directory / "read-only"),
    }
    command = [*WAY, sys.executable, "-m", __name__, str(directory), kind, *(events or Event)]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=Told)


@dataclass
class _Failure:
    """The disc, and when it fails."""

    disc: Disc
    flag: Path
    failing: Failing | None = None
    line: int = 0
    lines: list[str] = field(default_factory=list)
    """Those that were to be written."""

    def before(self, event: Event) -> None:
        self.lines.append(event)
        if self.failing and len(self.lines) == self.line:
            self._fail()

    def _fail(self) -> None:
        if self.failing is Failing.FULL:
            self.disc.fill()
        else:
            self.flag.touch()

    def mend(self) -> None:
        if self.failing is Failing.FULL:
            self.disc.make_room()
        else:
            self.flag.unlink()

    @contextmanager
    def watching(self) -> Iterator[None]:
        append = Journal.append

        def watched(journal: Journal, visit: str, event: Event, *fields: str) -> None:
            self.before(event)
            append(journal, visit, event, *fields)

        Journal.append = watched  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            Journal.append = append  # type: ignore[method-assign]


class _Table:
    """The cases of one kind of visit."""

    def __init__(self, directory: Path, kind: Kind) -> None:
        self._directory = directory
        self._kind = kind
        self._disc = Disc(directory / "disc")
        self._banks = 0

    async def run(self, events: Sequence[str]) -> Told:
        recorded = self._failure()
        async with open_bank(self._directory / "recorded", days_left=self._days_left) as bank:
            bank = self._on_disc(bank)
            await self._begin(bank)
            outcome = await self._visit(bank, recorded, bank.code() if self._enrols else None)
        assert bool(outcome.completion) is (self._kind is not Kind.NOTHING), outcome
        told = Told()
        for failing in Failing:
            for line, event in enumerate(recorded.lines, start=1):
                if event in events:
                    await self._try(Case(self._kind, failing, line, event), told)
        return told

    async def _try(self, case: Case, told: Told) -> None:
        told.run.append(case)
        directory = self._directory / f"case-{len(told.run)}"
        try:
            async with open_bank(directory, days_left=self._days_left) as bank:
                await self._tried(self._on_disc(bank), case)
        except AssertionError as error:
            told.lost.append(f"{case}: {error}")
        shutil.rmtree(directory)

    async def _tried(self, bank: Bank, case: Case) -> None:
        code = bank.code() if self._enrols else None
        failure = self._failure(case.failing, case.line)
        await self._begin(bank)
        outcome = await self._visit(bank, failure, code)
        assert failure.lines[: case.line][-1] == case.event, f"another way: {failure.lines}"
        failure.mend()
        await self._check_cut(bank, case, outcome)
        if outcome.completion is None and outcome.problem:
            again = await bank.visit(self._desk(code))
            assert not again.problem, again
            assert again.completion or outcome.problem.changed in _ONLY_TIDYING, "not finished"
        await _check_end(bank)

    async def _begin(self, bank: Bank) -> None:
        """The visit before the one that is looked at, if any."""
        if self._kind is not Kind.RESUMED:
            return
        cut = await bank.visit(
            ScriptedDesk(at_step=lambda step: self._disc.fill() if step is SavingStep.WRITE else None)
        )
        self._disc.make_room()
        assert cut.problem

    async def _check_cut(self, bank: Bank, case: Case, outcome: Outcome) -> None:
        """What the customer was told, and that it is true."""
        assert outcome.problem, "nobody was told"
        ended_before = self._kind is Kind.NOTHING and case.event in _AT_THE_END
        expected = Code.NEW_CERTIFICATE_WRONG if ended_before else Code.JOURNAL_NOT_WRITABLE
        assert outcome.problem.code is expected, outcome.problem
        signing = await _signing(bank)
        valid = _valid(bank)
        if outcome.problem.changed in (Changed.NOTHING, Changed.UNFINISHED, Changed.ENROLLING):
            assert len(signing) >= 1, "the old one does not sign"
            assert self._enrols or signing & valid, "the old one is not valid"
        else:
            assert signing & valid, f"{outcome.problem.changed}, but nothing valid signs"

    async def _visit(self, bank: Bank, failure: _Failure, code: str | None) -> Outcome:
        through: Callable[[CmpClient], CmpClient] | None = Counterfeit if self._kind is Kind.NOTHING else None
        with failure.watching():
            return await bank.visit(self._desk(code), through=through)

    def _desk(self, code: str | None) -> ScriptedDesk:
        holder = Customer().holder_id
        return ScriptedDesk(enrols=self._enrols, enrolment_ids=[holder], codes=[code])

    def _failure(self, failing: Failing | None = None, line: int = 0) -> _Failure:
        return _Failure(self._disc, self._directory / "read-only", failing, line)

    def _on_disc(self, bank: Bank) -> Bank:
        """The same bank, its journal on the disc that fails."""
        self._banks += 1
        journal = str(self._disc.directory / str(self._banks) / "journal.sqlite")
        return Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, journal=journal)))

    @property
    def _enrols(self) -> bool:
        return self._kind is Kind.ENROLMENT

    @property
    def _days_left(self) -> int:
        return -1 if self._enrols else 20


async def _signing(bank: Bank) -> set[str]:
    """Serial numbers of the credentials on the token whose keys sign."""
    async with await bank.open_token() as token:
        found = (await token.inventory()).credentials
        return {each.certificate.serial for each in found if await token.proves(each)}


async def _check_end(bank: Bank) -> None:
    """One certificate and one key, which match and sign; the ledger agrees; and nothing besides."""
    inventory = await bank.inventory()
    kinds = sorted(each.kind.value for each in inventory.objects)
    assert kinds == sorted(each.value for each in ObjectKind), f"on the token: {kinds}"
    held = await bank.credential()
    assert _valid(bank) == {held.certificate.serial}, bank.states()


def _valid(bank: Bank) -> set[str]:
    """Serial numbers of the certificates that the ledger says are valid, and that have not ended."""
    with bank.reading_ledger() as ledger:
        rows = ledger.execute("SELECT serial, not_after FROM certificates WHERE state = 'valid'").fetchall()
    return {serial for serial, end in rows if datetime.fromisoformat(end).replace(tzinfo=UTC) > system_clock()}


if __name__ == "__main__":
    _, place, what, *wanted = sys.argv
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_Table(Path(place), Kind(what)).run(wanted))))
