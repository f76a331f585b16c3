"""Show one screen with sample facts: `python -m tests.screens.gallery NAME [LANGUAGE] [THEME]`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from kiosk.app import Branch, KioskApp
from kiosk.clock import Clock
from kiosk.credentials import HolderKind, IdShape
from kiosk.desk import (
    CertificateDetails,
    CleaningQuestion,
    CodeQuestion,
    Completion,
    Desk,
    Destination,
    DestinationQuestion,
    EnrolmentIdQuestion,
    Errand,
    HeldId,
    HelpPage,
    IdQuestion,
    ImportAnnouncement,
    LastTryQuestion,
    MainMenu,
    OffReason,
    PadPurpose,
    PadQuestion,
    PadTrouble,
    PinPurpose,
    PinQuestion,
    RenewalNotice,
    ResumptionQuestion,
    RetirementQuestion,
    SavingStep,
    Standby,
    StandbyBoard,
    TokenQuestion,
    Tries,
    TypedIdQuestion,
    Unfit,
    Waiting,
    WebAccessQuestion,
)
from kiosk.errors import Changed, Code, Problem
from kiosk.reminder import Reminder
from kiosk.tokens.wire import KeyOrigin, StoreKind, TokenFacts
from tests.screens.samples import NOW, OLD_END, certificate, credential, fixed_clock, new_certificate

Scene = Callable[[Desk], Awaitable[object]]
AUTHORITY = "Shinkin Internet Banking Intermediate CA"
LONG_AGO = 600


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _preprocessing(desk: Desk, *, usb: bool = True) -> None:
    async with desk.preprocessing(usb=usb):
        await _for_ever()


async def _preprocessing_waits(desk: Desk, *, busy: bool) -> None:
    async with desk.preprocessing() as wait:
        wait.pauses(Waiting(12, is_busy=busy))
        await _for_ever()


async def _saving_waits(desk: Desk) -> None:
    async with desk.saving() as progress:
        progress.begin(SavingStep.KEY)
        progress.begin(SavingStep.REQUEST)
        progress.pauses(Waiting(12, is_busy=False))
        await _for_ever()


async def _saving(desk: Desk, into: Destination = Destination.USB) -> None:
    steps = tuple(step for step in SavingStep if into is Destination.USB or step is not SavingStep.RETIRE)
    async with desk.saving(steps, into) as progress:
        for step in (SavingStep.KEY, SavingStep.REQUEST, SavingStep.WRITE):
            progress.begin(step)
        await _for_ever()


def _pin(purpose: PinPurpose = PinPurpose.LOG_IN, *, refused: bool = False, tries: Tries = Tries.PLENTY) -> PinQuestion:
    return PinQuestion(token_label="SHINKIN-USB", refused=refused, tries=tries, shortest=4, longest=8, purpose=purpose)


def _pad(purpose: PadPurpose = PadPurpose.LOG_IN, trouble: PadTrouble | None = None) -> PadQuestion:
    tries = Tries.FEW if trouble is PadTrouble.WRONG else Tries.PLENTY
    return PadQuestion("SHINKIN-USB", purpose, trouble, tries)


async def _at_pad(desk: Desk, purpose: PadPurpose = PadPurpose.LOG_IN) -> None:
    async with desk.at_pad(replace(_pad(purpose), way_back=purpose is PadPurpose.LOG_IN)):
        await _for_ever()


def _password(*, refused: bool = False) -> PinQuestion:
    return PinQuestion("NSS Certificate DB", refused, Tries.PLENTY, shortest=1, longest=128, store=StoreKind.PC)


def _held(common_name: str, days: int, kind: HolderKind = HolderKind.USER) -> HeldId:
    found = credential(certificate(OLD_END + timedelta(days=days - 20), common_name=common_name))
    return HeldId(replace(found, holder=replace(found.holder, kind=kind)), days)


IDS = (
    _held("TKYM1408001 0001", 9, HolderKind.ADMINISTRATOR),
    _held("TKYM1408054 1403", 20),
    _held("TKYM1408055 1404", 21),
    _held("TKYM1408056 1405", 300),
    _held("TKYM1408057 1406", -3),
)


def _token(label: str, serial: str) -> TokenFacts:
    flags: dict[str, Any] = {"pin_set": True, "pin_few_tries": False, "pin_last_try": False, "pin_locked": False}
    return TokenFacts(1, serial, label, "SHINKIN", "USB Token 3", removable=True, pin_to_be_changed=False, **flags)


TOKENS = (_token("SHINKIN-USB", "00a1b2c3d4e5"), _token("SHINKIN-USB", "00f6e7d8c9ba"), _token("KEIRI", "0042"))

REMINDER = Reminder(date(2027, 10, 24), "TKYM1408054", new_certificate().fingerprint, NOW)


def last_notice(before_the_end: timedelta) -> RenewalNotice:
    """The notice on the last day, so long before the end of the last second."""
    return RenewalNotice(credential(), 0, OLD_END + timedelta(seconds=1) - before_the_end)


def _completion() -> Completion:
    return Completion(Destination.USB, new_certificate(), certificate(), reminder=REMINDER)


SCENES: dict[str, Scene] = {
    "between": lambda _desk: _for_ever(),
    "choose-token": lambda desk: desk.choose_token(TokenQuestion(TOKENS)),
    "pin": lambda desk: desk.ask_pin(_pin()),
    "pin-refused": lambda desk: desk.ask_pin(_pin(refused=True, tries=Tries.FEW)),
    "pin-repeated": lambda desk: desk.ask_pin(replace(_pin(tries=Tries.MAYBE_LAST), unfit=Unfit.REPEATED)),
    "pin-last": lambda desk: desk.ask_pin(_pin(refused=True, tries=Tries.LAST)),
    "last-try": lambda desk: desk.confirm_last_try(LastTryQuestion("SHINKIN-USB", certain=True)),
    "last-try-maybe": lambda desk: desk.confirm_last_try(LastTryQuestion("SHINKIN-USB", certain=False)),
    "last-try-called": lambda desk: desk.confirm_last_try(LastTryQuestion("SHINKIN-USB", certain=True, called=True)),
    "pad": lambda desk: desk.ask_pad(_pad()),
    "pad-cancelled": lambda desk: desk.ask_pad(_pad(trouble=PadTrouble.CANCELLED)),
    "pad-timed-out": lambda desk: desk.ask_pad(_pad(trouble=PadTrouble.TIMED_OUT)),
    "pad-change": lambda desk: desk.ask_pad(replace(_pad(PadPurpose.CHANGE, PadTrouble.NOT_TAKEN), required=True)),
    "pad-prove": lambda desk: desk.ask_pad(
        replace(_pad(PadPurpose.PROVE, PadTrouble.TIMED_OUT), tries=Tries.MAYBE_LAST, seconds=LONG_AGO, way_back=False)
    ),
    "pad-sign": lambda desk: desk.ask_pad(
        replace(_pad(PadPurpose.SIGN, PadTrouble.CANCELLED), seconds=LONG_AGO, way_back=True)
    ),
    "at-pad": _at_pad,
    "at-pad-prove": partial(_at_pad, purpose=PadPurpose.PROVE),
    "at-pad-sign": partial(_at_pad, purpose=PadPurpose.SIGN),
    "password": lambda desk: desk.ask_pin(_password()),
    "password-refused": lambda desk: desk.ask_pin(_password(refused=True)),
    "choose-id": lambda desk: desk.choose_id(IdQuestion(IDS[:2])),
    "choose-id-unfinished": lambda desk: desk.choose_id(IdQuestion((IDS[0], replace(IDS[1], unfinished=True)))),
    "choose-id-many": lambda desk: desk.choose_id(IdQuestion(IDS * 2)),
    "enrol-choose-id": lambda desk: desk.choose_enrolment_id(EnrolmentIdQuestion((IDS[4], IDS[1]))),
    "enrol-choose-id-many": lambda desk: desk.choose_enrolment_id(EnrolmentIdQuestion(IDS * 2)),
    "enrol-id": lambda desk: desk.ask_enrolment_id(TypedIdQuestion(IdShape(4, 7))),
    "enrol-id-prefix": lambda desk: desk.ask_enrolment_id(TypedIdQuestion(IdShape(4, 7, "TKYM"))),
    "enrol-code": lambda desk: desk.ask_code(CodeQuestion("TKYM1408054")),
    "enrol-code-refused": lambda desk: desk.ask_code(CodeQuestion("TKYM1408054", refused=True)),
    "enrol-code-unfinished": lambda desk: desk.ask_code(CodeQuestion("TKYM1408054", unfinished=True)),
    "enrol-web-access": lambda desk: desk.confirm_web_access(
        WebAccessQuestion(1, 2, AUTHORITY, errand=Errand.ENROLMENT)
    ),
    "enrol-completion": lambda desk: desk.show_completion(replace(_completion(), errand=Errand.ENROLMENT)),
    "renewal-notice": lambda desk: desk.show_notice(RenewalNotice(credential(), 20, NOW)),
    "renewal-notice-last-day": lambda desk: desk.show_notice(last_notice(timedelta(hours=9, minutes=54))),
    "renewal-notice-last-hour": lambda desk: desk.show_notice(last_notice(timedelta(minutes=40))),
    "renewal-notice-last-minute": lambda desk: desk.show_notice(last_notice(timedelta(seconds=30))),
    "resumption": lambda desk: desk.confirm_resumption(
        ResumptionQuestion(credential(), written=False, into=Destination.USB)
    ),
    "resumption-written": lambda desk: desk.confirm_resumption(
        ResumptionQuestion(credential(), written=True, into=Destination.USB)
    ),
    "resumption-pc": lambda desk: desk.confirm_resumption(
        ResumptionQuestion(credential(), written=True, into=Destination.PC)
    ),
    "cleaning": lambda desk: desk.confirm_cleaning(CleaningQuestion()),
    "main-menu-unfinished": lambda desk: desk.choose_from_menu(MainMenu(credential(), 20, None, unfinished=True)),
    "main-menu": lambda desk: desk.choose_from_menu(MainMenu(credential(), 20, None)),
    "main-menu-pc": lambda desk: desk.choose_from_menu(MainMenu(credential(), 20, None, changes_pin=False)),
    "main-menu-early": lambda desk: desk.choose_from_menu(MainMenu(credential(new_certificate()), 365, NOW)),
    "certificate-details": lambda desk: desk.show_details(CertificateDetails(credential(), 20, AUTHORITY)),
    "pin-change-present": lambda desk: desk.ask_pin(_pin(PinPurpose.PRESENT)),
    "pin-change-required": lambda desk: desk.ask_pin(replace(_pin(PinPurpose.PRESENT), required=True)),
    "pin-change-new": lambda desk: desk.ask_pin(replace(_pin(PinPurpose.NEW), unfit=Unfit.UNEQUAL)),
    "pin-change-again": lambda desk: desk.ask_pin(_pin(PinPurpose.NEW_AGAIN)),
    "pin-changed": lambda desk: desk.announce_pin_changed(LONG_AGO),
    "preprocessing": _preprocessing,
    "preprocessing-pc": partial(_preprocessing, usb=False),
    "preprocessing-busy": partial(_preprocessing_waits, busy=True),
    "preprocessing-not-reached": partial(_preprocessing_waits, busy=False),
    "renewal-start": lambda desk: desk.choose_destination(DestinationQuestion({Destination.PC: OffReason.NOT_OFFERED})),
    "renewal-start-pc": lambda desk: desk.choose_destination(DestinationQuestion({})),
    "renewal-start-no-usb": lambda desk: desk.choose_destination(
        DestinationQuestion({Destination.USB: OffReason.NO_USB})
    ),
    "help-page": lambda desk: desk.show_help(HelpPage("https://www.example.jp/usb/")),
    "web-access-1": lambda desk: desk.confirm_web_access(WebAccessQuestion(1, 2, AUTHORITY)),
    "web-access-2": lambda desk: desk.confirm_web_access(WebAccessQuestion(2, 2, AUTHORITY)),
    "web-access-last": lambda desk: desk.confirm_web_access(WebAccessQuestion(2, 2, AUTHORITY, last=True)),
    "key-export": lambda desk: desk.announce_key_export(),
    "web-access-by-kiosk": lambda desk: desk.confirm_web_access(
        WebAccessQuestion(1, 2, AUTHORITY, origin=KeyOrigin.EXPORT)
    ),
    "key-export-by-kiosk": lambda desk: desk.announce_key_export(KeyOrigin.EXPORT),
    "saving": _saving,
    "saving-not-reached": _saving_waits,
    "saving-pc": partial(_saving, into=Destination.PC),
    "certificate-import": lambda desk: desk.announce_import(ImportAnnouncement(new_certificate(), LONG_AGO)),
    "import-complete": lambda desk: desk.announce_import_complete(ImportAnnouncement(new_certificate(), LONG_AGO)),
    "retirement": lambda desk: desk.confirm_retirement(RetirementQuestion(certificate(), LONG_AGO)),
    "retirement-pc": lambda desk: desk.confirm_retirement(RetirementQuestion(certificate(), LONG_AGO, StoreKind.PC)),
    "completion-pc": lambda desk: desk.show_completion(replace(_completion(), destination=Destination.PC)),
    "completion-usb": lambda desk: desk.show_completion(_completion()),
    "completion-usb-others": lambda desk: desk.show_completion(replace(_completion(), others=IDS[:1])),
    "reminder": lambda desk: desk.show_reminder(REMINDER),
    "problem": lambda desk: desk.show_problem(Problem(Code.CA_NOT_REACHED)),
    "problem-called": lambda desk: desk.show_problem(Problem(Code.CA_NOT_REACHED), called=True),
    "problem-empty": lambda desk: desk.show_problem(Problem(Code.NO_CERTIFICATE), may_enrol=True),
    "problem-expired": lambda desk: desk.show_problem(Problem(Code.EXPIRED), may_enrol=True),
    "problem-pc": lambda desk: desk.show_problem(Problem(Code.PC_STORE_FAILED, Changed.UNFINISHED_ON_PC)),
    "problem-pc-in-use": lambda desk: desk.show_problem(Problem(Code.PC_IN_USE)),
    "problem-pc-unprotected": lambda desk: desk.show_problem(Problem(Code.PC_UNPROTECTED)),
    "problem-stored-from-pc": lambda desk: desk.show_problem(Problem(Code.CA_TOO_SLOW, Changed.STORED_FROM_PC)),
    "problem-expired-called": lambda desk: desk.show_problem(Problem(Code.EXPIRED), called=True, may_enrol=True),
    "problem-elsewhere": lambda desk: desk.show_problem(Problem(Code.UNFINISHED_ELSEWHERE), may_enrol=True),
    "problem-code": lambda desk: desk.show_problem(Problem(Code.CODE_NOT_ACCEPTED)),
    "problem-code-paused": lambda desk: desk.show_problem(Problem(Code.CODE_PAUSED)),
    "problem-enrolling": lambda desk: desk.show_problem(Problem(Code.TOKEN_TAKEN_OUT, Changed.ENROLLING)),
    "problem-unfinished": lambda desk: desk.show_problem(Problem(Code.TOKEN_TAKEN_OUT, Changed.UNFINISHED)),
    "idle-warning": lambda desk: desk.ask_still_there(20),
    "take-out": lambda desk: desk.ask_take_out(removable=True),
    "forgotten": lambda desk: desk.show_forgotten(),
    "take-out-fixed": lambda desk: desk.ask_take_out(removable=False),
}
Board = tuple[Standby, Problem | None] | tuple[Standby, Problem | None, bool]
"""What a standby board is told: state, problem, whether certificates of this PC can be used."""
BOARDS: dict[str, Board] = {
    "standby": (Standby.INSERT, None),
    "standby-ready": (Standby.READY, None),
    "standby-pc": (Standby.INSERT, None, True),
    "standby-pc-ready": (Standby.READY, None, True),
    "standby-blank": (Standby.BLANK, Problem(Code.TOKEN_BLANK)),
    "standby-out-of-order": (Standby.OUT_OF_ORDER, Problem(Code.MODULE_UNUSABLE)),
}
NAMES = (*BOARDS, *SCENES)


class SceneReception:
    """Shows one screen, for as long as anybody looks."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        if self._name in BOARDS:
            board.show(*BOARDS[self._name])
            await _for_ever()

    async def serve(self, desk: Desk) -> None:
        await SCENES[self._name](desk)
        await _for_ever()


def gallery_app(
    name: str, language: str = "ja", clock: Clock = fixed_clock, theme: str = "kiosk", demo_pin: str | None = "123456"
) -> KioskApp:
    """A kiosk that shows the screen `name`."""
    branch = Branch("みほん信用金庫", "本店営業部", demo_pin, language)
    if language == "en":
        branch = Branch("Mihon Shinkin Bank", "Head Office", demo_pin, language)
    app = KioskApp(SceneReception(name), branch, clock, settle_seconds=0.0, stopwatch=lambda: 0.0)
    app.theme = theme
    return app


def main() -> None:
    name, language, theme = (*sys.argv[1:], *("standby", "ja", "kiosk")[len(sys.argv) - 1 :])
    app = gallery_app(name, language, theme=theme)
    app.run()
    sys.exit(app.return_code)


if __name__ == "__main__":
    main()
