"""A whole visit with a fault at one call of the token's module, and what it left behind."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import msgspec

from kiosk.credentials import Credential, successor_key_id
from kiosk.demo_bank import (
    TOKEN_LABEL,
    Customer,
    add_software_token,
    issue_onto_token,
    opened,
    prepare,
    softhsm,
)
from kiosk.desk import Desk, SavingStep
from kiosk.errors import KioskError
from kiosk.pin import Pin
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import DEMO_PIN
from kiosk.tokens.process import Limits, TokenProcess
from kiosk.tokens.token import Token
from kiosk.tokens.wire import KeyKind
from kiosk.visit import Outcome
from tests.bank import Bank, child_processes
from tests.faults.faulty_module import Call, Fault, FaultyModule
from tests.ready_ca import running_ready_ca
from tests.scripted_desk import ScriptedDesk

_OTHER_LABEL = "OTHER-USB"
_CUSTOMER = Customer(20, KeyKind.EC_P256)
_OTHER = Customer(20, KeyKind.EC_P256, "TKYM1408055 1403")

PATIENCE = (4.0, 30.0, 200.0)
"""Seconds that a module has for any request: few where it is to hang, and more where a busy machine needed more."""


def patience_with(fault: Fault) -> tuple[float, ...]:
    """What to give a module one after another until a case is not lost; only one that hangs is ever waited for."""
    return PATIENCE if fault is Fault.HANG else PATIENCE[-1:]


_UNDER_WAY: ContextVar[FaultyModule | None] = ContextVar("under_way", default=None)
"""The module of the visit that is under way, which is told of each step and request."""


class AtWork(Token):
    """A token whose presence nobody asks for besides, so that every visit makes the same calls in the same order."""

    @property
    def busy(self) -> bool:
        return True

    @classmethod
    def of(cls, token: Token) -> AtWork:
        """The same token."""
        made = cls.__new__(cls)
        made.__dict__.update(token.__dict__)
        return made


class UnwatchedDesk(FrontDesk):
    """Serves tokens that are `AtWork`."""

    async def the_token(self, desk: Desk) -> Token | None:
        token = await super().the_token(desk)
        return AtWork.of(token) if token else None


def _tell_step(name: str) -> None:
    module = _UNDER_WAY.get()
    if module:
        module.at_step(name)


class SteppingDesk(ScriptedDesk):
    """Tells the module how far the visit has come."""

    async def _see(self, name: str, question: object = None) -> None:
        _tell_step(name)
        await super()._see(name, question)

    def begin(self, step: SavingStep) -> None:
        _tell_step(step.value)
        super().begin(step)


@contextmanager
def requests_told() -> Iterator[None]:
    """Have every request to a token process told to the module first, so that its calls can be told apart."""
    really = TokenProcess.call

    async def call(process: TokenProcess, request: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        module = _UNDER_WAY.get()
        if module:
            module.at_request(type(request).__name__)
        return await really(process, request, *arguments, **named)

    with patch.object(TokenProcess, "call", call):
        yield


@dataclass(frozen=True)
class Left:
    """What a visit leaves behind: on the token, and in the CA's ledger. Keys are new in each case, so none is told."""

    objects: tuple[tuple[str, str], ...]
    """What they are, and whose: of the old credential, of its successor, or of nobody."""
    credentials: tuple[str, ...]
    """Of whom certificate and key are there, and sign."""
    certificates: tuple[tuple[str, str], ...]
    """Whose, and their state at the CA."""
    promises: tuple[str, ...]
    """Their states."""


