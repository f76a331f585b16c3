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
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CoroutineType

import msgspec

from kiosk.certificates import Certificate
from kiosk.cmp.retry import Retry
from kiosk.demo_bank import TOKEN_LABEL, Customer, add_software_token, issue_onto_token, softhsm
from kiosk.desk import Completion, NoticeAnswer
from kiosk.pin import Pin
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN, Settings
from kiosk.tokens.process import Limits
from kiosk.tokens.wire import KeyKind, StoredObject
from tests.bank import Bank, child_processes, open_bank
from tests.cutting import Cut, CutWay, Place, Toward, cut_way
from tests.cutting import Fault as WayFault
from tests.faults.faulty_module import Fault, FaultyModule
from tests.scripted_desk import ScriptedDesk

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
}
"""What can happen to a visit, and how often in a hundred and ten."""
_OF_THE_WAY = ("the way is cut", "the way is silent", "nobody is at the CA")


@dataclass
class Lobby:
    """One kiosk, its customers' tokens, and the way to its CA."""

    bank: Bank
    front_desk: FrontDesk
    module: FaultyModule
    way: CutWay
    chance: random.Random
    happened: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    """Resident bytes after each visit."""
    finished: int = 0
    processes: frozenset[int] = frozenset()
    """The bank's own."""

    async def hold_any(self) -> Completion | None:
        """One visit to which happens whatever chance has it."""
        return await self.hold_one(*self.chance.choices(tuple(TROUBLES), list(TROUBLES.values())))

    async def hold_one(self, trouble: str) -> Completion | None:
        """One visit to which `trouble` happens, and a look at what is left in this process.

        Raises:
            AssertionError: something of the visit is still there.
        """
        self.happened[trouble] += 1
        desk = ScriptedDesk()
        self.module.make_whole()
        upstream = self.way.upstream
        after = await self._arrange(trouble, desk)
        visit = asyncio.create_task(self.front_desk.serve(desk), name="visit")
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
        self._look_back(trouble)
        self.finished += desk.completion is not None
        await asyncio.sleep(1.0 if desk.completion else 0.0)  # a successor issued in the same second ends no later
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

    def _look_back(self, trouble: str) -> None:
        """At what a visit must not leave in this process: a task, or a token process but for the one that looks."""
        running = [each.get_name() for each in asyncio.all_tasks() if _is_ours(each)]
        assert not running, f"after {trouble}: {running}"
        assert len(child_processes() - self.processes) <= 1, f"after {trouble}"
        gc.collect()
        self.memory.append(_resident())

    async def look_at_token(self) -> tuple[Certificate, list[StoredObject]]:
        """The one certificate on the customer's token, whose key must sign, and all that lies there."""
        async with await self.bank.open_token() as token:
            inventory = await token.inventory()
            (credential,) = inventory.credentials
            assert await token.proves(credential)
            return credential.certificate, list(inventory.objects)

    def states_of_customer(self) -> list[str]:
        """The states of the customer's certificates at the CA that are not over."""
        ledger = self.bank.directory / "ca" / "ledger.sqlite"
        asked = "SELECT state FROM certificates WHERE holder = ? AND state NOT IN ('superseded', 'revoked')"
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            return [state for (state,) in database.execute(asked, (Customer().holder_id,))]


def census() -> Counter[str]:
    """The living objects of the kiosk's own classes, by class."""
    gc.collect()
    kinds = (type(each) for each in gc.get_objects())
    return Counter(
        f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if str(kind.__module__).startswith("kiosk")
    )


def slope(values: Sequence[float]) -> float:
    """By how much they rise from one to the next, as least squares have it."""
    return statistics.linear_regression(range(len(values)), values).slope


def open_files() -> int:
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _is_ours(task: asyncio.Task[object]) -> bool:
    """Whether it runs a coroutine of the kiosk's; a visit that has been waited for is none any more."""
    running = task.get_coro()
    return isinstance(running, CoroutineType) and f"{os.sep}kiosk{os.sep}" in running.cr_code.co_filename


@asynccontextmanager
async def open_lobby(directory: Path, seed: int) -> AsyncIterator[Lobby]:
    """A kiosk that holds all of its visits with the same services, as in a day's work."""
    async with open_bank(directory, ca_policy=_CA_POLICY, beforehand=_make_other_token) as bank:
        serials = [await _serial(bank, label) for label in (TOKEN_LABEL, _OTHER_LABEL)]
        module = FaultyModule(bank.settings.token, directory / "faulty-module", [each.encode() for each in serials])
        async with cut_way(bank.settings.ca.url) as way:
            settings = _settings(bank.with_policy(window_days=400, idle_seconds=1).settings, module, way)
            before = frozenset(child_processes())
            async with open_services(settings) as services:
                retry = Retry(total=4.0, first=0.05, longest=0.2)
                front_desk = FrontDesk(replace(services, retry=retry), settings.token)
                chance = random.Random(seed)  # noqa: S311 - no secret
                yield Lobby(bank, front_desk, module, way, chance, processes=before)
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
