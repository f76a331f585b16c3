"""The manual's chapter, told once: what is asked, in which order, and what follows from each answer.

It asks a desk and drives a renewal. It runs the same under screens, line by line, and under a test's script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kiosk.asking import GivenUp
from kiosk.certificates import Certificate
from kiosk.clock import days_left, renewable_from
from kiosk.cmp.errors import CmpError
from kiosk.credentials import Credential
from kiosk.desk import (
    CertificateDetails,
    CleaningQuestion,
    Completion,
    Desk,
    Destination,
    Errand,
    HeldId,
    IdQuestion,
    ImportAnnouncement,
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    ProblemAnswer,
    RenewalNotice,
    ResumptionQuestion,
    RetirementQuestion,
    SavingProgress,
    SavingStep,
    WebAccessQuestion,
)
from kiosk.destinations import Destinations, UsbPort, open_destinations
from kiosk.enrolment_dialogue import WEB_ACCESS_QUESTIONS, EnrolmentDialogue
from kiosk.errors import Changed, Code, KioskError, Problem
from kiosk.idle import IdleLimit
from kiosk.journal import Event, VisitRecord
from kiosk.pin_dialogue import PinDialogue
from kiosk.preparation import Word, word_of_ca
from kiosk.problems import as_problems
from kiosk.reconcile import (
    UnfinishedElsewhere,
    UnfinishedEnrolment,
    UnfinishedRenewal,
    left_over,
    renewal_in,
    what_is_pending,
)
from kiosk.reminder import Reminder
from kiosk.removal import remove_parts
from kiosk.renewal import Renewal
from kiosk.services import Services
from kiosk.settings import Policy
from kiosk.tokens.errors import StoreFault
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.token import Token
from kiosk.tokens.wire import StoreKind

_LONGEST_UNCONFIRMED = timedelta(days=31)
"""For so long at most a CA waits for a confirmation, as far as the kiosk goes; then it has revoked the certificate."""
_NO_RETIREMENT = tuple(step for step in SavingStep if step is not SavingStep.RETIRE)


@dataclass(slots=True)
class Conversation:
    """One customer's conversation with the desk; `changed` is true at every instant, also when it is cut."""

    desk: Desk
    token: Token
    """The store with the customer's certificate: a token, or this PC."""
    services: Services
    record: VisitRecord
    idle: IdleLimit
    call_staff: Callable[[str], None]
    """Told a problem's code where the customer wants somebody to come."""
    port: UsbPort
    """Where a token may be put in, for a holder whose certificate is in this PC."""
    errand: Errand = Errand.RENEWAL
    changed: Changed = Changed.NOTHING
    needs_token: bool = True
    """False once everything is done; the customer may take the token out while reading the rest."""
    explained: bool = False
    """Whether the customer has read already what `hold` raises."""
    _pins: PinDialogue = field(init=False)
    _others: tuple[Credential, ...] = field(default=(), init=False)
    """The credentials of the token's other IDs, which this visit does not touch."""
    _unfinished: frozenset[str] = field(default=frozenset(), init=False)
    """The IDs of which an earlier visit has left something unfinished."""
    _enrolments: EnrolmentDialogue = field(init=False)

    def __post_init__(self) -> None:
        self._enrolments = EnrolmentDialogue(self.desk, self.token, self.services, self.record, self.idle, self)
        self._pins = self._pin_dialogue(self.token)

    def _pin_dialogue(self, token: Token) -> PinDialogue:
        return PinDialogue(self.desk, token, self._policy, self.record, self.idle, self.call_staff)

    async def hold(self) -> Completion | None:
        """From the PIN to the end: a completion, or None where the customer did without.

        Raises:
            KioskError: something went wrong; `changed` says how far things had come.
        """
        if not await self._pins.open_token():
            return None
        with as_problems(), self.idle.suspended():
            inventory = await self.token.inventory()
        ours = inventory.trusted(self._is_ours)
        current = self._current(ours)
        self._unfinished = frozenset(each.holder.id for each in current if what_is_pending(ours, each))
        if self.errand is Errand.ENROLMENT:
            self._others = current
            return self._rounded_off(await self._enrolments.hold([self._held(each) for each in current]))
        if not current:
            if self._at_pc:  # whose other certificates are of no concern here
                raise KioskError(Code.PC_NO_CERTIFICATE)
            if inventory.credentials:
                raise KioskError(Code.CERTIFICATE_NOT_OURS)
            return await self._enrol_instead(Code.NO_CERTIFICATE)
        credential = await self._the_one_meant(current)
        if credential is None:
            return None
        match what_is_pending(ours, credential):
            case UnfinishedEnrolment():
                completion = await self._enrolments.hold((), credential.holder.id)
                before = self._in_date(ours.of_holder(credential.holder.id))
                return self._rounded_off(completion) if completion or not before else await self._serve(before, ours)
            case UnfinishedRenewal() as pending:
                return await self._go_on(pending, credential)
            case UnfinishedElsewhere() if not (
                self._has_ended(credential) or await self._is_customers_by_now(credential)
            ):
                return await self._enrol_instead(Code.UNFINISHED_ELSEWHERE, credential.holder.id)
            case None if self._may_be_unfinished_on_pc(credential):
                if not await self._is_customers_by_now(credential):
                    raise KioskError(Code.UNFINISHED_ELSEWHERE)
        return await self._serve(credential, ours)

    async def _serve(self, credential: Credential, ours: Inventory) -> Completion | None:
        """What there is to do for whoever has nothing unfinished.

        Raises:
            KioskError: K-20, the certificate is in this PC and has expired.
        """
        if self._has_ended(credential):
            return await self._tell_of_the_end(credential)
        await self._prove(credential)
        await self._clean_up(ours)
        if self._is_due(credential) and await self._wants_it_now(credential):
            completion = await self._renew(credential)
            if completion:
                return completion
        return await self._choose_and_do(credential)

    async def _go_on(self, pending: UnfinishedRenewal, credential: Credential) -> Completion | None:
        """What an earlier visit has begun, with one question; who does not want that now has the main menu.

        The earlier visit has asked everything: the key is there because of はい 1/2, 2/2 and OK, and where it is the
        new certificate is saved.
        """
        await self._prove(credential)
        into = Destination.PC if self._at_pc else Destination.USB
        if await self._wants_to_go_on(pending, into):
            completion = await self._renew(pending.old, pending)
            if completion:
                return completion
        if self._has_ended(credential):
            return await self._tell_of_the_end(credential)
        return await self._choose_and_do(credential, pending)

    async def _wants_to_go_on(self, pending: UnfinishedRenewal, into: Destination) -> bool:
        question = ResumptionQuestion(pending.old, pending.successor is not None, into)
        wants = await self.desk.confirm_resumption(question)
        if wants:
            await self.record.note(Event.RESUMED, serial=pending.old.certificate.serial)
        return wants

    def _may_be_unfinished_on_pc(self, credential: Credential) -> bool:
        """Whether only the CA can tell that the renewal which has brought this one has ended.

        In a certificate database no label says so, and the predecessor is on a USB.
        """
        return self._at_pc and self._now() - credential.certificate.not_before < _LONGEST_UNCONFIRMED

    async def _is_customers_by_now(self, successor: Credential) -> bool:
        """Whether the CA has confirmed a successor whose predecessor is elsewhere; also where it cannot be asked.

        The store tells only that nobody has noted it here; nothing is said that is not known.

        Raises:
            KioskError: the store failed, or the CA has revoked a certificate of this PC.
        """
        with self.idle.suspended():
            try:
                # At a PC everybody is asked after in the first weeks, so nothing is shown of it.
                async with nullcontext() if self._at_pc else self.desk.preprocessing():
                    word, _ = await word_of_ca(
                        self.services.ca.general, self.token, successor, self.services, self.services.peer
                    )
            except KioskError as error:
                if not isinstance(error.__cause__, CmpError):
                    raise
                await self.record.note(Event.PROBLEM, code=error.problem.code, detail=error.problem.detail)
                return True
            if word is Word.REVOKED and self._at_pc:  # by somebody, or because nobody confirmed it
                raise KioskError(Code.CERTIFICATE_NOT_ACCEPTED, "revoked")
            if word is Word.CONFIRMED and not self._at_pc:
                with as_problems():
                    await self.token.relabel(successor.key_id, successor.certificate.common_name)
        return word in (Word.CONFIRMED, Word.TAKEN, Word.NOTHING)

    async def _clean_up(self, ours: Inventory) -> None:
        """With the customer's yes, what earlier visits have left and nobody can use goes. Nothing hangs on it."""
        keeps = self._policy.expired_credential == "keep"
        parts = left_over(ours, self._now(), keeps_expired=keeps)
        if not parts or not await self.desk.confirm_cleaning(CleaningQuestion(self.token.kind)):
            return
        counted = Counter(each.kind.value for each in parts)
        await self.record.note(
            Event.CLEANING, detail=", ".join(f"{number} {kind}" for kind, number in sorted(counted.items()))
        )
        with self.idle.suspended():
            try:
                await remove_parts(self.token, parts)
            except StoreFault as fault:
                await self.record.note(Event.PROBLEM, code=Code.OLD_CREDENTIAL_NOT_REMOVED, detail=str(fault))

    def _has_ended(self, credential: Credential) -> bool:
        return self._now() > credential.certificate.not_after

    async def _tell_of_the_end(self, credential: Credential) -> Completion | None:
        if self._at_pc:
            raise KioskError(Code.PC_CERTIFICATE_EXPIRED)
        return await self._enrol_instead(Code.EXPIRED, credential.holder.id)

    async def _choose_and_do(
        self, credential: Credential, pending: UnfinishedRenewal | None = None
    ) -> Completion | None:
        """The main menu, until a renewal is complete or the customer leaves.

        Who comes by 証明書更新 to what is `pending` has said yes by that, and is not asked once more.
        """
        while True:
            match await self.desk.choose_from_menu(self._menu(credential, unfinished=pending is not None)):
                case MenuChoice.RENEW:
                    completion = await self._renew(pending.old if pending else credential, pending)
                    if completion:
                        return completion
                case MenuChoice.DETAILS:
                    await self.desk.show_details(self._details(credential))
                case MenuChoice.CHANGE_PIN:
                    await self._pins.change()
                case MenuChoice.LEAVE:
                    return None

    async def _enrol_instead(self, code: Code, holder_id: str | None = None) -> Completion | None:
        """Explain why there is nothing to renew, with 電子証明書取得 as the way on.

        Raises:
            KioskError: `code`, where the customer does not go that way.
        """
        called = False
        while True:
            match await self.desk.show_problem(Problem(code), called=called, may_enrol=True):
                case ProblemAnswer.ENROL:
                    completion = await self._enrolments.hold((), holder_id)
                    if completion:
                        return self._rounded_off(completion)
                case ProblemAnswer.CALL:
                    self.call_staff(code)
                    called = True
                case ProblemAnswer.READ:
                    self.explained = True
                    raise KioskError(code)

    def _rounded_off(self, completion: Completion | None) -> Completion | None:
        """What `completion` says besides: who else has to renew, and when this one can be renewed in its turn."""
        if completion is None:
            return None
        new = completion.certificate
        holder_id = self._policy.holder_rule.holder_of(new).id
        due = (each for each in self._others if each.holder.id != holder_id and self._is_due(each))
        others = tuple(self._held(each) for each in due)
        return replace(completion, others=others, reminder=self._reminder(new, holder_id))

    async def _prove(self, credential: Credential) -> None:
        with as_problems(), self.idle.suspended():
            if not await self.token.proves(credential):
                raise KioskError(Code.KEY_NOT_PROVEN)
        self.record.holder = credential.holder.id
        await self.record.note(Event.LOGGED_IN, serial=credential.certificate.serial)

    async def _the_one_meant(self, ours: tuple[Credential, ...]) -> Credential | None:
        """The credential this visit is about; None where the customer wants none of them."""
        chosen: Credential | None = ours[0]
        if len(ours) > 1:
            chosen = await self.desk.choose_id(IdQuestion(tuple(self._held(each) for each in ours)))
        self._others = tuple(each for each in ours if each != chosen)
        return chosen

    def _current(self, ours: Inventory) -> tuple[Credential, ...]:
        """One credential for each ID, the soonest end first."""
        current = ours.current(self._now())
        return tuple(sorted(current, key=lambda each: (each.certificate.not_after, each.holder.id)))

    def _in_date(self, finished: tuple[Credential, ...]) -> Credential | None:
        """The newest of an ID's credentials, if it still is good for logging in."""
        newest = finished[-1] if finished else None
        return newest if newest and newest.certificate.not_after >= self._now() else None

    def _is_ours(self, certificate: Certificate) -> bool:
        """Whether it leads to the pinned CA; an expired one is ours as well."""
        return self.services.anchors.has_issued(certificate, self._now())

    def _held(self, credential: Credential) -> HeldId:
        return HeldId(credential, self._days_left(credential), credential.holder.id in self._unfinished)

    def _is_due(self, credential: Credential) -> bool:
        return self._days_left(credential) <= self._policy.window_days

    def _days_left(self, credential: Credential) -> int:
        return days_left(credential.certificate.not_after, self._now(), self._policy.time_zone)

    async def _wants_it_now(self, credential: Credential) -> bool:
        await self.record.note(Event.NOTICE_SHOWN, serial=credential.certificate.serial)
        notice = RenewalNotice(credential, self._days_left(credential), self._now())
        return await self.desk.show_notice(notice) is NoticeAnswer.NOW

    def _menu(self, credential: Credential, *, unfinished: bool = False) -> MainMenu:
        opens = renewable_from(credential.certificate.not_after, self._policy.window_days, self._policy.time_zone)
        renewable = None if unfinished or self._is_due(credential) else opens
        days_left = self._days_left(credential)
        return MainMenu(credential, days_left, renewable, changes_pin=not self._at_pc, unfinished=unfinished)

    def _details(self, credential: Credential) -> CertificateDetails:
        return CertificateDetails(credential, self._days_left(credential), self._authority(credential))

    async def _renew(self, old: Credential, pending: UnfinishedRenewal | None = None) -> Completion | None:
        """A renewal, or the rest of the one that is `pending`; None where the customer turned back.

        Raises:
            KioskError: something went wrong, or the CA lets nothing come of what was begun.
        """
        renewal = Renewal(token=self.token, old=old, services=self.services, record=self.record, standing=self)
        async with AsyncExitStack() as opened:
            try:
                with self.idle.suspended():
                    async with self.desk.preprocessing(usb=not self._at_pc) as wait:
                        written = pending.successor if pending else None
                        if written and await renewal.is_confirmed(written, wait):
                            destinations = None
                        else:
                            await renewal.prepare(wait, resumes=pending is not None)
                            destinations = await opened.enter_async_context(
                                open_destinations(self.token, old, self.services, self.record, self.port)
                            )
                            begun = pending or await self._begun_beside(old, destinations)
            except GivenUp:
                await self.record.note(Event.TURNED_BACK, serial=old.certificate.serial)
                return None
            except KioskError:
                if not (pending and renewal.is_dead):
                    raise
                if pending.is_certain:
                    await self._bury(renewal)
                if self._has_ended(old):
                    return await self._tell_of_the_end(old)
                raise
            if destinations is None:
                with self.idle.suspended():
                    return await self._finish(renewal)
            destination = await self._agreed_destination(old, destinations, opened, begun, asked=pending is not None)
            if destination is None:
                await self.record.note(Event.TURNED_BACK, serial=old.certificate.serial)
                return None
            with self.idle.suspended():
                await renewal.save_into(destinations.stores[destination])
                return await self._save(renewal, destination)

    async def _begun_beside(self, old: Credential, destinations: Destinations) -> UnfinishedRenewal | None:
        """A renewal that has begun in this PC while its old credential is on the token, unless that has ended.

        It has, where the CA takes the new certificate; then the old one was kept on the token.
        """
        if len(destinations.begun) != 1:
            return None
        (where,) = destinations.begun
        store = destinations.stores[where]
        with as_problems():
            begun = renewal_in(await store.inventory(), old)
        if begun.successor is None:
            return begun
        word, _ = await word_of_ca(self.services.ca.general, store, begun.successor, self.services, self.services.peer)
        return None if word in (Word.CONFIRMED, Word.TAKEN) else begun

    async def _bury(self, renewal: Renewal) -> None:
        """The CA lets nothing come any more of what was begun; with the customer's yes it goes."""
        if await self.desk.confirm_cleaning(CleaningQuestion(self.token.kind)):
            with self.idle.suspended():
                await renewal.give_up()

    async def _finish(self, renewal: Renewal) -> Completion:
        """The CA has confirmed the new one: only the old one is to go."""
        into = Destination.PC if self._at_pc else Destination.USB
        async with self.desk.saving((SavingStep.RETIRE,), into, usb=not self._at_pc) as progress:
            progress.begin(SavingStep.RETIRE)
            await renewal.retire_old()
            self.needs_token = False
        return await self._completed(renewal, renewal.new, into)

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
            if await self._pin_dialogue(token).open_token():
                destinations.stores[destination] = token
                return destination

    async def _agreed_destination(
        self,
        credential: Credential,
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
            return where if asked or await self._wants_to_go_on(begun, where) else None
        destination = await self._opened_destination(destinations, opened)
        if destination is None or begun:
            return destination
        origin = self._policy.origin_in(destinations.stores[destination].kind)
        for number in range(1, WEB_ACCESS_QUESTIONS + 1):
            last = destination is Destination.PC and number == WEB_ACCESS_QUESTIONS
            authority = self._authority(credential)
            question = WebAccessQuestion(number, WEB_ACCESS_QUESTIONS, authority, last, origin=origin)
            if not await self.desk.confirm_web_access(question):
                return None
        if destination is Destination.USB and not await self.desk.announce_key_export(origin):
            return None
        return destination

    async def _save(self, renewal: Renewal, destination: Destination) -> Completion:
        """From here on there is only forward: no cancel, no idle limit."""
        crosses = renewal.store is not renewal.token
        steps = _NO_RETIREMENT if crosses else tuple(SavingStep)
        if destination is Destination.PC:
            new = await self._save_into_pc(renewal, steps)
        else:
            new = await self._save_into_usb(renewal, steps)
        return await self._completed(renewal, new, destination)

    async def _completed(self, renewal: Renewal, new: Certificate, destination: Destination) -> Completion:
        await self.record.note(Event.COMPLETED, serial=new.serial)
        if renewal.store is not renewal.token:
            await self._retire_if_wanted(renewal)
        others = tuple(self._held(each) for each in self._others if self._is_due(each))
        reminder = self._reminder(new, renewal.old.holder.id)
        return Completion(destination, new, renewal.old.certificate, others, reminder)

    async def _save_into_pc(self, renewal: Renewal, steps: tuple[SavingStep, ...]) -> Certificate:
        async with self.desk.saving(steps, Destination.PC, usb=not self._at_pc) as progress:
            new = await self._have_issued(renewal, progress)
            await self._store(renewal, progress, steps)
        return new

    async def _save_into_usb(self, renewal: Renewal, steps: tuple[SavingStep, ...]) -> Certificate:
        async with self.desk.saving(steps, origin=self._policy.origin_in(renewal.store.kind)) as progress:
            new = await self._have_issued(renewal, progress)
        announcement = ImportAnnouncement(new, self._policy.self_press_seconds)
        await self.desk.announce_import(announcement)
        async with self.desk.saving(steps, origin=self._policy.origin_in(renewal.store.kind)) as progress:
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
        self.needs_token = False

    async def _retire_if_wanted(self, renewal: Renewal) -> None:
        """The old credential lies in another store than the new one, and does not go unasked (design decision 2)."""
        old = renewal.old.certificate
        question = RetirementQuestion(old, self._policy.self_press_seconds, renewal.token.kind)
        if await self.desk.confirm_retirement(question):
            await renewal.retire_old()
        else:
            await self.record.note(Event.OLD_KEPT, serial=old.serial)

    def _reminder(self, new: Certificate, holder_id: str) -> Reminder:
        opens = renewable_from(new.not_after, self._policy.window_days, self._policy.time_zone)
        return Reminder(opens.date(), holder_id, new.fingerprint, self._now())

    def _authority(self, credential: Credential) -> str:
        return next((each.common_name for each in self.services.anchors.chain_of(credential.certificate)), "")

    @property
    def _at_pc(self) -> bool:
        """Whether the customer's certificate is in this PC."""
        return self.token.kind is StoreKind.PC

    @property
    def _policy(self) -> Policy:
        return self.services.policy

    def _now(self) -> datetime:
        return self.services.clock()
