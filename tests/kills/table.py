"""One case of the kill table: a visit that is cut, one more visit, and then everything as it has to be."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kiosk.clock import system_clock
from kiosk.demo_bank import Customer, DemoBank, opened, softhsm
from kiosk.settings import Settings
from kiosk.tokens.wire import ObjectKind
from tests.bank import Bank, prepared
from tests.cutting import counted
from tests.kills.visit import Cut, Script, Told, Victim, hold
from tests.processes.dying import noted_commits
from tests.ready_ca import ReadyCa, ready_ca
from tests.tokens.pulled_token import PulledToken

_WAITS = {"preprocessing", "import", "import-complete", "completion", "problem"}
"""What a desk shows without asking anything."""


@dataclass(frozen=True)
class Case:
    """Who is killed at which point of the visit, and where the customer goes then."""

    victim: Victim
    point: int
    elsewhere: bool
    """To a kiosk with an empty journal."""

    @property
    def kind(self) -> str:
        return self.victim.value

    @contextmanager
    def bank(self, table: Table) -> Iterator[_At]:
        with table.bank(power=self.victim in (Victim.TOKEN, Victim.ALL)) as at:
            yield at

    def cut(self, at: _At, table: Table) -> Told:
        told = at.hold(self.victim, self.point)
        assert told.points[: self.point] == table.points[: self.point], f"another way: {told.points[-3:]}"
        return told

    def name(self, table: Table) -> str:
        return f"{self.kind} at {self.point} ({table.points[self.point - 1]})"


@dataclass(frozen=True)
class CommitCase:
    """The CA dies of itself at one of its commits, between a request and its answer."""

    when: str
    """Before it or after it."""
    commit: int
    elsewhere: bool

    @property
    def kind(self) -> str:
        return f"CA {self.when} a commit"

    @contextmanager
    def bank(self, table: Table) -> Iterator[_At]:
        with table.bank(dies=(self.when, self.commit)) as at:
            yield at

    def cut(self, at: _At, _: Table) -> Told:
        told = at.hold(Victim.CA, 0)
        assert at.has_died(), "the commit was never made"
        return told

    def name(self, table: Table) -> str:
        return f"CA {self.when} its commit {self.commit} of {table.commits}"


@dataclass
class Table:
    """The cases of one kind of visit: a renewal, or 電子証明書取得."""

    place: Path
    enrols: bool = False
    points: list[str] = field(default_factory=list)
    """What was recorded of a visit that nobody cut."""
    commits: int = 0
    """How many the CA made in it."""
    lost: list[str] = field(default_factory=list)
    run: Counter[str] = field(default_factory=Counter)

    @property
    def customer(self) -> Customer:
        return Customer(-1 if self.enrols else 20)

    async def record(self) -> None:
        """Learn the points, from a visit that comes to its end."""
        notes = self.place / "commits"
        with self.bank(notes=notes) as at:
            told = at.hold(Victim.KIOSK, 0)
            await at.check(told)
        self.points, self.commits = told.points, noted_commits(notes)

    async def try_case(self, case: Case | CommitCase) -> None:
        """Run one; what does not end as it has to is `lost`."""
        self.run[case.kind] += 1
        name = case.name(self) + (", another kiosk" if case.elsewhere else ", the same kiosk")
        try:
            with counted("kill table"), case.bank(self) as at:
                first = case.cut(at, self)
                at.mend(elsewhere=case.elsewhere)
                second = at.hold(Victim.KIOSK, 0)
                await at.check(first, second)
        except Exception as error:  # whatever escapes from a case is a lost one
            self.lost.append(f"{name}: {error!r}")

    def summary(self) -> str:
        what = "電子証明書取得" if self.enrols else "renewal"
        each = ", ".join(f"{number} {victim}" for victim, number in self.run.items())
        found = f"{len(self.points)} points, {self.commits} commits"
        return f"{what}: {found}, cases run {self.run.total()} ({each}) / lost {len(self.lost)}"

    @contextmanager
    def bank(
        self, *, power: bool = False, dies: tuple[str, int] | None = None, notes: Path | None = None
    ) -> Iterator[_At]:
        """One for a single case, with a token whose power can be cut, or a CA that dies or notes its commits."""
        directory = self.place / f"case-{self.run.total()}"
        shutil.copytree(self._prepared(), directory)
        with ExitStack() as stack:
            at = _At(directory, self.enrols, stack)
            at.open(power=power, dies=dies, notes=notes)
            yield at
        shutil.rmtree(directory)

    def _prepared(self) -> Path:
        return self.place / "prepared"

    async def prepare(self) -> None:
        shutil.copytree(await prepared((self.customer,)), self._prepared())


class _At:
    """A bank of its own for each case: CA, token, kiosk."""

    def __init__(self, directory: Path, enrols: bool, stack: ExitStack) -> None:
        self._directory, self._enrols, self._stack = directory, enrols, stack
        self._ca: ReadyCa | None = None
        self._token: PulledToken | None = None
        self._settings: Settings | None = None
        self._code: str | None = None

    def open(self, *, power: bool, dies: tuple[str, int] | None, notes: Path | None) -> None:
        self._open_ca(dies, notes)
        if power:
            self._token = PulledToken(softhsm(self._directory), self._directory)
            self._token.put_in()
            self._stack.callback(self._token.pull)
        if self._enrols:
            self._code = self.bank.code()

    def _open_ca(self, dies: tuple[str, int] | None = None, notes: Path | None = None) -> None:
        @contextmanager
        def run(directory: Path, log: Path) -> Iterator[str]:
            with ready_ca(directory, log, dies=dies, notes=notes) as self._ca:
                yield self._ca.url

        demo = self._stack.enter_context(opened(self._directory, "ja", run))
        self._settings = demo.settings

    @property
    def settings(self) -> Settings:
        """Of the kiosk."""
        return _with(self.bank.settings, token=self._token.settings) if self._token else self.bank.settings

    @property
    def bank(self) -> Bank:
        """As seen by who looks into the token without a kiosk."""
        assert self._settings is not None
        return Bank(DemoBank(self._directory, self._settings))

    def hold(self, victim: Victim, point: int) -> Told:
        assert self._ca is not None
        assert self._ca.process.pid is not None
        server = self._token.server.pid if self._token and self._token.server else 0
        cut = Cut(victim, point, self._ca.process.pid, server)
        return hold(self._directory, self.settings, Script(self._code), cut)

    def has_died(self) -> bool:
        """Whether the CA has killed itself."""
        assert self._ca is not None
        self._ca.process.join(timeout=10)
        return self._ca.process.exitcode == -signal.SIGKILL

    def mend(self, *, elsewhere: bool) -> None:
        """What the branch does until the customer's next visit."""
        assert self._ca is not None
        if not self._ca.process.is_alive():
            self._open_ca()
        if self._token is not None:
            self._token.pull()
            self._token.put_in()
        if elsewhere:
            journal = str(self._directory / "elsewhere.sqlite")
            self._settings = _with(self.bank.settings, journal=journal)

    async def check(self, *visits: Told) -> None:
        """Exactly one certificate and one key, which match; the ledger agrees; nothing besides; nothing asked twice."""
        for visit in visits:
            twice = [name for name, times in Counter(visit.asked).items() if times > 1 and name not in _WAITS]
            assert not twice, f"asked twice in one visit: {twice}"
        inventory = await self.bank.inventory()
        kinds = sorted(each.kind.value for each in inventory.objects)
        wanted = sorted(each.value for each in ObjectKind if each not in self._taken_by_softhsm(kinds))
        assert kinds == wanted, f"on the token: {kinds}, {visits[-1].asked}"
        held = await self.bank.credential()  # which signs
        rows = [row for row in self._certificates() if row[2] > system_clock()]
        valid = [serial for serial, state, _ in rows if state == "valid"]
        assert valid == [held.certificate.serial], f"in the ledger: {rows}"
        others = {state for serial, state, _ in rows if serial not in valid}
        assert others <= {"superseded", "revoked"}, f"in the ledger: {rows}"
        promises = self._promises()
        confirmed = [serial for state, serial in promises if state == "confirmed"]
        assert confirmed == valid, f"promised: {promises}"
        assert not [state for state, _ in promises if state in ("issued", "waiting")], f"promised: {promises}"

    def _taken_by_softhsm(self, kinds: Sequence[str]) -> set[ObjectKind]:
        """A public key whose label was being changed when its token's power was cut.

        SoftHSM empties an object's file before it writes it anew. Nobody needs that object to sign; a certificate that
        goes so is brought back by the next visit.
        """
        emptied = [each for each in self._directory.glob("tokens/*/*.object") if not each.stat().st_size]
        gone = self._token is not None and len(emptied) == 1 and ObjectKind.PUBLIC_KEY.value not in kinds
        return {ObjectKind.PUBLIC_KEY} if gone else set()

    def _certificates(self) -> list[tuple[str, str, datetime]]:
        rows = self._read("SELECT serial, state, not_after FROM certificates")
        return [(serial, state, datetime.fromisoformat(end).replace(tzinfo=UTC)) for serial, state, end in rows]

    def _promises(self) -> list[tuple[str, str]]:
        rows = self._read("SELECT p.state, c.serial FROM promises p LEFT JOIN certificates c ON c.id = p.new")
        return [(state, serial) for state, serial in rows]

    def _read(self, query: str) -> list[tuple[str, ...]]:
        ledger = self._directory / "ca" / "ledger.sqlite"
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()


def _with(settings: Settings, **others: object) -> Settings:
    return msgspec.structs.replace(settings, **others)
