"""Everything that is asked for 電子証明書取得: which ID, which code, and then what a renewal asks too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kiosk.asking import GivenUp
from kiosk.certificates import Certificate
from kiosk.desk import (
    CodeQuestion,
    Completion,
    Desk,
    Destination,
    EnrolmentIdQuestion,
    Errand,
    HeldId,
    ImportAnnouncement,
    OffReason,
    SavingStep,
    TypedIdQuestion,
    WebAccessQuestion,
)
from kiosk.destinations import choose_destination
from kiosk.enrolment import Enrolment
from kiosk.errors import Code, KioskError, Standing
from kiosk.idle import IdleLimit
from kiosk.journal import Event, VisitRecord
from kiosk.one_time_code import OneTimeCode
from kiosk.problems import as_problems
from kiosk.services import Services
from kiosk.tokens.token import Token
from kiosk.tokens.wire import KeyOrigin

WEB_ACCESS_QUESTIONS = 2
"""The manual: 「本画面は、2 度表示されますので、それぞれ はい をクリックします。」"""


class Visit(Standing, Protocol):
    """What this dialogue tells the visit."""

    needs_token: bool


@dataclass(slots=True)
class EnrolmentDialogue:
    """Asks the desk, and drives an enrolment on a token that is open."""

    desk: Desk
    token: Token
    services: Services
    record: VisitRecord
    idle: IdleLimit
    visit: Visit

    async def hold(self, on_token: Sequence[HeldId], holder_id: str | None = None) -> Completion | None:
        """電子証明書取得 to its end; None where the customer turned back, with nothing changed.

        Args:
            on_token: The IDs of which the token has something.
            holder_id: For which ID, where that is known; otherwise it is asked.

        Raises:
            KioskError: something went wrong; the visit's `changed` says how far things had come.
        """
        while True:
            wanted = holder_id or await self._which_id(on_token)
            if wanted is None:
                return None
            await self.record.note(Event.ENROLMENT_WANTED, detail=wanted)
            try:
                completion = await self._finished(wanted)
            except GivenUp:
                await self.record.note(Event.TURNED_BACK)
                return None
            if completion is not None:
                return completion
            begun = await self._is_begun(wanted)
            enrolment = await self._prepared(wanted, unfinished=begun)
            if enrolment is not None:
                return await self._ask_and_save(enrolment, agreed=begun)
            if holder_id:
                return None

    async def _finished(self, holder_id: str) -> Completion | None:
        """The end of one of which only the CA's acknowledgement was lost; None where there is none.

        Raises:
            GivenUp: the customer does not want to wait for the CA's word.

        Looked for before any code is asked for: the code is used up then, and a new one would cost a good certificate.
        """
        with self.idle.suspended():
            with as_problems():
                begun = (await self.services.inventory_of(self.token)).unfinished_enrolment(holder_id)
            if begun is None:
                return None
            async with self.desk.preprocessing() as wait:
                retired = await self._enrolment(holder_id).finish_confirmed(begun, wait)
        return None if retired is None else await self._completed(begun.certificate, retired)

    async def _which_id(self, on_token: Sequence[HeldId]) -> str | None:
        """The ID that the customer means; None where he turns back."""
        while on_token:
            chosen = await self.desk.choose_enrolment_id(EnrolmentIdQuestion(tuple(on_token)))
            if chosen is None:
                return None
            if isinstance(chosen, HeldId):
                return chosen.credential.holder.id
            typed = await self.desk.ask_enrolment_id(TypedIdQuestion(self.services.policy.id_shape))
            if typed is not None:
                return typed
        return await self.desk.ask_enrolment_id(TypedIdQuestion(self.services.policy.id_shape))

    async def _prepared(self, holder_id: str, *, unfinished: bool) -> Enrolment | None:
        """An enrolment whose code the CA has taken; None where the customer gives up. A refused code is not sent again.

        Raises:
            KioskError: the CA takes none of several codes, or something else went wrong.
        """
        question = CodeQuestion(holder_id, unfinished=unfinished)
        refused: list[OneTimeCode] = []
        while True:
            code = await self.desk.ask_code(question)
            if code is None:
                return None
            enrolment = self._enrolment(holder_id)
            if code not in refused:
                try:
                    with self.idle.suspended():
                        async with self.desk.preprocessing() as wait:
                            await enrolment.prepare(code, wait)
                except GivenUp:
                    await self.record.note(Event.TURNED_BACK)
                    return None
                except KioskError as error:
                    if error.problem.code is not Code.CODE_NOT_ACCEPTED:
                        raise
                    await self.record.note(Event.CODE_REFUSED, detail=error.problem.detail)
                    refused.append(code)
                    if len(refused) >= self.services.policy.code_tries:
                        raise
                else:
                    return enrolment
            question = CodeQuestion(holder_id, refused=True, unfinished=question.unfinished)

    async def _is_begun(self, holder_id: str) -> bool:
        with as_problems(), self.idle.suspended():
            inventory = await self.services.inventory_of(self.token)
        key_id = inventory.enrolment_key_id(holder_id)
        return key_id is not None and inventory.has_key(key_id)

    async def _ask_and_save(self, enrolment: Enrolment, *, agreed: bool) -> Completion | None:
        """What an earlier visit has asked is not asked again: the same code says that it is to be gone on with."""
        if not (agreed or await self._agrees(enrolment.authority)):
            await self.record.note(Event.TURNED_BACK)
            return None
        with self.idle.suspended():
            return await self._save(enrolment)

    async def _agrees(self, authority: str) -> bool:
        """Every question before the request; each can be left without a trace."""
        off = {Destination.PC: OffReason.NOT_OFFERED}
        if await choose_destination(self.desk, off, self.services) is not Destination.USB:
            return False
        for number in range(1, WEB_ACCESS_QUESTIONS + 1):
            question = WebAccessQuestion(
                number, WEB_ACCESS_QUESTIONS, authority, errand=Errand.ENROLMENT, origin=self._origin
            )
            if not await self.desk.confirm_web_access(question):
                return False
        return await self.desk.announce_key_export(self._origin)

    async def _save(self, enrolment: Enrolment) -> Completion:
        """From here on there is only forward: no cancel, no idle limit."""
        async with self.desk.saving(enrolment.steps, origin=self._origin) as progress:
            progress.begin(SavingStep.KEY)
            await enrolment.make_key()
            progress.begin(SavingStep.REQUEST)
            new = await enrolment.request(progress)
        announcement = ImportAnnouncement(new, self.services.policy.self_press_seconds)
        await self.desk.announce_import(announcement)
        async with self.desk.saving(enrolment.steps, origin=self._origin) as progress:
            progress.begin(SavingStep.WRITE)
            await enrolment.write()
            progress.begin(SavingStep.PROVE)
            await enrolment.prove()
            progress.begin(SavingStep.CONFIRM)
            await enrolment.confirm(progress)
            if SavingStep.RETIRE in enrolment.steps:
                progress.begin(SavingStep.RETIRE)
            retired = await enrolment.tidy_up()
            self.visit.needs_token = False
        await self.desk.announce_import_complete(announcement)
        return await self._completed(new, retired)

    async def _completed(self, new: Certificate, retired: tuple[Certificate, ...]) -> Completion:
        self.visit.needs_token = False
        await self.record.note(Event.COMPLETED, serial=new.serial)
        replaced = retired[-1] if retired else None
        return Completion(Destination.USB, new, replaced, errand=Errand.ENROLMENT)

    @property
    def _origin(self) -> KeyOrigin:
        return self.services.policy.origin_in(self.token.kind)

    def _enrolment(self, holder_id: str) -> Enrolment:
        return Enrolment(self.token, holder_id, self.services, self.record, self.visit)
