"""Where a renewal can be saved: which stores there are, and why those that cannot be chosen are off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kiosk.credentials import Credential
from kiosk.desk import Desk, Destination, DestinationQuestion, Help, HelpPage, OffReason
from kiosk.journal import Event, VisitRecord
from kiosk.problems import as_problems
from kiosk.services import Services
from kiosk.tokens.errors import StoreFault
from kiosk.tokens.pc import PcFault, PcUnusable
from kiosk.tokens.token import Token


@dataclass(frozen=True, slots=True)
class Destinations:
    """The stores that are open, and which destinations cannot be chosen."""

    stores: Mapping[Destination, Token]
    off: Mapping[Destination, OffReason]


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
    token: Token, old: Credential, services: Services, record: VisitRecord
) -> AsyncIterator[Destinations]:
    """Every store in which `old`, on `token`, can have its successor; this PC's is closed with the block.

    A renewal that has begun in one store is finished there, because a certificate has one confirmed successor.

    Raises:
        KioskError: the token failed.
    """
    pc = await _open_pc(services, record)
    if isinstance(pc, OffReason):
        yield Destinations({Destination.USB: token}, {Destination.PC: pc})
        return
    async with pc:
        off: dict[Destination, OffReason] = {}
        with as_problems():
            on_usb = (await token.inventory()).has_successor_key(old)
        on_pc = await _has_begun(pc, old, record)
        if on_pc is None:
            off[Destination.PC] = OffReason.UNUSABLE
        if on_pc and not on_usb:
            off[Destination.USB] = OffReason.BEGUN_ON_PC
        if on_usb and on_pc is False:
            off[Destination.PC] = OffReason.BEGUN_ON_USB
        yield Destinations({Destination.USB: token, Destination.PC: pc}, off)


async def _has_begun(pc: Token, old: Credential, record: VisitRecord) -> bool | None:
    """Whether the renewal has begun on this PC; None where the database fails: the USB has to work all the same."""
    try:
        return (await pc.inventory()).has_successor_key(old)
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
