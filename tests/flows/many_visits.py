"""Visit after visit in one process, most of them with something that goes wrong, and what they leave in it.

What happens to a visit is drawn from a seed, so that a run can be had again: the customer turns back or walks away, the
kiosk ends in the middle, the token is pulled or exchanged, its module fails, hangs or dies, the way to the CA is cut.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
import sqlite3
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CoroutineType
from typing import Protocol

import msgspec

from kiosk.certificates import Certificate
from kiosk.cmp.retry import Retry
from kiosk.demo_bank import TOKEN_LABEL, Customer, add_software_token, issue_onto_token, softhsm
from kiosk.desk import Completion, NoticeAnswer
from kiosk.journal import Journal
from kiosk.pin import Pin
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN, Settings
from kiosk.tokens.process import Limits, TokenProcess
from kiosk.tokens.wire import KeyKind, ObjectKind, StoredObject
from tests.bank import Bank, child_processes, open_bank
from tests.cutting import CASES, Cut, CutWay, Place, Toward, cut_way
from tests.cutting import Fault as WayFault
from tests.faults.faulty_module import Fault, FaultyModule
from tests.scripted_desk import ScriptedDesk

VISITS = int(os.environ.get("KIOSK_VISITS", "1000"))
"""For whoever has no hours; the memory is judged over the latter half of them."""
SEED = int(os.environ.get("KIOSK_SEED", "1"))

_OTHER_LABEL = "OTHER-USB"
_OTHER = Customer(20, KeyKind.EC_P256, "TKYM1408055 1403")
_CA_POLICY = "window_days = 400\nmost_certificates = 100000\n"
"""Every certificate may be renewed at once, so that each visit is a whole one."""
_HELD_UP = 15.0
"""Seconds that a module or a CA has that answers nothing; a busy machine must not need as many."""
_LONGEST_VISIT = 300.0
"""Seconds; a visit that takes longer never ends."""
_CALLS_OF_A_VISIT = 900
_SECONDS_OF_A_VISIT = 2.0
_CALM_EVERY = 10
_CONNECTIONS = 4
"""Of the HTTP client's pool and the proxy's; whether one is open at the end of a visit is a matter of moments."""
_LONG_AGO, _MOST_A_VISIT = 100, 1000
"""After so many visits whatever is made once has been made; bytes that each may leave."""
_PASSING_NAMES = 300_000
"""More than the table has room for in a process that has loaded all that tests load."""
_LINES_TOLD = 40
_NOBODY = ("127.0.0.1", 9)

_QUESTIONS = ("pin", "notice", "destination", "web-access 1/2", "web-access 2/2", "key-export", "completion")
_PULLS = (Fault.REMOVED, Fault.RETURNED, Fault.ANOTHER)
_FAILURES = (Fault.GENERAL_ERROR, Fault.DEVICE_MEMORY, Fault.PIN_LOCKED, Fault.CRASH, Fault.GENERAL_ERROR_AFTER)

CALM = "nothing happens"
TROUBLES = {
    CALM: 30,
    "the customer turns back": 14,
    "the customer walks away": 8,
    "the kiosk ends in the middle": 12,
    "the token is pulled": 14,
    "the module fails": 12,
    "the module hangs": 1,
    "the way is cut": 14,
    "the way is silent": 1,
    "nobody is at the CA": 4,
    "another token is in": 4,
}
"""What can happen to a visit, and how often in a hundred and fourteen."""
_OF_THE_WAY = ("the way is cut", "the way is silent", "nobody is at the CA")


class Serving(Protocol):
    """Where the customers are served."""

    async def ready(self) -> None:
        """Wait until the next one can begin."""

    async def serve(self, desk: ScriptedDesk) -> None:
        """Hold a visit of one who answers as `desk` does, to its end; what he was told last `desk` knows then."""


@dataclass
class Lobby:
    """One kiosk, its customers' tokens, and the way to its CA."""

    bank: Bank
    front_desk: FrontDesk
    module: FaultyModule
    way: CutWay
    chance: random.Random
    counter: Serving
    troubles: Mapping[str, int] = field(default_factory=lambda: TROUBLES)
    """What can happen here, and how often."""
    between_visits: Counter[str] = field(default_factory=Counter)
    """The kiosk's tasks that run while nobody is served."""
    happened: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    """Resident bytes after each visit."""
    finished: int = 0
    last: ScriptedDesk = field(default_factory=ScriptedDesk)
    """Of the visit that was held last."""
    processes: frozenset[int] = frozenset()
    """The bank's own."""

    async def hold_any(self) -> Completion | None:
        """One visit to which happens whatever chance has it."""
        return await self.hold_one(*self.chance.choices(tuple(self.troubles), list(self.troubles.values())))

    async def hold_one(self, trouble: str) -> Completion | None:
        """One visit to which `trouble` happens, and a look at what is left in this process.

        Raises:
            AssertionError: something of the visit is still there.
        """
        self.happened[trouble] += 1
        self.last = desk = ScriptedDesk()
        await self.counter.ready()
        self.module.make_whole()
        upstream = self.way.upstream
        after = await self._arrange(trouble, desk)
        visit = asyncio.create_task(self.counter.serve(desk), name="visit")
        try:
            async with asyncio.timeout(_LONGEST_VISIT):
                await asyncio.wait([visit], timeout=after)
                if after is not None:
                    visit.cancel()
                with suppress(asyncio.CancelledError):
                    await visit
        finally:
            self.way.upstream, self.way.cut = upstream, None
        problem = desk.problem
        assert problem is None or problem.code != "K-99", f"{trouble}: {problem}"
        await self._look_back(trouble)
        self.finished += desk.completion is not None
        has_issued = desk.completion or problem
        await asyncio.sleep(1.0 if has_issued else 0.0)  # a successor issued in the same second ends no later
        return desk.completion

    async def _arrange(self, trouble: str, desk: ScriptedDesk) -> float | None:
        """Have it happen; after how many seconds the kiosk ends, where it does."""
        if trouble in _OF_THE_WAY:
            await self.way.end()  # a connection that is open already would carry on
        match trouble:
            case "the customer turns back":
                self._turn_back(desk)
            case "the customer walks away":
                desk.leaves_at = self.chance.choice(_QUESTIONS)
            case "the kiosk ends in the middle":
                return self.chance.uniform(0.0, _SECONDS_OF_A_VISIT)
            case "the token is pulled":
                self.module.strike_later(self.chance.randint(1, _CALLS_OF_A_VISIT), self.chance.choice(_PULLS))
            case "the module fails":
                self.module.strike_later(self.chance.randint(1, _CALLS_OF_A_VISIT), self.chance.choice(_FAILURES))
            case "the module hangs":
                self.module.strike_later(self.chance.randint(1, _CALLS_OF_A_VISIT), Fault.HANG)
            case "the way is cut":
                self.way.cut = self._cut(self.chance.choice((WayFault.CLOSE, WayFault.RESET, WayFault.DRIP)))
            case "the way is silent":
                self.way.cut = self._cut(WayFault.STALL)
            case "nobody is at the CA":
                self.way.upstream = _NOBODY
            case "another token is in":
                self.module.strike_later(1, Fault.ANOTHER)
        return None

    def _turn_back(self, desk: ScriptedDesk) -> None:
        match self.chance.randrange(6):
            case 0:
                desk.pins = [None]
            case 1:
                desk.notice, desk.resumes, desk.cleans = NoticeAnswer.LATER, False, False
            case 2:
                desk.destination = None
            case 3:
                desk.web_access = [True, False]
            case 4:
                desk.key_export = False
            case _:
                desk.gives_up.set()

    def _cut(self, fault: WayFault) -> Cut:
        toward = self.chance.choice(tuple(Toward))
        part = self.chance.choice(("handshake 1", "change 1", "sealed 1", "sealed 2", "sealed 3", "sealed 4"))
        return Cut("", toward, part, self.chance.choice(tuple(Place)), fault)

    async def _look_back(self, trouble: str) -> None:
        """At what a visit must not leave in this process: a task, or a token process but for the one that looks.

        One that is cancelled just as a token process ends leaves that to come to its end by itself.
        """
        endings = {each for each in asyncio.all_tasks() if _runs(each, TokenProcess.end, TokenProcess._bury)}
        if endings:
            await asyncio.wait(endings, timeout=_HELD_UP)
        running = tasks("kiosk") - self.between_visits
        assert not running, f"after {trouble}: {running}"
        assert len(child_processes() - self.processes) <= 1, f"after {trouble}"
        gc.collect()
        self.memory.append(_resident())

    async def look_at_token(self, label: str = TOKEN_LABEL) -> tuple[Certificate, list[StoredObject]]:
        """The one certificate on the token of this label, whose key must sign, and all that lies there."""
        async with await self.bank.open_token(label) as token:
            inventory = await token.inventory()
            (credential,) = inventory.credentials
            assert await token.proves(credential)
            return credential.certificate, list(inventory.objects)

    def tell(self) -> str:
        """How the last visit went, for whoever looks for what went wrong."""
        with Journal(Path(self.bank.settings.journal)) as journal:
            lines = [f"{each.at} {each.event} {each.code} {each.detail}" for each in journal.entries()[-_LINES_TOLD:]]
        asked = [type(each).__name__ for each in self.last.seen]
        return "\n".join([f"{self.last.problem}", f"{asked}", *lines])

    def states_of(self, customer: Customer) -> list[str]:
        """The states of the customer's certificates at the CA that are not over."""
        ledger = self.bank.directory / "ca" / "ledger.sqlite"
        asked = "SELECT state FROM certificates WHERE holder = ? AND state NOT IN ('superseded', 'revoked')"
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            return [state for (state,) in database.execute(asked, (customer.holder_id,))]


