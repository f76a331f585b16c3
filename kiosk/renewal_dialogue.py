"""Everything that is asked for a renewal the customer wants: where to save, はい, はい, OK; and the save itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from kiosk.asking import Asking, GivenUp
from kiosk.certificates import Certificate
from kiosk.cmp.peer import Resume
from kiosk.credentials import Credential
from kiosk.desk import (
    CleaningQuestion,
    Completion,
    Desk,
    Destination,
    ImportAnnouncement,
    Preparing,
    ResumptionQuestion,
    RetirementQuestion,
    SavingProgress,
    SavingStep,
    WebAccessQuestion,
)
from kiosk.destinations import Destinations, UsbPort, open_destinations
from kiosk.enrolment_dialogue import WEB_ACCESS_QUESTIONS, Visit
from kiosk.errors import Code, KioskError
from kiosk.idle import IdleLimit
from kiosk.journal import Event, VisitRecord
from kiosk.preparation import Word, word_of_ca
from kiosk.problems import as_problems
from kiosk.reconcile import UnfinishedRenewal, renewal_in
from kiosk.removal import remove_all_of
from kiosk.renewal import Renewal
from kiosk.services import Services
from kiosk.tokens.errors import StoreFault
from kiosk.tokens.token import Token
from kiosk.tokens.wire import StoreKind

_NO_RETIREMENT = tuple(step for step in SavingStep if step is not SavingStep.RETIRE)


@dataclass(slots=True)
class RenewalDialogue:
    """Asks the desk, and drives a renewal of a credential in a store that is open."""

    desk: Desk
    token: Token
    """The store with the customer's certificate: a token, or this PC."""
    services: Services
    record: VisitRecord
    idle: IdleLimit
    visit: Visit
    port: UsbPort
    """Where a token may be put in, for a holder whose certificate is in this PC."""
    open_token: Callable[[Token], Awaitable[bool]]
    """Asks for the PIN of such a token; whether it is open then."""
    came_to_nothing: bool = field(default=False, init=False)
    """Whether the CA has proven that nothing can come any more of what an earlier visit has begun."""

    async def hold(self, old: Credential, pending: UnfinishedRenewal | None = None) -> Completion | None:
        """A renewal, or the rest of the one that is `pending`; None where the customer turned back.

        Raises:
            KioskError: something went wrong, or the CA lets nothing come of what was begun; the visit's `changed` says
                how far things had come.
        """
        renewal = Renewal(token=self.token, old=old, services=self.services, record=self.record, standing=self.visit)
        async with AsyncExitStack() as opened:
            try:
                prepared = await self._prepared(renewal, pending, opened)
            except GivenUp:
                await self._turned_back(old)
                return None
            except KioskError:
                if pending and renewal.is_dead:
                    if pending.is_certain:
                        await self._bury(renewal)
                    self.came_to_nothing = True
                raise
            if prepared is None:
                return await self._finish(renewal)
            destinations, begun = prepared
            destination = await self._agreed_destination(old, destinations, opened, begun, asked=pending is not None)
            if destination is None:
                await self._turned_back(old)
                return None
            with self.idle.suspended():
                await renewal.save_into(destinations.stores[destination])
                completion = await self._save(renewal, destination)
            await self._clean_other_stores(renewal, destinations)
            return completion

    async def agrees_to_go_on(self, pending: UnfinishedRenewal, into: Destination) -> bool:
        """Whether the customer wants the rest of what an earlier visit has begun, which lies in `into`."""
        question = ResumptionQuestion(pending.old, pending.successor is not None, into)
        agrees = await self.desk.confirm_resumption(question)
        if agrees:
            await self.record.note(Event.RESUMED, serial=pending.old.certificate.serial)
        return agrees

    async def _prepared(
        self, renewal: Renewal, pending: UnfinishedRenewal | None, opened: AsyncExitStack
    ) -> tuple[Destinations, UnfinishedRenewal | None] | None:
        """Where to save, and what was begun there; None where the CA has confirmed the successor already.

        Raises:
            GivenUp: the customer does not want to wait any longer.
            KioskError: as `Renewal.is_confirmed` and `Renewal.prepare`.
        """
        with self.idle.suspended():
            async with self.desk.preprocessing(usb=not self._at_pc) as wait:
                written = pending.successor if pending else None
                if written and await renewal.is_confirmed(written, wait):
                    return None
                await renewal.prepare(wait, resumes=pending is not None)
                destinations = await opened.enter_async_context(
                    open_destinations(self.token, renewal.old, self.services, self.record, self.port)
                )
                return destinations, pending or await self._begun_beside(renewal.old, destinations, wait)

    async def _turned_back(self, old: Credential) -> None:
        await self.record.note(Event.TURNED_BACK, serial=old.certificate.serial)

    async def _begun_beside(
        self, old: Credential, destinations: Destinations, wait: Preparing
    ) -> UnfinishedRenewal | None:
        """A renewal that has begun in this PC while its old credential is on the token, unless that has ended.

        It has, where the CA takes the new certificate; then the old one was kept on the token.

        Raises:
            GivenUp: the customer does not want to wait any longer.
            KioskError: the CA cannot be asked, or the store failed.
        """
        if len(destinations.begun) != 1:
            return None
        (where,) = destinations.begun
        store = destinations.stores[where]
        with as_problems():
            begun = renewal_in(await self.services.inventory_of(store), old)
        if begun.successor is None:
            return begun
        asking = Asking(self.services, self.record, store)
        word, _ = await word_of_ca(lambda signer: asking.general(signer, wait), store, begun.successor, self.services)
        return None if word in (Word.CONFIRMED, Word.TAKEN) else begun

    async def _bury(self, renewal: Renewal) -> None:
        """With the customer's yes, what was begun goes."""
        if await self.desk.confirm_cleaning(CleaningQuestion(self.token.kind)):
            with self.idle.suspended():
                await renewal.give_up()

    async def _agreed_destination(
        self,
        old: Credential,
        destinations: Destinations,
        opened: AsyncExitStack,
        begun: UnfinishedRenewal | None,
        *,
        asked: bool,
    ) -> Destination | None:
        """Every question before the request; each can be left without a trace.

        What an earlier visit has `begun` in one store is gone on with there; `asked` tells whether the customer has
        agreed to that. Only where it has begun in two, which takes two kiosks, it is asked in which.
        """
        if begun and len(destinations.begun) == 1:
            (where,) = destinations.begun
            return where if asked or await self.agrees_to_go_on(begun, where) else None
        destination = await self._opened_destination(destinations, opened)
        if destination is None or begun or await self._agrees(old, destination, destinations.stores[destination]):
            return destination
        return None

    async def _opened_destination(self, destinations: Destinations, opened: AsyncExitStack) -> Destination | None:
        """The destination, whose store is open: a token that was not needed before asks its PIN now."""
        while True:
            destination = await destinations.choose(self.desk, self.services)
            if destination is None or destination in destinations.stores:
                return destination
            with as_problems(), self.idle.suspended():
                token = await self.port.take(self.desk)
            if token is None:
                continue
            await opened.enter_async_context(token)
            if await self.open_token(token):
                destinations.stores[destination] = token
                return destination

    async def _agrees(self, old: Credential, destination: Destination, store: Token) -> bool:
        origin = self.services.policy.origin_in(store.kind)
        authority = self.services.anchors.authority_of(old.certificate)
        for number in range(1, WEB_ACCESS_QUESTIONS + 1):
            last = destination is Destination.PC and number == WEB_ACCESS_QUESTIONS
            question = WebAccessQuestion(number, WEB_ACCESS_QUESTIONS, authority, last, origin=origin)
            if not await self.desk.confirm_web_access(question):
                return False
        return destination is Destination.PC or await self.desk.announce_key_export(origin)

    async def _finish(self, renewal: Renewal) -> Completion:
        """The CA has confirmed the new one: only the old one is to go."""
        into = Destination.PC if self._at_pc else Destination.USB
        with self.idle.suspended():
            async with self.desk.saving((SavingStep.RETIRE,), into, usb=not self._at_pc) as progress:
                progress.begin(SavingStep.RETIRE)
                await renewal.retire_old()
                self.visit.needs_token = False
            return await self._completed(renewal, renewal.new, into)

    async def _save(self, renewal: Renewal, destination: Destination) -> Completion:
        """From here on there is only forward: no cancel, no idle limit."""
        crosses = renewal.store is not renewal.token
        steps = _NO_RETIREMENT if crosses else tuple(SavingStep)
        save = self._save_into_pc if destination is Destination.PC else self._save_into_usb
        return await self._completed(renewal, await save(renewal, steps), destination)

    async def _save_into_pc(self, renewal: Renewal, steps: tuple[SavingStep, ...]) -> Certificate:
        async with self.desk.saving(steps, Destination.PC, usb=not self._at_pc) as progress:
            new = await self._have_issued(renewal, progress)
            await self._store(renewal, progress, steps)
        return new

    async def _save_into_usb(self, renewal: Renewal, steps: tuple[SavingStep, ...]) -> Certificate:
        origin = self.services.policy.origin_in(renewal.store.kind)
        async with self.desk.saving(steps, origin=origin) as progress:
            new = await self._have_issued(renewal, progress)
        announcement = ImportAnnouncement(new, self.services.policy.self_press_seconds)
        await self.desk.announce_import(announcement)
        async with self.desk.saving(steps, origin=origin) as progress:
            await self._store(renewal, progress, steps)
        await self.desk.announce_import_complete(announcement)
        return new

    async def _have_issued(self, renewal: Renewal, progress: SavingProgress) -> Certificate:
        progress.begin(SavingStep.KEY)
        await renewal.make_key()
        progress.begin(SavingStep.REQUEST)
        return await renewal.request(progress)

    async def _store(self, renewal: Renewal, progress: SavingProgress, steps: tuple[SavingStep, ...]) -> None:
        progress.begin(SavingStep.WRITE)
        await renewal.write()
        progress.begin(SavingStep.PROVE)
        await renewal.prove()
        progress.begin(SavingStep.CONFIRM)
        await renewal.confirm(progress)
        if SavingStep.RETIRE in steps:
            progress.begin(SavingStep.RETIRE)
            await renewal.retire_old()
        else:
            await renewal.label_new()
        self.visit.needs_token = False

    async def _completed(self, renewal: Renewal, new: Certificate, destination: Destination) -> Completion:
        await self.record.note(Event.COMPLETED, serial=new.serial)
        if renewal.store is not renewal.token:
            await self._retire_if_wanted(renewal)
        return Completion(destination, new, renewal.old.certificate)

    async def _clean_other_stores(self, renewal: Renewal, destinations: Destinations) -> None:
        """With the customer's yes, what had begun in another store as well goes; nothing hangs on it.

        A CA with our promises has one successor, which it has just confirmed; of the other one's key nothing can come
        any more. A browser would go on offering its certificate, and the token would be told for unfinished.
        """
        if self.services.peer.resume is not Resume.SAME_KEY:
            return
        for where in destinations.begun:
            store = destinations.stores[where]
            if store is renewal.store:
                continue
            try:
                gone = await self._clean(store, renewal.old)
                why = "" if gone else "something of it is left"
            except StoreFault as fault:
                why = str(fault)
            if why:
                await self.record.note(Event.PROBLEM, code=Code.OLD_CREDENTIAL_NOT_REMOVED, detail=why)

    async def _clean(self, store: Token, old: Credential) -> bool:
        """Remove what has begun there, where the customer wants that; false where it was to go and some is left.

        It stays where it is not of `old` for certain: on a card with places it may be another ID's.
        """
        with self.idle.suspended():
            inventory = await self.services.inventory_of(store)
        key_id = inventory.successor_id(old)
        if key_id is None or not renewal_in(inventory, old).is_certain:
            return True
        if not await self.desk.confirm_cleaning(CleaningQuestion(store.kind)):
            return True
        await self.record.note(Event.CLEANING, detail=f"begun as well: {store.kind.value}")
        with self.idle.suspended():
            return await remove_all_of(store, key_id)

    async def _retire_if_wanted(self, renewal: Renewal) -> None:
        """The old credential lies in another store than the new one, and does not go unasked (design decision 2)."""
        old = renewal.old.certificate
        question = RetirementQuestion(old, self.services.policy.self_press_seconds, renewal.token.kind)
        if await self.desk.confirm_retirement(question):
            await renewal.retire_old()
        else:
            await self.record.note(Event.OLD_KEPT, serial=old.serial)

    @property
    def _at_pc(self) -> bool:
        """Whether the customer's certificate is in this PC."""
        return self.token.kind is StoreKind.PC