@dataclass(frozen=True)
class FaultBank:
    """A bank with two customers, each with a token. Both tokens have the same PIN."""

    bank: Bank
    old: Credential
    """The customer's."""
    other: Credential
    serials: tuple[str, str]
    """Of the two tokens."""

    async def visit(self) -> tuple[Outcome, FaultyModule]:
        """One visit of the customer in which nothing goes wrong."""
        return await self._visit(self.module())

    async def visit_struck(self, number: int, fault: Fault, seconds: float) -> tuple[Outcome, FaultyModule]:
        """One visit from the beginning, in which the call of this number goes wrong; see `module`."""
        self.begin_anew()
        module = self.module(seconds)
        module.strike(number, fault)
        return await self._visit(module)

    def module(self, seconds: float = PATIENCE[-1]) -> FaultyModule:
        """The customer's module, with so many seconds for any request."""
        serials = [each.encode() for each in self.serials]
        module = FaultyModule(self.bank.settings.token, self.bank.directory / "faulty-module", serials)
        limits = Limits(*[seconds] * len(Limits.__struct_fields__))
        module.settings = msgspec.structs.replace(module.settings, limits=limits)
        return module

    async def _visit(self, module: FaultyModule) -> tuple[Outcome, FaultyModule]:
        token = module.settings
        _UNDER_WAY.set(module)
        ca = msgspec.structs.replace(self.bank.settings.ca, time_limit=PATIENCE[-1])
        async with open_services(msgspec.structs.replace(self.bank.settings, token=token, ca=ca)) as services:
            front_desk, desk = UnwatchedDesk(services, token), SteppingDesk()
            try:
                found = await front_desk.the_token(desk)
                outcome = await front_desk.serve_token(desk, found) if found else Outcome()
            except KioskError as error:
                outcome = Outcome(problem=error.problem)
            finally:
                await front_desk.close()
                _UNDER_WAY.set(None)
        return outcome, module

    def begin_anew(self) -> None:
        """Put tokens and ledger back to what they were; the CA runs on, and remembers nothing but its ledger."""
        made = prepared_directory()
        shutil.rmtree(self.bank.directory / "tokens")
        shutil.copytree(made / "tokens", self.bank.directory / "tokens")
        ledger = Path("ca") / "ledger.sqlite"
        with (
            closing(sqlite3.connect(made / ledger)) as prepared,
            closing(sqlite3.connect(self.bank.directory / ledger)) as ours,
        ):
            prepared.backup(ours)

    def is_as_prepared(self) -> bool:
        """Whether nothing was changed on any token or in the ledger; a log-in is no change."""
        made = prepared_directory()
        as_made = replace(self.bank, demo=replace(self.bank.demo, directory=made))
        return _objects(self.bank.directory) == _objects(made) and self.bank.ledger() == as_made.ledger()

    async def left(self) -> Left:
        """See `Left`; the other customer must not be concerned at all."""
        successor = successor_key_id(self.old.certificate)
        whose = {self.old.key_id: "old", successor: "new"}
        async with await self.bank.open_token() as token:
            inventory = await token.inventory()
            signing = [each for each in inventory.credentials if await token.proves(each)]
        states = self.bank.states()
        assert states.pop(self.other.certificate.serial) == "valid"
        old = self.old.certificate.serial
        return Left(
            objects=tuple(sorted((each.kind.value, whose.get(each.key_id, "nobody's")) for each in inventory.objects)),
            credentials=tuple(sorted(whose.get(each.key_id, "nobody's") for each in signing)),
            certificates=tuple(sorted(("old" if serial == old else "new", states[serial]) for serial in states)),
            promises=tuple(sorted(self._promises())),
        )

    def customers_is_untouched(self) -> bool:
        """Whether the customer's token has what it had."""
        return _objects(self.bank.directory, TOKEN_LABEL) == _objects(prepared_directory(), TOKEN_LABEL)

    def other_is_untouched(self) -> bool:
        """Whether the other customer's token has what it had."""
        return _objects(self.bank.directory, _OTHER_LABEL) == _objects(prepared_directory(), _OTHER_LABEL)

    def _promises(self) -> list[str]:
        ledger = self.bank.directory / "ca" / "ledger.sqlite"
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            return [state for (state,) in database.execute("SELECT state FROM promises")]


def left_running(calls: list[Call]) -> set[int]:
    """The token processes that have called the module and have not ended."""
    return {call.process for call in calls} & child_processes()


_ALL_PREPARED = TemporaryDirectory(prefix="prepared-fault-banks-")
_READY: list[tuple[Credential, Credential, tuple[str, str]]] = []


def prepared_directory() -> Path:
    """Where the bank lies of which every case has a copy."""
    return Path(_ALL_PREPARED.name) / "bank"


async def _prepare() -> None:
    if _READY:
        return
    made = prepared_directory()
    made.mkdir()
    await prepare(made, [_CUSTOMER], keep=False)
    module = softhsm(made)
    await add_software_token(module, _OTHER_LABEL)
    await issue_onto_token(made / "ca", module, [_OTHER], Pin(bytearray(DEMO_PIN, "ascii")), _OTHER_LABEL)
    with opened(made, "ja", running_ready_ca) as demo:
        bank = Bank(demo)
        found = []
        for label in (TOKEN_LABEL, _OTHER_LABEL):
            async with await bank.open_token(label) as token:
                (credential,) = (await token.inventory()).credentials
                found.append((credential, token.facts.serial))
    _READY.append((found[0][0], found[1][0], (found[0][1], found[1][1])))


@asynccontextmanager
async def open_fault_bank(directory: Path) -> AsyncIterator[FaultBank]:
    """A bank of one's own, as prepared; `directory` must not be there yet."""
    await _prepare()
    shutil.copytree(prepared_directory(), directory)
    softhsm(directory)
    with opened(directory, "ja", running_ready_ca) as demo:
        old, other, serials = _READY[0]
        yield FaultBank(Bank(demo).with_pc(offered=False), old, other, serials)


def _objects(directory: Path, label: str = "") -> dict[str, bytes]:
    """Every object's file on the software tokens, or on that with this label; what counts log-ins is none of them."""
    tokens = [
        each.parent for each in (directory / "tokens").glob("*/token.object") if label.encode() in each.read_bytes()
    ]
    return {
        f"{token.name}/{file.name}": file.read_bytes()
        for token in tokens
        for file in token.glob("*.object")
        if file.name != "token.object"
    }
