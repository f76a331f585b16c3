"""Show one screen with sample facts: `python -m tests.screens.gallery NAME [LANGUAGE] [THEME]`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from kiosk.app import Branch, KioskApp
from kiosk.clock import Clock
from kiosk.desk import (
    Completion,
    Desk,
    Destination,
    DestinationQuestion,
    ImportAnnouncement,
    MainMenu,
    OffReason,
    PinQuestion,
    RenewalNotice,
    SavingStep,
    Standby,
    StandbyBoard,
    Tries,
    WebAccessQuestion,
)
from kiosk.errors import Changed, Code, Problem
from tests.screens.samples import NOW, certificate, credential, fixed_clock, new_certificate

Scene = Callable[[Desk], Awaitable[object]]
AUTHORITY = "Shinkin Internet Banking Intermediate CA"
LONG_AGO = 600


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _preprocessing(desk: Desk) -> None:
    async with desk.preprocessing():
        await _for_ever()


async def _saving(desk: Desk) -> None:
    async with desk.saving() as progress:
        for step in (SavingStep.KEY, SavingStep.REQUEST, SavingStep.WRITE):
            progress.begin(step)
        await _for_ever()


def _pin(*, refused: bool = False, tries: Tries = Tries.PLENTY) -> PinQuestion:
    return PinQuestion(token_label="SHINKIN-USB", refused=refused, tries=tries, shortest=4, longest=8)


SCENES: dict[str, Scene] = {
    "between": lambda _desk: _for_ever(),
    "pin": lambda desk: desk.ask_pin(_pin()),
    "pin-refused": lambda desk: desk.ask_pin(_pin(refused=True, tries=Tries.FEW)),
    "renewal-notice": lambda desk: desk.show_notice(RenewalNotice(credential(), 20, NOW)),
    "renewal-notice-last-day": lambda desk: desk.show_notice(RenewalNotice(credential(), 0, NOW)),
    "main-menu": lambda desk: desk.choose_from_menu(MainMenu(credential(), 20, None)),
    "main-menu-early": lambda desk: desk.choose_from_menu(MainMenu(credential(new_certificate()), 365, NOW)),
    "preprocessing": _preprocessing,
    "renewal-start": lambda desk: desk.choose_destination(DestinationQuestion({Destination.PC: OffReason.NOT_OFFERED})),
    "web-access-1": lambda desk: desk.confirm_web_access(WebAccessQuestion(1, 2, AUTHORITY)),
    "web-access-2": lambda desk: desk.confirm_web_access(WebAccessQuestion(2, 2, AUTHORITY)),
    "key-export": lambda desk: desk.announce_key_export(),
    "saving": _saving,
    "certificate-import": lambda desk: desk.announce_import(ImportAnnouncement(new_certificate(), LONG_AGO)),
    "import-complete": lambda desk: desk.announce_import_complete(ImportAnnouncement(new_certificate(), LONG_AGO)),
    "completion-usb": lambda desk: desk.show_completion(Completion(Destination.USB, new_certificate(), certificate())),
    "problem": lambda desk: desk.show_problem(Problem(Code.CA_NOT_REACHED)),
    "problem-unfinished": lambda desk: desk.show_problem(Problem(Code.TOKEN_TAKEN_OUT, Changed.UNFINISHED)),
    "idle-warning": lambda desk: desk.ask_still_there(20),
    "take-out": lambda desk: desk.ask_take_out(removable=True),
    "take-out-fixed": lambda desk: desk.ask_take_out(removable=False),
}
BOARDS: dict[str, tuple[Standby, Problem | None]] = {
    "standby": (Standby.INSERT, None),
    "standby-ready": (Standby.READY, None),
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
    app = KioskApp(SceneReception(name), branch, clock, settle_seconds=0.0)
    app.theme = theme
    return app


def main() -> None:
    name, language, theme = (*sys.argv[1:], *("standby", "ja", "kiosk")[len(sys.argv) - 1 :])
    app = gallery_app(name, language, theme=theme)
    app.run()
    sys.exit(app.return_code)


if __name__ == "__main__":
    main()