async def calm(lobby: Lobby) -> None:
    """A visit to which nothing happens comes to its end, whatever has happened to those before it.

    One that goes on with a renewal looks for nothing else; what lies beside that goes at the visit after it. The other
    token is whole without one, since no visit with it is cut.
    """
    for _ in range(2):
        completion = await lobby.hold_one(CALM)
        assert completion is not None, f"a visit without trouble was not finished: {lobby.tell()}"
        certificate, found = await lobby.look_at_token()
        assert certificate == completion.certificate
        if len(found) == len(ObjectKind):
            break
    _assert_whole(found, lobby.states_of(Customer()))
    _, found = await lobby.look_at_token(_OTHER_LABEL)
    _assert_whole(found, lobby.states_of(_OTHER))


def _let_names_come_and_go() -> None:
    """Have Python's table of interned strings grow as far as it ever does by strings that do not stay.

    It keeps the place of each that has gone until it is full, which by thirty in a visit takes some thousand visits,
    and is made anew then, with room for three times those that live: two megabytes at once, and never again.
    """
    for number in range(_PASSING_NAMES):
        sys.intern(f"passing {number}")


def _assert_whole(found: Sequence[StoredObject], states: Sequence[str]) -> None:
    assert sorted(each.kind for each in found) == sorted(ObjectKind), f"one credential, and nothing else: {found}"
    assert states == ["valid"], "the CA says the same"


