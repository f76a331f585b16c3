"""The line-by-line desk: questions on standard output, answers from standard input, for scripts and screen readers."""

from __future__ import annotations

import asyncio
import getpass
import sys
import termios
import threading
import time
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TypeVar

from kiosk.certificates import Certificate
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
    Errand,
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
from kiosk.moments import day_words, days_words, left_of, until_words
from kiosk.one_time_code import LENGTH, Mistake, MistypedCode, OneTimeCode, read
from kiosk.pin import Pin
from kiosk.reminder import Reminder
from kiosk.text_keys import TextKey
from kiosk.texts import Texts
from kiosk.tokens.wire import KeyOrigin, StoreKind, TokenFacts
from kiosk.words import (
    AT_PAD,
    BEFORE_PAD,
    CLEANINGS,
    DESTINATION_NAMES,
    KEY_EXPORTS,
    RETIREMENTS,
    WHY_OFF,
    held_words,
    last_try_words,
    leave_asked,
    pad_troubles,
    pin_heading,
    pin_troubles,
    resumption_words,
    step_name,
    token_words,
    waiting_words,
)

T = TypeVar("T")


class PlainDesk:
    """Numbered choices, one line each; the PIN is typed without echo.

    `seconds_waited` is how long the customer took, so that the rest of a visit is the machine's own time.
    """

    def __init__(self, texts: Texts, show: Callable[[str], None], ask: Callable[[str], str] = input) -> None:
        """Say everything through `show`, and read a line through `ask`."""
        self._texts = texts
        self._show = show
        self._ask = ask
        self.seconds_waited = 0.0
        self._into = Destination.USB
        self._origin = KeyOrigin.INSIDE

    @property
    def last_touched(self) -> float:
        """Always now: whoever answers line by line is not hurried."""
        return time.monotonic()

    async def choose_token(self, question: TokenQuestion) -> TokenFacts | None:
        """Offer the tokens by label, and the way back."""
        self._show(self._texts("choose-token.heading"))
        offered = [(token_words(each, question.tokens, self._texts), each) for each in question.tokens]
        return await self._choose_line([*offered, (self._texts("back"), None)])

    async def choose_id(self, question: IdQuestion) -> Credential | None:
        """Offer the IDs, and the way back."""
        self._show(self._texts("choose-id.heading"))
        offered = [(held_words(each, self._texts), each.credential) for each in question.ids]
        return await self._choose_line([*offered, (self._texts("back"), None)])

    async def ask_pin(self, question: PinQuestion) -> Pin | None:
        """Read the PIN without echo; an empty line gives up. What cannot be a PIN costs no try."""
        heading = self._texts(pin_heading(question))
        for trouble in pin_troubles(question):
            self._show(self._texts(trouble))
        while True:
            typed = await self._answer(lambda: getpass.getpass(f"{heading}: "))
            if not typed:
                return None
            password = question.store is StoreKind.PC
            meant = typed if password else unicodedata.normalize("NFKC", typed)  # full-width digits of a keyboard
            if meant.isascii() and meant.isprintable() and question.shortest <= len(meant) <= question.longest:
                return Pin(bytearray(meant, "ascii"))
            lengths = {"shortest": question.shortest, "longest": question.longest}
            body: TextKey = "password.body" if password else "pin.body"
            self._show(self._texts(body, label=question.token_label, **lengths))

    async def ask_pad(self, question: PadQuestion) -> bool:
        """Say it, and wait until the customer is ready; nobody is waited for where there is no way back."""
        heading, body = BEFORE_PAD[question.purpose]
        required: list[TextKey] = ["pin.required"] if question.required else []
        for key in (heading, *required, body, *pad_troubles(question)):
            self._show(self._texts(key, label=question.token_label))
        return await self._choose({"pad.begin": True, "cancel": False}) if question.way_back else True

    @asynccontextmanager
    async def at_pad(self, question: PadQuestion) -> AsyncIterator[None]:
        """Ask for it; the reader is answered."""
        for key in AT_PAD[question.purpose]:
            self._show(self._texts(key, label=question.token_label))
        yield

    async def confirm_last_try(self, question: LastTryQuestion) -> LastTryAnswer:
        """Warn and ask; the end of the input is a no."""
        for key in last_try_words(question):
            self._show(self._texts(key, label=question.token_label))
        offered: dict[TextKey, LastTryAnswer] = {"last-try.yes": LastTryAnswer.YES, "last-try.no": LastTryAnswer.NO}
        if question.called:
            self._show(self._texts("call.coming"))
            return await self._choose(offered)
        return await self._choose({"call.button": LastTryAnswer.CALL, **offered})

    async def choose_enrolment_id(self, question: EnrolmentIdQuestion) -> HeldId | AnotherId | None:
        """Offer the IDs, another one, and the way back."""
        self._show(self._texts("enrol-choose-id.heading"))
        offered: list[tuple[str, HeldId | AnotherId | None]] = [
            (held_words(each, self._texts), each) for each in question.ids
        ]
        another = (self._texts("enrol-choose-id.another"), AnotherId.WANTED)
        return await self._choose_line([*offered, another, (self._texts("back"), None)])

    async def ask_enrolment_id(self, question: TypedIdQuestion) -> str | None:
        """Read the ID; an empty line gives up."""
        shape = question.shape
        self._show(self._texts("enrol-id.heading"))
        while True:
            typed = await self._answer(lambda: self._ask("> "))
            if not typed:
                return None
            wanted = unicodedata.normalize("NFKC", typed).strip().upper()
            for holder_id in (wanted, shape.prefix + wanted):
                if shape.matches(holder_id):
                    return holder_id
            self._show(self._texts("enrol-id.body", letters=shape.letters, digits=shape.digits))

    async def ask_code(self, question: CodeQuestion) -> OneTimeCode | None:
        """Read the code without echo; an empty line gives up. What cannot be a code costs no try."""
        if question.refused:
            self._show(self._texts("enrol-code.refused"))
        self._show(self._texts("enrol-code.unfinished" if question.unfinished else "enrol-code.body", digits=LENGTH))
        self._show(f"  {self._texts('fact.holder')}  {question.holder_id}")
        while True:
            typed = await self._answer(lambda: getpass.getpass(f"{self._texts('enrol-code.heading')}: "))
            if not typed:
                return None
            try:
                return read(typed)
            except MistypedCode as error:
                wrong = error.mistake is Mistake.CHECK_DIGIT
                trouble: TextKey = "enrol-code.mistyped" if wrong else "enrol-code.incomplete"
                self._show(self._texts(trouble, digits=LENGTH))

    async def show_notice(self, notice: RenewalNotice) -> NoticeAnswer:
        """Offer now or later."""
        self._show(self._texts("notice.heading"))
        self._show_certificate(notice.credential.certificate)
        left = left_of(notice.credential.certificate.not_after, notice.now, notice.days_left)
        self._show(f"  {left.words(self._texts) if left else self._texts('days.over')}")
        return await self._choose({"notice.now": NoticeAnswer.NOW, "notice.later": NoticeAnswer.LATER})

    async def confirm_resumption(self, question: ResumptionQuestion) -> bool:
        """Say how far it has come, and ask; the end of the input says no."""
        self._show(self._texts("resumption.heading"))
        self._show(resumption_words(question, self._texts))
        self._show(self._texts("resumption.not-again"))
        self._show(self._texts("key-export.no-return"))
        return await self._choose({"yes": True, "no": False})

    async def confirm_cleaning(self, question: CleaningQuestion) -> bool:
        """Ask; the end of the input leaves it there."""
        self._show(self._texts("cleaning.heading"))
        self._show(self._texts(CLEANINGS[question.store]))
        return await self._choose({"cleaning.remove": True, "cleaning.leave": False})

    async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
        """Offer what the menu has; renewal only where it is due."""
        self._show(self._texts("menu.heading"))
        self._show_certificate(menu.credential.certificate)
        offered: dict[TextKey, MenuChoice] = {
            "menu.renew": MenuChoice.RENEW,
            "menu.details": MenuChoice.DETAILS,
            "menu.change-pin": MenuChoice.CHANGE_PIN,
            "menu.leave": MenuChoice.LEAVE,
        }
        if menu.renewable_from:
            del offered["menu.renew"]
        if not menu.changes_pin:
            del offered["menu.change-pin"]
        return await self._choose(offered)

    async def show_details(self, details: CertificateDetails) -> None:
        """Say everything of the certificate."""
        self._show(self._texts("details.heading"))
        self._show_certificate(details.credential.certificate)
        self._show(f"  {self._texts('fact.issuer')}  {details.authority}")
        self._show(f"  {self._texts('fact.days-left')}  {days_words(details.days_left, self._texts)}")

    async def announce_pin_changed(self, seconds: int) -> None:  # noqa: ARG002
        """Say so; nobody is waited for."""
        self._show(self._texts("pin-changed.heading"))

    @asynccontextmanager
    async def preprocessing(self, *, usb: bool = True) -> AsyncIterator[Preparing]:  # noqa: ARG002
        """Say that it is going on."""
        self._show(self._texts("preprocessing.heading"))
        yield self

    def pauses(self, waiting: Waiting | None) -> None:
        """Say that there is a pause."""
        if waiting:
            for line in waiting_words(waiting, waiting.seconds, self._texts):
                self._show(line)

    async def given_up(self) -> None:
        """Never: a line that is typed while nothing is asked answers the next question."""
        await asyncio.Event().wait()

    async def choose_destination(self, question: DestinationQuestion) -> Destination | Help | None:
        """Offer the destinations that can be chosen, and the way back."""
        self._show(self._texts("renewal-start.heading"))
        offered: dict[TextKey, Destination | Help | None] = {
            "renewal-start.usb": Destination.USB,
            "renewal-start.pc": Destination.PC,
        }
        possible = {key: place for key, place in offered.items() if place not in question.off}
        for place, why in question.off.items():
            self._show(f"  {self._texts(DESTINATION_NAMES[place])}: {self._texts(WHY_OFF[why])}")
        return await self._choose({**possible, "renewal-start.help": Help.WANTED, "back": None})

    async def show_help(self, page: HelpPage) -> None:
        """Say its address."""
        self._show(self._texts("help.heading"))
        self._show(f"  {page.address}")

    async def confirm_web_access(self, question: WebAccessQuestion) -> bool:
        """Ask yes or no."""
        self._show(f"{self._texts('web-access.heading')} {question.number}/{question.of}")
        self._show(self._texts(leave_asked(question), authority=question.authority))
        if question.last:
            self._show(self._texts("key-export.no-return"))
        return await self._choose({"yes": True, "no": False})

    async def announce_key_export(self, origin: KeyOrigin = KeyOrigin.INSIDE) -> bool:
        """Announce it; the last way back."""
        self._show(self._texts("key-export.heading"))
        self._show(self._texts(KEY_EXPORTS[origin]))
        return await self._choose({"ok": True, "cancel": False})

    @asynccontextmanager
    async def saving(
        self,
        steps: Sequence[SavingStep] = tuple(SavingStep),  # noqa: ARG002 - each is told as it begins
        into: Destination = Destination.USB,
        *,
        usb: bool = True,  # noqa: ARG002
        origin: KeyOrigin = KeyOrigin.INSIDE,
    ) -> AsyncIterator[SavingProgress]:
        """Say each step as it begins."""
        self._into, self._origin = into, origin
        yield self

    def begin(self, step: SavingStep) -> None:
        """A step of the save begins."""
        self._show(f"… {self._texts(step_name(step, self._into, self._origin))}")

    async def announce_import(self, announcement: ImportAnnouncement) -> None:
        """Say what is about to be written; nobody is waited for."""
        self._show(self._texts("certificate-import.heading"))
        self._show_certificate(announcement.certificate)

    async def announce_import_complete(self, announcement: ImportAnnouncement) -> None:  # noqa: ARG002
        """Say that it is written; the completion tells the rest."""
        self._show(self._texts("import-complete.heading"))

    async def confirm_retirement(self, question: RetirementQuestion) -> bool:
        """Ask; the end of the input keeps it."""
        for key in RETIREMENTS[question.store]:
            self._show(self._texts(key))
        self._show_certificate(question.certificate)
        return await self._choose({"retirement.remove": True, "retirement.keep": False})

    async def show_completion(self, completion: Completion) -> CompletionAnswer:
        """Show the new certificate, and the day to keep; nobody is waited for."""
        enrolled = completion.errand is Errand.ENROLMENT
        if completion.destination is Destination.PC:
            self._show(self._texts("completion-pc.heading"))
            for line in self._texts("completion-pc.body").split("\n"):
                self._show(line)
            self._show(self._texts("completion-pc.only-here"))
            self._show(self._texts("completion-pc.end-browser"))
        else:
            self._show(self._texts("completion-usb.heading-enrolment" if enrolled else "completion-usb.heading"))
        self._show_certificate(completion.certificate)
        if completion.reminder:
            await self.show_reminder(completion.reminder)
        if completion.others:
            self._show(self._texts("completion.others"))
        for each in completion.others:
            self._show(f"  {held_words(each, self._texts)}")

        return CompletionAnswer.CLOSE

    async def show_reminder(self, reminder: Reminder) -> None:
        """Say the day."""
        self._show(f"{self._texts('completion.next')}  {day_words(reminder.day, self._texts)}")

    async def show_problem(self, problem: Problem, *, called: bool = False, may_enrol: bool = False) -> ProblemAnswer:
        """Say what happened, what changed, and what to do; offer to call somebody, and 電子証明書取得 as the way on."""
        if called:
            self._show(self._texts("call.coming"))
        else:
            self._tell(problem)
        if called and not may_enrol:
            return ProblemAnswer.READ
        offered: dict[TextKey, ProblemAnswer] = {"ok": ProblemAnswer.READ}
        if not called:
            offered = {"call.button": ProblemAnswer.CALL, **offered}
        if may_enrol:
            offered = {"enrol.heading": ProblemAnswer.ENROL, **offered}
        return await self._choose(offered)

    def _tell(self, problem: Problem) -> None:
        self._show(f"{problem.code}: {self._texts.of_problem(problem, 'happened')}")
        self._show(self._texts.of_change(problem.changed))
        self._show(self._texts.of_problem(problem, "customer"))

    async def ask_still_there(self, seconds: int) -> bool:  # noqa: ARG002 - whoever answers line by line is there
        """Always true."""
        return True

    async def ask_take_out(self, *, removable: bool) -> None:
        """Ask for it; nothing waits."""
        if removable:
            self._show(self._texts("take-out.heading"))

    async def show_forgotten(self) -> None:
        """Say it; nothing waits."""
        self._show(self._texts("forgotten.heading"))

    def ring(self) -> None:
        """The terminal's own bell."""
        self._show("\a")

    def _show_certificate(self, certificate: Certificate) -> None:
        for line in certificate.subject:
            self._show(f"  {line.name} = {line.value}")
        self._show(f"  {self._texts('completion.serial', serial=certificate.serial)}")
        self._show(f"  {until_words(certificate.not_after, self._texts)}")

    async def _choose(self, offered: Mapping[TextKey, T]) -> T:
        return await self._choose_line([(self._texts(key), answer) for key, answer in offered.items()])

    async def _choose_line(self, offered: Sequence[tuple[str, T]]) -> T:
        answers = [answer for _, answer in offered]
        for number, (line, _) in enumerate(offered, start=1):
            self._show(f"  {number}. {line}")
        while True:
            typed = await self._answer(lambda: self._ask("> "))
            if typed is None:
                return answers[-1]  # nobody is there: the last choice always leads out
            numbers = [str(number) for number, _ in enumerate(answers, start=1)]
            if typed.strip() in numbers:
                return answers[numbers.index(typed.strip())]

    async def _answer(self, ask: Callable[[], str]) -> str | None:
        """What was typed, nothing where that was no text; None at the end of the input."""
        begun = time.monotonic()
        try:
            return await _in_thread(ask)
        except EOFError:
            return None
        except UnicodeDecodeError:
            return ""
        finally:
            self.seconds_waited += time.monotonic() - begun


