"""Where a renewal can be saved: which stores there are, and why those that cannot be chosen are off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from kiosk.credentials import Credential
from kiosk.desk import Desk, Destination, DestinationQuestion, Help, HelpPage, OffReason
from kiosk.journal import Event, VisitRecord
from kiosk.problems import as_problems
from kiosk.services import Services
from kiosk.tokens.errors import StoreFault
from kiosk.tokens.pc import PcFault, PcUnusable
from kiosk.tokens.token import Token
from kiosk.tokens.wire import StoreKind
from kiosk.waiting import first_of


class UsbPort(Protocol):
    """The slots, as a holder sees them whose certificate is in this PC."""

    async def why_not(self) -> OffReason | None:
        """Why nothing can be saved on a token now; None where one is in."""

    async def changed(self) -> None:
        """Wait until tokens have come or gone."""

    async def take(self, desk: Desk) -> Token | None:
        """The token that is in, not opened yet, or the one that is meant; None where it is none.

        Raises:
            KioskError: none is in any more, several cannot be told apart, or the module cannot be used.
        """


class _OthersNow(Enum):
    """Tokens have come or gone, so that it is another question."""

    OTHERS_NOW = "others-now"


@dataclass(slots=True)
class Destinations:
    """Where the successor can be saved: which stores are open, and what stands against the others."""

    stores: dict[Destination, Token]
    off: dict[Destination, OffReason]
    port: UsbPort | None = None
    """Where a token may come or go while the question is open: the old credential is not on one."""
    begun: frozenset[Destination] = frozenset()
    """Where an earlier visit has made the successor's key, as far as can be seen."""

    async def choose(self, desk: Desk, services: Services) -> Destination | None:
        """Ask where to save, as often as something else is offered meanwhile; None where the customer turns back."""
        while True:
            chosen = await first_of(choose_destination(desk, self.off, services), self._until_others())
            if not isinstance(chosen, _OthersNow):
                return chosen
            await self.look()

    async def _until_others(self) -> _OthersNow:
        if self.port is None:
            await asyncio.Event().wait()
        else:
            await self.port.changed()
        return _OthersNow.OTHERS_NOW

    async def look(self) -> None:
        """See what the slots offer now."""
        if self.port is None or self.off.get(Destination.USB) is OffReason.BEGUN_ON_PC:
            return
        self.off.pop(Destination.USB, None)
        why = await self.port.why_not()
        if why:
            self.off[Destination.USB] = why


async def choose_destination(
    desk: Desk, off: Mapping[Destination, OffReason], services: Services
) -> Destination | None:
    """Ask where to save, and show the help page as often as it is wanted; None where the customer turns back."""
    while True:
        chosen = await desk.choose_destination(DestinationQuestion(dict(off)))
        if not isinstance(chosen, Help):
            return chosen
        await desk.show_help(HelpPage(services.help_page))


@asynccontextmanager
async def open_destinations(
    store: Token, old: Credential, services: Services, record: VisitRecord, port: UsbPort
) -> AsyncIterator[Destinations]:
    """Every store in which `old`, in `store`, can have its successor; what is opened here is closed with the block.

    A renewal that has begun in one store is finished there, because a certificate has one confirmed successor. What has
    begun on a token cannot be known before its PIN was given.

    Raises:
        KioskError: the store failed.
    """
    if store.kind is StoreKind.PC:
        with as_problems():
            begun = (await services.inventory_of(store)).has_successor_key(old)
        off = {Destination.USB: OffReason.BEGUN_ON_PC} if begun else {}
        destinations = Destinations({Destination.PC: store}, off, port, _those(pc=begun))
        await destinations.look()
        yield destinations
        return
    async with _beside_usb(store, old, services, record) as found:
        yield found


@asynccontextmanager
async def _beside_usb(
    token: Token, old: Credential, services: Services, record: VisitRecord
) -> AsyncIterator[Destinations]:
    with as_problems():
        on_usb = (await services.inventory_of(token)).has_successor_key(old)
    pc = await _open_pc(services, record)
    if isinstance(pc, OffReason):
        yield Destinations({Destination.USB: token}, {Destination.PC: pc}, begun=_those(usb=on_usb))
        return
    async with pc:
        off: dict[Destination, OffReason] = {}
        on_pc = await _has_begun(pc, old, services, record)
        if on_pc is None:
            off[Destination.PC] = OffReason.UNUSABLE
        if on_pc and not on_usb:
            off[Destination.USB] = OffReason.BEGUN_ON_PC
        if on_usb and on_pc is False:
            off[Destination.PC] = OffReason.BEGUN_ON_USB
        begun = _those(usb=on_usb, pc=on_pc is True)
        yield Destinations({Destination.USB: token, Destination.PC: pc}, off, begun=begun)


def _those(*, usb: bool = False, pc: bool = False) -> frozenset[Destination]:
    told = {Destination.USB: usb, Destination.PC: pc}
    return frozenset(each for each, begun in told.items() if begun)


async def _has_begun(pc: Token, old: Credential, services: Services, record: VisitRecord) -> bool | None:
    """Whether the renewal has begun on this PC; None where the database fails: the USB has to work all the same."""
    try:
        return (await services.inventory_of(pc)).has_successor_key(old)
    except StoreFault as fault:
        await record.note(Event.PC_UNUSABLE, detail=f"{PcFault.UNUSABLE.value}: {fault}")
        return None


async def _open_pc(services: Services, record: VisitRecord) -> Token | OffReason:
    if services.pc is None:
        return OffReason.NOT_OFFERED
    try:
        return await services.pc.open(services.policy.holder_rule)
    except PcUnusable as reason:
        await record.note(Event.PC_UNUSABLE, detail=str(reason))
        return OffReason(reason.fault.value)
