"""The stores a renewal is shown over, as data: a row more is a store more.

A row says how the customer's credential gets into the store, how a kiosk reaches it, and how it is looked into.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kiosk.demo_bank import TOKEN_LABEL
from kiosk.desk import Destination, Errand
from kiosk.tokens.token import Token
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.scripted_desk import ScriptedDesk
from tests.tokens import opencryptoki
from tests.tokens.opencryptoki import running_opencryptoki
from tests.tokens.pulled_token import PulledToken
from tests.tokens.virtual_card import pcscd
from tests.tokens.virtual_card.bank import open_card_bank

ALL_YEAR = 400
"""Days of a renewal window in which a certificate of today can be renewed once more."""

Opened = Callable[[], AbstractAsyncContextManager[Token]]


@dataclass(frozen=True)
class StoreUnderTest:
    """A store with one credential that can be renewed now."""

    bank: Bank
    opened: Opened
    """Looks into the store, in a process of its own, logged in."""
    errand: Errand = Errand.RENEWAL
    destination: Destination = Destination.USB

    def desk(self) -> ScriptedDesk:
        """A customer who saves where the credential is."""
        return ScriptedDesk(destination=self.destination)


@dataclass(frozen=True)
class Store:
    """A row."""

    name: str
    prepare: Callable[[Path, KeyKind], AbstractAsyncContextManager[StoreUnderTest]]
    ordinary_user: bool = False
    """Whether it is nothing for root."""
    kinds: frozenset[KeyKind] = frozenset({KeyKind.RSA_2048, KeyKind.EC_P256})
    """Those of the tests' kinds that its tokens can make and sign with."""
    why_not: Callable[[], str] | None = None
    """Of a store that needs daemons: why they cannot run here; empty where they can."""


@asynccontextmanager
async def _softhsm(directory: Path, kind: KeyKind) -> AsyncIterator[StoreUnderTest]:
    async with open_bank(directory, kind=kind) as bank:
        yield StoreUnderTest(bank, lambda: _token(bank))


@asynccontextmanager
async def _behind_p11_kit_server(directory: Path, kind: KeyKind) -> AsyncIterator[StoreUnderTest]:
    async with open_bank(directory, kind=kind) as bank:
        token = PulledToken(bank.settings.token, directory)
        token.put_in()
        try:
            yield StoreUnderTest(bank.at(token.settings), lambda: _token(bank))
        finally:
            token.pull()


@asynccontextmanager
async def _opencryptoki(directory: Path, kind: KeyKind) -> AsyncIterator[StoreUnderTest]:
    with running_opencryptoki(directory.with_name("opencryptoki"), TOKEN_LABEL) as running:
        module = msgspec.structs.replace(running.module, token_label=TOKEN_LABEL)
        async with open_bank(directory, kind=kind, module=module) as bank:
            yield StoreUnderTest(bank, lambda: _token(bank))


@asynccontextmanager
async def _opensc_over_pcscd(directory: Path, kind: KeyKind) -> AsyncIterator[StoreUnderTest]:
    async with open_card_bank(directory, kind) as under:
        yield StoreUnderTest(under.bank, lambda: _token(under.bank))


@asynccontextmanager
async def _this_pc(directory: Path, kind: KeyKind) -> AsyncIterator[StoreUnderTest]:
    async with open_bank(directory, pc=True, ca_policy=f"window_days = {ALL_YEAR}\n") as bank:
        at_once = bank.with_policy(window_days=ALL_YEAR)
        moved = await at_once.with_policy(key_kinds=(kind,)).visit(
            ScriptedDesk(destination=Destination.PC, retires=True)
        )
        assert moved.completion is not None
        yield StoreUnderTest(at_once, bank.open_pc, Errand.PC_LOGIN, Destination.PC)


@asynccontextmanager
async def _token(bank: Bank) -> AsyncIterator[Token]:
    async with await bank.open_token() as token:
        yield token


STORES = (
    Store("softhsm", _softhsm),
    Store("p11-kit-server", _behind_p11_kit_server),
    Store("this-pc", _this_pc, ordinary_user=True),
    Store("opencryptoki", _opencryptoki, kinds=frozenset({KeyKind.RSA_2048}), why_not=opencryptoki.why_not),
    Store("opensc-pcscd", _opensc_over_pcscd, kinds=frozenset({KeyKind.RSA_2048}), why_not=pcscd.why_not),
)