class YesDesk(PlainDesk):
    """Answers everything by itself the default way: renew now, into the USB unless told otherwise, yes."""

    def __init__(
        self,
        texts: Texts,
        show: Callable[[str], None],
        pin: Callable[[], Pin],
        wanted: Destination = Destination.USB,
        code: OneTimeCode | None = None,
    ) -> None:
        """Give the PIN that `pin` makes, and save into `wanted`; a `code` opens the way of 電子証明書取得."""
        super().__init__(texts, show)
        self._pin = pin
        self._wanted = wanted
        self._code = code
        self._gives_up = False
        """Whether what is wanted cannot be had."""

    async def ask_pin(self, question: PinQuestion) -> Pin | None:
        """The PIN it was given; None for a new one, and once it was refused: a refused PIN is not sent again."""
        known = question.purpose is PinPurpose.LOG_IN and question.store is StoreKind.USB
        return None if question.refused or question.unfit or not known else self._pin()

    async def ask_pad(self, question: PadQuestion) -> bool:
        """Once; whoever has cancelled or mistyped at the reader is not asked again."""
        await super().ask_pad(question)
        return question.trouble is None or not question.way_back

    async def confirm_last_try(self, question: LastTryQuestion) -> LastTryAnswer:  # noqa: ARG002
        """Nobody is there who could agree."""
        return LastTryAnswer.NO

    async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
        """Renew where that is due, leave where it is not, or cannot be done as wanted."""
        await super().choose_from_menu(menu)
        return MenuChoice.LEAVE if menu.renewable_from or self._gives_up else MenuChoice.RENEW

    async def choose_destination(self, question: DestinationQuestion) -> Destination | Help | None:
        """What is wanted; nothing where that is off, and why has been said."""
        await super().choose_destination(question)
        self._gives_up = self._wanted in question.off
        return None if self._gives_up else self._wanted

    async def confirm_cleaning(self, question: CleaningQuestion) -> bool:  # noqa: ARG002
        """Nothing is removed for somebody who was not asked."""
        return False

    async def confirm_retirement(self, question: RetirementQuestion) -> bool:  # noqa: ARG002
        """Nothing is removed for somebody who was not asked."""
        return False

    async def show_problem(
        self,
        problem: Problem,
        *,
        called: bool = False,  # noqa: ARG002
        may_enrol: bool = False,
    ) -> ProblemAnswer:
        """Say it, and call nobody; a code that is at hand is the way on."""
        self._tell(problem)
        return ProblemAnswer.ENROL if may_enrol and self._code else ProblemAnswer.READ

    async def ask_code(self, question: CodeQuestion) -> OneTimeCode | None:  # noqa: ARG002
        """The code it was given, once: a refused code is not sent again."""
        code, self._code = self._code, None
        return code

    async def _choose_line(self, offered: Sequence[tuple[str, T]]) -> T:
        return offered[0][1]


async def _in_thread(ask: Callable[[], str]) -> str:
    """Wait for `ask` in a thread that does not keep the program alive: nothing else can end a blocking read."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(answer.set_result, ask())
        except (EOFError, OSError, UnicodeDecodeError) as error:
            settle = partial(answer.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended; nobody waits any more
            loop.call_soon_threadsafe(lambda: None if answer.done() else settle())

    threading.Thread(target=run, name="answer", daemon=True).start()
    return await answer


@contextmanager
def echo_kept() -> Iterator[None]:
    """Leave the terminal as it was, also where a PIN was being typed when the program ended."""
    if not sys.stdin.isatty():
        yield
        return
    modes = termios.tcgetattr(sys.stdin.fileno())
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, modes)
