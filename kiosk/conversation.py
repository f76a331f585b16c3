"""The manual's chapter, told once: what is asked, in which order, and what follows from each answer.

It finds out who has come and what for; how that is done is told by `RenewalDialogue` and `EnrolmentDialogue`. It runs
the same under screens, line by line, and under a test's script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

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
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    ProblemAnswer,
    RenewalNotice,
)
from kiosk.destinations import UsbPort
from kiosk.enrolment_dialogue import EnrolmentDialogue
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
    what_is_pending,
)
from kiosk.reminder import Reminder
from kiosk.removal import remove_debris
from kiosk.renewal_dialogue import RenewalDialogue
from kiosk.services import Services
from kiosk.settings import Policy
from kiosk.tokens.errors import StoreFault
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.token import Token
from kiosk.tokens.wire import StoreKind

_LONGEST_UNCONFIRMED = timedelta(days=31)
"""For so long at most a CA waits for a confirmation, as far as the kiosk goes; then it has revoked the certificate."""


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
    _renewals: RenewalDialogue = field(init=False)
    _enrolments: EnrolmentDialogue = field(init=False)

    def __post_init__(self) -> None:
        common = (self.desk, self.token, self.services, self.record, self.idle, self)
        self._renewals = RenewalDialogue(*common, self.port, self._open_other)
        self._enrolments = EnrolmentDialogue(*common)
        self._pins = self._pin_dialogue(self.token)

    async def _open_other(self, token: Token) -> bool:
        return await self._pin_dialogue(token).open_token()

    def _pin_dialogue(self, token: Token) -> PinDialogue:
        return PinDialogue(self.desk, token, self._policy, self.record, self.idle, self.call_staff, self._may_turn_back)

    def _may_turn_back(self) -> bool:
        return self.changed is Changed.NOTHING

    async def hold(self) -> Completion | None:
        """From the PIN to the end: a completion, or None where the customer did without.

        Raises:
            KioskError: something went wrong; `changed` says how far things had come.
        """
        if not await self._pins.open_token():
            return None
        with as_problems(), self.idle.suspended():
            inventory = await self.token.inventory()
        ours = self.services.anchors.ours_in(inventory, self._now())
        begun = self.services.anchors.ours_or_begun_in(inventory, self._now())
        current = self._current(ours)
        self._unfinished = frozenset(each.holder.id for each in current if what_is_pending(begun, each))
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
        match what_is_pending(begun, credential):
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
        if await self._renewals.agrees_to_go_on(pending, into):
            completion = await self._renew(pending.old, pending)
            if completion:
                return completion
        if self._has_ended(credential):
            return await self._tell_of_the_end(credential)
        return await self._choose_and_do(credential, pending)

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
                    word, _ = await word_of_ca(self.services.ca.general, self.token, successor, self.services)
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
                await remove_debris(self.token, parts)
            except StoreFault as fault:
                await self.record.note(Event.PROBLEM, code=Code.OLD_CREDENTIAL_NOT_REMOVED, detail=str(fault))

    async def _renew(self, old: Credential, pending: UnfinishedRenewal | None = None) -> Completion | None:
        """A renewal, or the rest of the one that is `pending`; None where the customer turned back.

        Raises:
            KioskError: something went wrong, or the CA lets nothing come of what was begun.
        """
        try:
            return self._rounded_off(await self._renewals.hold(old, pending))
        except KioskError:
            if not (self._renewals.came_to_nothing and self._has_ended(old)):
                raise
        return await self._tell_of_the_end(old)

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
        authority = self.services.anchors.authority_of(credential.certificate)
        return CertificateDetails(credential, self._days_left(credential), authority)

    def _reminder(self, new: Certificate, holder_id: str) -> Reminder:
        opens = renewable_from(new.not_after, self._policy.window_days, self._policy.time_zone)
        return Reminder(opens.date(), holder_id, new.fingerprint, self._now())

    @property
    def _at_pc(self) -> bool:
        """Whether the customer's certificate is in this PC."""
        return self.token.kind is StoreKind.PC

    @property
    def _policy(self) -> Policy:
        return self.services.policy

    def _now(self) -> datetime:
        return self.services.clock()
