"""A desk that answers by script and remembers what it was asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kiosk.credentials import Credential
from kiosk.desk import (
    AnotherId,
    CertificateDetails,
    CleaningQuestion,
    CodeQuestion,
    Completion,
    CompletionAnswer,
    Destination,
    DestinationQuestion,
    EnrolmentIdQuestion,
    HeldId,
    Help,
    HelpPage,
    IdQuestion,
    ImportAnnouncement,
    LastTryAnswer,
    LastTryQuestion,
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    PadQuestion,
    PinPurpose,
    PinQuestion,
    Preparing,
    ProblemAnswer,
    RenewalNotice,
    ResumptionQuestion,
    RetirementQuestion,
    SavingProgress,
    SavingStep,
    TokenQuestion,
    TypedIdQuestion,
    Waiting,
    WebAccessQuestion,
)
from kiosk.errors import Problem
from kiosk.one_time_code import OneTimeCode, read
from kiosk.pin import Pin
from kiosk.reminder import Reminder
from kiosk.tokens.wire import KeyOrigin, StoreKind, TokenFacts


@dataclass
class ScriptedDesk:
    """Takes the default way unless told otherwise; `asked` is what a customer would have seen, in order."""

    pins: list[str | None] = field(default_factory=lambda: ["123456"])
    passwords: list[str | None] = field(default_factory=list)
    """Of this PC's certificate database; None gives up."""
    last_tries: list[LastTryAnswer] = field(default_factory=list)
    """What is answered to the warning of a last try; no where nothing is left."""
    pads: list[bool] = field(default_factory=list)
    """Whether it is begun to type at the reader, time after time; yes where nothing is left."""
    token: str | None = ""
    """The label of the token that is meant; None gives up."""
    holder: str | None = ""
    """The ID that is meant; None gives up."""
    enrols: bool = False
    """Whether 電子証明書取得 is taken where a problem screen offers it."""
    enrolment_ids: list[str | None] = field(default_factory=lambda: [""])
    """The IDs that are chosen or typed for it, one after another; None turns back."""
    codes: list[str | None] = field(default_factory=list)
    """The codes that are typed; None turns back."""
    notice: NoticeAnswer = NoticeAnswer.NOW
    resumes: bool = True
    """Whether a renewal that was cut is gone on with."""
    cleans: bool = True
    """Whether what nobody can use any more may go."""
    menu: list[MenuChoice] = field(default_factory=lambda: [MenuChoice.LEAVE])
    help: list[Help] = field(default_factory=list)
    keep: list[CompletionAnswer] = field(default_factory=list)
    calls: bool = False
    destination: Destination | None = Destination.USB
    web_access: list[bool] = field(default_factory=lambda: [True, True])
    key_export: bool = True
    retires: bool = False
    """Whether the old credential may go from the USB after a renewal into this PC."""
    at_step: Callable[[SavingStep], None] = lambda _: None
    pauses_seen: list[Waiting] = field(default_factory=list)
    """The pauses before the CA was asked again."""
    is_pausing: bool = False
    """Whether the last that was told is that nobody is asked now."""
    at_pause: Callable[[Waiting], None] = lambda _: None
    gives_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where the customer presses 中止."""
    leaves_at: str = ""
    """A question at which the customer walks away without an answer."""
    asked: list[str] = field(default_factory=list)
    seen: list[object] = field(default_factory=list)
    completion: Completion | None = None
    problem: Problem | None = None
    still_there: bool = False
    bears_faults: bool = False
    """Whether what is behind K-99 is only to be told; otherwise `Bank.visit` raises it."""
    rings: int = 0
    steps: tuple[SavingStep, ...] = ()
    """The steps that the last save announced."""

    @property
    def last_touched(self) -> float:
        return 0.0 if self.leaves_at else time.monotonic()

    async def _see(self, name: str, question: object = None) -> None:
        self.asked.append(name)
        self.seen.append(question)
        if name == self.leaves_at:
            await asyncio.Event().wait()

    async def choose_token(self, question: TokenQuestion) -> TokenFacts | None:
        await self._see("token", question)
        return next((each for each in question.tokens if each.label == self.token), None)

    async def ask_pin(self, question: PinQuestion) -> Pin | None:
        await self._see("pin" if question.purpose is PinPurpose.LOG_IN else f"pin-{question.purpose.value}", question)
        typed = (self.pins if question.store is StoreKind.USB else self.passwords).pop(0)
        return None if typed is None else Pin(bytearray(typed, "ascii"))

    async def ask_pad(self, question: PadQuestion) -> bool:
        await self._see(f"pad-{question.purpose.value}", question)
        return self.pads.pop(0) if self.pads else True

    @asynccontextmanager
    async def at_pad(self, question: PadQuestion) -> AsyncIterator[None]:
        await self._see(f"at-pad-{question.purpose.value}", question)
        yield

    async def confirm_last_try(self, question: LastTryQuestion) -> LastTryAnswer:
        await self._see("last-try", question)
        return self.last_tries.pop(0) if self.last_tries else LastTryAnswer.NO

    async def choose_id(self, question: IdQuestion) -> Credential | None:
        await self._see("id", question)
        return next((each.credential for each in question.ids if each.credential.holder.id == self.holder), None)

    async def choose_enrolment_id(self, question: EnrolmentIdQuestion) -> HeldId | AnotherId | None:
        await self._see("enrolment-id", question)
        if self.enrolment_ids[0] is None:
            return None
        known = (each for each in question.ids if each.credential.holder.id == self.enrolment_ids[0])
        return next(known, AnotherId.WANTED)

    async def ask_enrolment_id(self, question: TypedIdQuestion) -> str | None:
        await self._see("enrolment-id-typed", question)
        return self.enrolment_ids.pop(0)

    async def ask_code(self, question: CodeQuestion) -> OneTimeCode | None:
        await self._see("code", question)
        typed = self.codes.pop(0)
        return None if typed is None else read(typed)

    async def show_notice(self, notice: RenewalNotice) -> NoticeAnswer:
        await self._see("notice", notice)
        return self.notice

    async def confirm_resumption(self, question: ResumptionQuestion) -> bool:
        await self._see("resumption", question)
        return self.resumes

    async def confirm_cleaning(self, question: CleaningQuestion) -> bool:
        await self._see("cleaning", question)
        return self.cleans

    async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
        await self._see("menu", menu)
        return self.menu.pop(0) if self.menu else MenuChoice.LEAVE

    async def show_details(self, details: CertificateDetails) -> None:
        await self._see("details", details)

    async def announce_pin_changed(self, seconds: int) -> None:
        await self._see("pin-changed", seconds)

    @asynccontextmanager
    async def preprocessing(self, *, usb: bool = True) -> AsyncIterator[Preparing]:
        await self._see("preprocessing", usb)
        yield self

    def pauses(self, waiting: Waiting | None) -> None:
        self.is_pausing = waiting is not None
        if waiting:
            self.pauses_seen.append(waiting)
            self.at_pause(waiting)

    async def given_up(self) -> None:
        await self.gives_up.wait()

    async def choose_destination(self, question: DestinationQuestion) -> Destination | Help | None:
        await self._see("destination", question)
        return self.help.pop() if self.help else self.destination

    async def show_help(self, page: HelpPage) -> None:
        await self._see("help", page)

    async def confirm_web_access(self, question: WebAccessQuestion) -> bool:
        await self._see(f"web-access {question.number}/{question.of}", question)
        return self.web_access[question.number - 1]

    async def announce_key_export(self, origin: KeyOrigin = KeyOrigin.INSIDE) -> bool:
        await self._see("key-export", origin)
        return self.key_export

    @asynccontextmanager
    async def saving(
        self,
        steps: Sequence[SavingStep] = tuple(SavingStep),
        into: Destination = Destination.USB,  # noqa: ARG002
        *,
        usb: bool = True,  # noqa: ARG002
        origin: KeyOrigin = KeyOrigin.INSIDE,  # noqa: ARG002
    ) -> AsyncIterator[SavingProgress]:
        self.steps = tuple(steps)
        yield self

    def begin(self, step: SavingStep) -> None:
        assert step in self.steps
        self.asked.append(step.value)
        self.seen.append(step)
        self.at_step(step)

    async def announce_import(self, announcement: ImportAnnouncement) -> None:
        await self._see("import", announcement)

    async def announce_import_complete(self, announcement: ImportAnnouncement) -> None:
        await self._see("import-complete", announcement)

    async def confirm_retirement(self, question: RetirementQuestion) -> bool:
        await self._see("retirement", question)
        return self.retires

    async def show_completion(self, completion: Completion) -> CompletionAnswer:
        self.completion = completion
        await self._see("completion", completion)
        return self.keep.pop() if self.keep else CompletionAnswer.CLOSE

    async def show_reminder(self, reminder: Reminder) -> None:
        await self._see("reminder", reminder)

    async def show_problem(self, problem: Problem, *, called: bool = False, may_enrol: bool = False) -> ProblemAnswer:
        self.problem = problem
        await self._see("problem-called" if called else "problem", problem)
        if may_enrol and self.enrols:
            self.enrols = False
            return ProblemAnswer.ENROL
        return ProblemAnswer.CALL if self.calls and not called else ProblemAnswer.READ

    async def ask_still_there(self, seconds: int) -> bool:
        await self._see("idle", seconds)
        return self.still_there

    async def ask_take_out(self, *, removable: bool) -> None:
        await self._see("take-out", removable)

    async def show_forgotten(self) -> None:
        await self._see("forgotten")

    def ring(self) -> None:
        self.rings += 1
