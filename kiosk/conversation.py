"""The manual's chapter, told once: what is asked, in which order, and what follows from each answer.

It asks a desk and drives a renewal. It runs the same under screens, line by line, and under a test's script.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kiosk.certificates import Certificate, UntrustedCertificate, check_path
from kiosk.clock import days_left, renewable_from
from kiosk.credentials import Credential
from kiosk.desk import (
    Completion,
    Desk,
    Destination,
    DestinationQuestion,
    ImportAnnouncement,
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    OffReason,
    PinQuestion,
    RenewalNotice,
    SavingStep,
    Tries,
    WebAccessQuestion,
)
from kiosk.errors import Changed, Code, KioskError
from kiosk.idle import IdleLimit
from kiosk.journal import Event, VisitRecord
from kiosk.pin import Pin
from kiosk.problems import as_problems
from kiosk.renewal import Renewal
from kiosk.services import Services
from kiosk.settings import Policy
from kiosk.tokens.errors import TokenError
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.token import Token
from kiosk.tokens.wire import FailureKind, TokenFacts

WEB_ACCESS_QUESTIONS = 2
"""The manual: 「本画面は、2 度表示されますので、それぞれ はい をクリックします。」"""


@dataclass(slots=True)
class Conversation:
    """One customer's conversation with the desk; `changed` is true at every instant, also when it is cut."""

    desk: Desk
    token: Token
    services: Services
    record: VisitRecord
    idle: IdleLimit
    changed: Changed = Changed.NOTHING
    needs_token: bool = True
    """False once everything is done; the customer may take the token out while reading the rest."""

    async def hold(self) -> Completion | None:
        """From the PIN to the end: a completion, or None where the customer did without.

        Raises:
            KioskError: something went wrong; `changed` says how far things had come.
        """
        credential = await self._log_in()
        if credential is None:
            return None
        if self._is_due(credential) and await self._wants_it_now(credential):
            completion = await self._renew(credential)
            if completion:
                return completion
        while await self.desk.choose_from_menu(self._menu(credential)) is MenuChoice.RENEW:
            completion = await self._renew(credential)
            if completion:
                return completion
        return None

    async def _log_in(self) -> Credential | None:
        if not await self._open_token():
            return None
        with as_problems(), self.idle.suspended():
            credential = self._only(await self.token.inventory())
            if not await self.token.proves(credential):
                raise KioskError(Code.KEY_NOT_PROVEN)
        self.record.holder = credential.holder.id
        await self.record.note(Event.LOGGED_IN, serial=credential.certificate.serial)
        return credential

    async def _open_token(self) -> bool:
        """Ask for the PIN until the token takes it; false where the customer gives up."""
        facts, refused = self.token.facts, 0
        while True:
            _refuse_unusable_pin(facts)
            pin = await self.desk.ask_pin(self._pin_question(facts, refused > 0))
            if pin is None:
                return False
            if await self._accepted(pin):
                return True
            refused += 1
            await self.record.note(Event.PIN_REFUSED)
            if refused >= self._policy.pin_tries:
                raise KioskError(Code.PIN_REFUSED_TOO_OFTEN)
            with as_problems():
                facts = await self.token.look() or facts

    async def _accepted(self, pin: Pin) -> bool:
        with as_problems(), self.idle.suspended():
            try:
                await self.token.log_in(pin)
            except TokenError as error:
                if error.kind in (FailureKind.PIN_WRONG, FailureKind.PIN_LENGTH):
                    return False
                raise
        return True

    def _pin_question(self, facts: TokenFacts, refused: bool) -> PinQuestion:
        return PinQuestion(
            token_label=facts.label,
            refused=refused,
            tries=Tries.FEW if facts.pin_few_tries else Tries.PLENTY,
            shortest=self._policy.pin_shortest,
            longest=self._policy.pin_longest,
        )

    def _only(self, inventory: Inventory) -> Credential:
        """The credential this visit is about. What other issuers put on the token is none of our business."""
        ours = inventory.trusted(self._is_ours).current(self._now())
        if not ours:
            raise KioskError(Code.CERTIFICATE_NOT_OURS if inventory.credentials else Code.NO_CERTIFICATE)
        if len(ours) > 1:
            raise KioskError(Code.SEVERAL_IDS, f"{len(ours)} IDs")
        if self._now() > ours[0].certificate.not_after:
            raise KioskError(Code.EXPIRED)
        return ours[0]

    def _is_ours(self, certificate: Certificate) -> bool:
        """Whether it leads to the pinned CA; an expired one is ours as well."""
        anchors, now = self.services.anchors, self._now()
        at = min(now, certificate.not_after)
        try:
            check_path(certificate, roots=anchors.roots, intermediates=anchors.intermediates, at=at)
        except UntrustedCertificate:
            return False
        return True

    def _is_due(self, credential: Credential) -> bool:
        return self._days_left(credential) <= self._policy.window_days

    def _days_left(self, credential: Credential) -> int:
        return days_left(credential.certificate.not_after, self._now(), self._policy.time_zone)

    async def _wants_it_now(self, credential: Credential) -> bool:
        await self.record.note(Event.NOTICE_SHOWN, serial=credential.certificate.serial)
        notice = RenewalNotice(credential, self._days_left(credential), self._now())
        return await self.desk.show_notice(notice) is NoticeAnswer.NOW

    def _menu(self, credential: Credential) -> MainMenu:
        opens = renewable_from(credential.certificate.not_after, self._policy.window_days, self._policy.time_zone)
        return MainMenu(credential, self._days_left(credential), None if self._is_due(credential) else opens)

    async def _renew(self, credential: Credential) -> Completion | None:
        """A renewal; None where the customer turned back, with nothing changed."""
        renewal = Renewal(
            token=self.token,
            old=credential,
            services=self.services,
            record=self.record,
            standing=self,
        )
        with self.idle.suspended():
            async with self.desk.preprocessing():
                await renewal.prepare()
        if not await self._agrees(credential):
            await self.record.note(Event.TURNED_BACK, serial=credential.certificate.serial)
            return None
        with self.idle.suspended():
            return await self._save(renewal)

    async def _agrees(self, credential: Credential) -> bool:
        """Every question before the request; each can be left without a trace."""
        offers = DestinationQuestion(off={Destination.PC: OffReason.NOT_OFFERED})
        if await self.desk.choose_destination(offers) is not Destination.USB:
            return False
        for number in range(1, WEB_ACCESS_QUESTIONS + 1):
            question = WebAccessQuestion(number, WEB_ACCESS_QUESTIONS, self._authority(credential))
            if not await self.desk.confirm_web_access(question):
                return False
        return await self.desk.announce_key_export()

    async def _save(self, renewal: Renewal) -> Completion:
        """From here on there is only forward: no cancel, no idle limit."""
        async with self.desk.saving() as progress:
            progress.begin(SavingStep.KEY)
            await renewal.make_key()
            progress.begin(SavingStep.REQUEST)
            new = await renewal.request()
        announcement = ImportAnnouncement(new, self._policy.self_press_seconds)
        await self.desk.announce_import(announcement)
        async with self.desk.saving() as progress:
            progress.begin(SavingStep.WRITE)
            await renewal.write()
            progress.begin(SavingStep.PROVE)
            await renewal.prove()
            progress.begin(SavingStep.CONFIRM)
            await renewal.confirm()
            progress.begin(SavingStep.RETIRE)
            await renewal.retire_old()
            self.needs_token = False
        await self.desk.announce_import_complete(announcement)
        await self.record.note(Event.COMPLETED, serial=new.serial)
        return Completion(Destination.USB, new, replaced=renewal.old.certificate)

    def _authority(self, credential: Credential) -> str:
        return next((each.common_name for each in self.services.anchors.chain_of(credential.certificate)), "")

    @property
    def _policy(self) -> Policy:
        return self.services.policy

    def _now(self) -> datetime:
        return self.services.clock()


def _refuse_unusable_pin(facts: TokenFacts) -> None:
    """Trust the flags only as hints, but never take the customer's last try without a teller."""
    if facts.pin_locked:
        raise KioskError(Code.PIN_LOCKED)
    if not facts.pin_set or facts.pin_to_be_changed:
        raise KioskError(Code.PIN_NOT_SET)
    if facts.pin_last_try:
        raise KioskError(Code.PIN_LAST_TRY)
