"""The desk on screens: each question is a screen, pushed, answered and taken away again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from textual.app import App
from textual.await_complete import AwaitComplete

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
    WebAccessQuestion,
)
from kiosk.errors import Problem
from kiosk.one_time_code import OneTimeCode
from kiosk.pin import Pin
from kiosk.reminder import Reminder
from kiosk.tokens.wire import KeyOrigin, StoreKind, TokenFacts
from screens.certificate_details import CertificateDetailsScreen
from screens.certificate_import import CertificateImportScreen
from screens.choose_id import ChooseIdScreen
from screens.choose_token import ChooseTokenScreen
from screens.cleaning import CleaningScreen
from screens.completion_pc import CompletionPcScreen
from screens.completion_usb import CompletionUsbScreen
from screens.enrol_choose_id import EnrolChooseIdScreen
from screens.enrol_code import EnrolCodeScreen
from screens.enrol_id import EnrolIdScreen
from screens.forgotten import ForgottenScreen
from screens.frame import Frame, Question
from screens.help_page import HelpPageScreen
from screens.idle_warning import IdleWarningScreen
from screens.import_complete import ImportCompleteScreen
from screens.key_export import KeyExportScreen
from screens.last_try import LastTryScreen
from screens.lobby import Lobby
from screens.main_menu import MainMenuScreen
from screens.pad import AtPadScreen, PadScreen
from screens.password import PasswordScreen
from screens.pin import PinScreen
from screens.pin_changed import PinChangedScreen
from screens.preprocessing import PreprocessingScreen
from screens.problem import ProblemScreen
from screens.reminder import ReminderScreen
from screens.renewal_notice import RenewalNoticeScreen
from screens.renewal_start import RenewalStartScreen
from screens.resumption import ResumptionScreen
from screens.retirement import RetirementScreen
from screens.saving import SavingScreen
from screens.take_out import TakeOutScreen
from screens.web_access import WebAccessScreen

_LINGER_SECONDS = 0.3
_ON_THE_GROUND = 2
"""Screens on the stack where a question lies directly on what is between questions."""

Answer = TypeVar("Answer")
Shown = TypeVar("Shown", bound=Frame)


class ScreenDesk:
    """Keeps `kiosk.desk.Desk` over Textual, in a mode of its own.

    A question is awaited directly, not by `push_screen_wait`: that shields it, and a cancelled question would stay on
    the stack and answer. A question that ends below another one goes as soon as the one above does.
    """

    def __init__(self, app: App[None], lobby: Lobby, mode: str, last_touched: Callable[[], float]) -> None:
        """Show everything in `mode` of `app`, which has to be the current one."""
        self._app = app
        self._lobby = lobby
        self._mode = mode
        self._last_touched = last_touched
        self._over: set[Frame] = set()
        self._lingering: asyncio.TimerHandle | None = None

    @property
    def last_touched(self) -> float:
        """`time.monotonic()` of the customer's last key or touch."""
        return self._last_touched()

    async def choose_token(self, question: TokenQuestion) -> TokenFacts | None:
        """Ask which of several tokens is meant."""
        return await self._ask(ChooseTokenScreen(self._lobby, question))

    async def ask_pin(self, question: PinQuestion) -> Pin | None:
        """Ask for the PIN or the password."""
        password = question.store is StoreKind.PC
        return await self._ask((PasswordScreen if password else PinScreen)(self._lobby, question))

    async def ask_pad(self, question: PadQuestion) -> bool:
        """Say that the PIN is typed at the reader, before the reader begins to wait for it."""
        return await self._ask(PadScreen(self._lobby, question))

    @asynccontextmanager
    async def at_pad(self, question: PadQuestion) -> AsyncIterator[None]:
        """Ask to type at the reader now, while the block runs."""
        async with self._shown(AtPadScreen(self._lobby, question)):
            yield

    async def confirm_last_try(self, question: LastTryQuestion) -> LastTryAnswer:
        """Warn of the last try, and ask for an explicit yes."""
        return await self._ask(LastTryScreen(self._lobby, question))

    async def choose_id(self, question: IdQuestion) -> Credential | None:
        """Ask whose credential is meant."""
        chosen = await self._ask(ChooseIdScreen(self._lobby, question))
        return chosen.credential if chosen else None

    async def choose_enrolment_id(self, question: EnrolmentIdQuestion) -> HeldId | AnotherId | None:
        """Ask which ID 電子証明書取得 is for."""
        return await self._ask(EnrolChooseIdScreen(self._lobby, question))

    async def ask_enrolment_id(self, question: TypedIdQuestion) -> str | None:
        """Ask for the ID."""
        return await self._ask(EnrolIdScreen(self._lobby, question))

    async def ask_code(self, question: CodeQuestion) -> OneTimeCode | None:
        """Ask for the one-time code."""
        return await self._ask(EnrolCodeScreen(self._lobby, question))

    async def show_notice(self, notice: RenewalNotice) -> NoticeAnswer:
        """Show 電子証明書更新通知."""
        return await self._ask(RenewalNoticeScreen(self._lobby, notice))

    async def confirm_resumption(self, question: ResumptionQuestion) -> bool:
        """Ask whether to go on with a renewal that was cut."""
        return await self._ask(ResumptionScreen(self._lobby, question))

    async def confirm_cleaning(self, question: CleaningQuestion) -> bool:
        """Ask whether what nobody can use any more may go."""
        return await self._ask(CleaningScreen(self._lobby, question))

    async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
        """Show the main menu."""
        return await self._ask(MainMenuScreen(self._lobby, menu))

    async def show_details(self, details: CertificateDetails) -> None:
        """Show 証明書情報."""
        await self._ask(CertificateDetailsScreen(self._lobby, details))

    async def announce_pin_changed(self, seconds: int) -> None:
        """Say that the new PIN holds."""
        await self._ask(PinChangedScreen(self._lobby, seconds))

    @asynccontextmanager
    async def preprocessing(self, *, usb: bool = True) -> AsyncIterator[Preparing]:
        """Show 電子証明書更新前処理中 while the block runs."""
        async with self._shown(PreprocessingScreen(self._lobby, usb=usb)) as screen:
            yield screen

    async def choose_destination(self, question: DestinationQuestion) -> Destination | Help | None:
        """Show 電子証明書更新開始."""
        return await self._ask(RenewalStartScreen(self._lobby, question))

    async def show_help(self, page: HelpPage) -> None:
        """Show where the bank tells about tokens and their software."""
        await self._ask(HelpPageScreen(self._lobby, page))

    async def confirm_web_access(self, question: WebAccessQuestion) -> bool:
        """Ask Webアクセスの確認."""
        return await self._ask(WebAccessScreen(self._lobby, question))

    async def announce_key_export(self, origin: KeyOrigin = KeyOrigin.INSIDE) -> bool:
        """Show 秘密交換キーをエクスポートします."""
        return await self._ask(KeyExportScreen(self._lobby, origin))

    def saving(
        self,
        steps: Sequence[SavingStep] = tuple(SavingStep),
        into: Destination = Destination.USB,
        *,
        usb: bool = True,
        origin: KeyOrigin = KeyOrigin.INSIDE,
    ) -> AbstractAsyncContextManager[SavingProgress]:
        """Show the wait while the block runs."""
        return self._shown(SavingScreen(self._lobby, steps, into, usb=usb, origin=origin))

    async def announce_import(self, announcement: ImportAnnouncement) -> None:
        """Show 証明書インポート."""
        await self._ask(CertificateImportScreen(self._lobby, announcement))

    async def announce_import_complete(self, announcement: ImportAnnouncement) -> None:
        """Show インポート完了."""
        await self._ask(ImportCompleteScreen(self._lobby, announcement))

    async def confirm_retirement(self, question: RetirementQuestion) -> bool:
        """Ask whether the old credential is to be removed from its store."""
        return await self._ask(RetirementScreen(self._lobby, question))

    async def show_completion(self, completion: Completion) -> CompletionAnswer:
        """Show the completion screen until 「このウィンドウを閉じる」 or スマートフォンに残す."""
        into_pc = completion.destination is Destination.PC
        return await self._ask((CompletionPcScreen if into_pc else CompletionUsbScreen)(self._lobby, completion))

    async def show_reminder(self, reminder: Reminder) -> None:
        """Show the day of the next renewal so that a phone can take it."""
        await self._ask(ReminderScreen(self._lobby, reminder))

    async def show_problem(self, problem: Problem, *, called: bool = False, may_enrol: bool = False) -> ProblemAnswer:
        """Show what went wrong, until the customer has read it or calls for staff."""
        return await self._ask(ProblemScreen(self._lobby, problem, called=called, may_enrol=may_enrol))

    async def ask_still_there(self, seconds: int) -> bool:
        """Warn that the visit ends in `seconds`."""
        return await self._ask(IdleWarningScreen(self._lobby, seconds))

    async def ask_take_out(self, *, removable: bool) -> None:
        """Ask to take the token out."""
        await self._ask(TakeOutScreen(self._lobby, removable=removable))

    async def show_forgotten(self) -> None:
        """Say that the token has been forgotten."""
        await self._ask(ForgottenScreen(self._lobby))

    def ring(self) -> None:
        """The terminal's bell."""
        self._app.bell()

    def close(self) -> None:
        """The visit is over: hold nothing of it."""
        self._stop_lingering()
        self._over.clear()

    async def _ask(self, question: Question[Answer]) -> Answer:
        async with self._shown(question):
            return await question.answered()

    @asynccontextmanager
    async def _shown(self, screen: Shown) -> AsyncIterator[Shown]:
        answered = False
        try:
            await self._show(screen)
            yield screen
            answered = True
        finally:
            self._over.add(screen)
            if not (answered and self._may_linger(screen)):
                await self._sweep()

    async def _show(self, screen: Frame) -> None:
        """Put `screen` in the place of one that lingers, or on top."""
        self._stop_lingering()
        top = self._app.screen
        if top in self._over:
            self._over = {each for each in self._over if each is not top}
            await self._complete(self._app.switch_screen(screen))
        else:
            await self._app.push_screen(screen, mode=self._mode)

    def _may_linger(self, screen: Frame) -> bool:
        """Let an answered question stand, deaf, until the next one comes, so that nothing flashes in between.

        Only where it lies on the ground of the visit; what lies over another question has to give way at once.
        """
        stack = self._app.screen_stack
        if not self._app.is_running or self._app.screen is not screen or len(stack) != _ON_THE_GROUND:
            return False
        self._lingering = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._end_lingering)
        return True

    def _stop_lingering(self) -> None:
        if self._lingering:
            self._lingering.cancel()
            self._lingering = None

    def _end_lingering(self) -> None:
        self._app.call_later(self._sweep)

    async def _sweep(self) -> None:
        """Take away what is over, from the top; what lies below something that is not over has to wait."""
        while self._app.is_running and self._app.current_mode == self._mode and self._app.screen in self._over:
            top = self._app.screen
            gone = self._app.pop_screen()
            self._over = {each for each in self._over if each is not top}
            await self._complete(gone)

    async def _complete(self, change: AwaitComplete) -> None:
        """Wait until the stack has changed, also where whoever asked is cancelled meanwhile.

        Textual's own loop waits for the same future: if that were cancelled, so would be the app.
        """
        changing = asyncio.ensure_future(change)
        try:
            await asyncio.wait([changing])
        finally:
            if not changing.done() and self._app.is_running:
                await asyncio.wait([changing])
        changing.result()