async def hold_many(lobby: Lobby, visits: int, living: Callable[[], Counter[str]]) -> None:
    """Hold so many of every kind, and judge what they leave; the objects among the `living` are counted."""
    _let_names_come_and_go()
    early, files = Counter[str](), 0
    while len(lobby.memory) < visits - 1:
        await (calm(lobby) if len(lobby.memory) % _CALM_EVERY == 0 else lobby.hold_any())
        if not files and len(lobby.memory) >= min(_LONG_AGO, visits // 2):
            await calm(lobby)
            early, files = living(), open_files()
    await calm(lobby)
    late = living()
    grown = slope(lobby.memory[visits // 2 :])
    CASES["visits in one process"] += len(lobby.memory)
    print(f"{len(lobby.memory)} visits: {dict(lobby.happened)}")
    print(f"{lobby.finished} finished; memory rises by {grown:.0f} bytes a visit over the latter half")
    print(f"resident {lobby.memory[0] >> 10}, {lobby.memory[visits // 2] >> 10}, {lobby.memory[-1] >> 10} KiB")
    print(f"open files {files}, {open_files()}; objects of ours {early.total()}, {late.total()}")
    assert not late - early, "objects of visits that are over"
    assert open_files() <= files + _CONNECTIONS
    assert grown < _MOST_A_VISIT


@dataclass(frozen=True)
class AtDesk:
    """Serves without a screen: the desk itself answers."""

    front_desk: FrontDesk

    async def ready(self) -> None:
        """There is always somebody there."""

    async def serve(self, desk: ScriptedDesk) -> None:
        await self.front_desk.serve(desk)


def census(counts: Callable[[type], bool] = lambda kind: str(kind.__module__).startswith("kiosk")) -> Counter[str]:
    """The living objects of the classes that count, by class; by default the kiosk's own."""
    gc.collect()
    kinds = (type(each) for each in gc.get_objects())
    return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if counts(kind))


def tasks(*packages: str) -> Counter[str]:
    """The tasks that run a coroutine of these packages; one that has been waited for is none any more."""
    running = (each.get_coro() for each in asyncio.all_tasks())
    return Counter(each.__qualname__ for each in running if isinstance(each, CoroutineType) and _is_of(each, packages))


def _runs(task: asyncio.Task[object], *any_of: Callable[..., object]) -> bool:
    running = task.get_coro()
    return isinstance(running, CoroutineType) and running.__qualname__ in {each.__qualname__ for each in any_of}


def _is_of(running: CoroutineType[object, object, object], packages: Sequence[str]) -> bool:
    frame = running.cr_frame
    return frame is not None and frame.f_globals["__name__"].partition(".")[0] in packages


def slope(values: Sequence[float]) -> float:
    """By how much they rise from one to the next, as least squares have it."""
    return statistics.linear_regression(range(len(values)), values).slope


def open_files() -> int:
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def open_lobby(directory: Path, seed: int, **policy: object) -> AsyncIterator[Lobby]:
    """A kiosk that holds all of its visits with the same services, as in a day's work; `policy` is added to its own."""
    async with open_bank(directory, ca_policy=_CA_POLICY, beforehand=_make_other_token) as bank:
        serials = [await _serial(bank, label) for label in (TOKEN_LABEL, _OTHER_LABEL)]
        module = FaultyModule(bank.settings.token, directory / "faulty-module", [each.encode() for each in serials])
        async with cut_way(bank.settings.ca.url) as way:
            policy = {"window_days": 400, "idle_seconds": 1, **policy}
            settings = _settings(bank.with_policy(**policy).settings, module, way)
            before = frozenset(child_processes())
            async with open_services(settings) as services:
                retry = Retry(total=4.0, first=0.05, longest=0.2)
                front_desk = FrontDesk(replace(services, retry=retry), settings.token)
                chance = random.Random(seed)  # noqa: S311 - no secret
                yield Lobby(bank, front_desk, module, way, chance, AtDesk(front_desk), processes=before)
                await front_desk.close()
            assert child_processes() <= before, "a token process is left"


async def _make_other_token(ca_directory: Path) -> None:
    module = softhsm(ca_directory.parent)
    await add_software_token(module, _OTHER_LABEL)
    await issue_onto_token(ca_directory, module, [_OTHER], Pin(bytearray(DEMO_PIN, "ascii")), _OTHER_LABEL)


def _settings(settings: Settings, module: FaultyModule, way: CutWay) -> Settings:
    limits = Limits(*[_HELD_UP] * len(Limits.__struct_fields__))
    token = msgspec.structs.replace(module.settings, limits=limits, token_label="")
    ocsp = way.url.partition("/.well-known")[0] + settings.ca.ocsp_url.partition(settings.ca.url.split("/.well")[0])[2]
    ca = msgspec.structs.replace(settings.ca, url=way.url, ocsp_url=ocsp, time_limit=_HELD_UP)
    return msgspec.structs.replace(settings, token=token, ca=ca)


async def _serial(bank: Bank, label: str) -> str:
    async with await bank.open_token(label) as token:
        return token.facts.serial
