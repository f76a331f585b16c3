"""Visits on the kiosk's own screens, by a customer who presses keys and does what a scripted desk would answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from textual import events
from textual.message_pump import MessagePump

from kiosk.app import KioskApp
from kiosk.desk import Completion, Desk, Destination, NoticeAnswer, Reception, StandbyBoard
from screens.completion import CompletionScreen
from screens.frame import Question
from screens.problem import ProblemScreen
from screens.standby import StandbyScreen
from screens.web_access import WebAccessScreen
from screens.widgets.choice import Choice
from tests.faults.faulty_module import FaultyModule
from tests.flows.many_visits import TROUBLES, Lobby, open_lobby, tasks
from tests.screens.stage import BRANCH, SIZE, screen_text, until
from tests.scripted_desk import ScriptedDesk

_IDLE_SECONDS = 3.0
"""A customer who is there presses within them, also on a busy machine; if not, he says that he is still there."""
_GLANCE = 0.02
_AT_ONCE = 1
"""Seconds that the warning stands."""
_OURS = ("kiosk", "screens", "textual")
_OF_A_LOOK = Counter({"Pace.next_look": 1, "TokenProcess._exchange": 1})
"""Tasks of the reception that looks for tokens: whether it looks or waits just now is a matter of moments."""
_NOT_HERE = "the kiosk ends in the middle"
"""It is a whole process that ends then, and there is only this one."""

_LEAVES: dict[str, str] = {
    "PinScreen": "pin",
    "RenewalNoticeScreen": "notice",
    "RenewalStartScreen": "destination",
    "KeyExportScreen": "key-export",
    "CompletionUsbScreen": "completion",
}
"""The questions at which a customer can walk away, by their screens; `WebAccessScreen` is asked for its number."""

_BUTTONS: dict[str, Callable[[ScriptedDesk], str]] = {
    "RenewalNoticeScreen": lambda desk: "now" if desk.notice is NoticeAnswer.NOW else "later",
    "ResumptionScreen": lambda desk: "yes" if desk.resumes else "no",
    "CleaningScreen": lambda desk: "remove" if desk.cleans else "leave",
    "MainMenuScreen": lambda _: "leave",
    "RenewalStartScreen": lambda desk: "usb" if desk.destination is Destination.USB else "back",
    "KeyExportScreen": lambda desk: "ok" if desk.key_export else "cancel",
    "CertificateImportScreen": lambda _: "ok",
    "ImportCompleteScreen": lambda _: "ok",
    "CompletionUsbScreen": lambda _: "close",
    "ProblemScreen": lambda _: "ok",
    "IdleWarningScreen": lambda _: "go-on",
}
"""What is pressed on a screen, by its class."""


@dataclass
class Observed:
    """A reception that tells how far it is with its customers."""

    reception: Reception
    begun: int = 0
    ended: int = 0

    async def wait_for_customer(self, board: StandbyBoard) -> None:
        await self.reception.wait_for_customer(board)

    async def serve(self, desk: Desk) -> None:
        self.begun += 1
        try:
            await self.reception.serve(desk)
        finally:
            self.ended += 1


@dataclass
class AtScreens:
    """Serves on the screens of a running kiosk; keys come as a terminal sends them."""

    app: KioskApp
    reception: Observed
    module: FaultyModule
    """Where the customer's token is in, or not."""
    between_visits: Counter[str] = field(default_factory=Counter)
    """The tasks that run while nobody is served."""

    async def ready(self) -> None:
        """Wait until the standby screen waits for a token."""
        await until(self._invites)

    async def serve(self, desk: ScriptedDesk) -> None:
        """Press what `desk` would answer, from when the token is seen until the standby screen is there again."""
        await self._begin()
        while not self._is_over:
            question = self._asked()
            if question is not None:
                await self._answer(desk, question)
                del question
            await asyncio.sleep(_GLANCE)
        try:
            await until(lambda: not self._tasks_left())
        except TimeoutError:
            pytest.fail(f"left: {self._tasks_left()}")

    def _tasks_left(self) -> Counter[str]:
        return tasks(*_OURS) - self.between_visits

    async def _begin(self) -> None:
        """The token is in. If it is pulled before anybody has seen it, it is put in once more."""
        begun = self.reception.begun
        while self.reception.begun == begun:
            await until(lambda: self.reception.begun > begun or self.module.is_out)
            if self.reception.begun == begun:
                self.module.make_whole()

    @property
    def _is_over(self) -> bool:
        """Whether the kiosk stands by, and no token that is in makes it begin anew: a customer takes his along."""
        if self.reception.ended < self.reception.begun:
            return False
        if not self.module.is_out:
            self.module.take_out()
        return self._invites()

    def _invites(self) -> bool:
        screen = self.app.screen
        return isinstance(screen, StandbyScreen) and bool(screen._touch._waiters)

    def _asked(self) -> Question[object] | None:
        """What waits for an answer."""
        screen = self.app.screen
        if not isinstance(screen, Question) or not screen.is_mounted or screen.is_over:
            return None
        return screen if screen.focused else None

    async def _answer(self, desk: ScriptedDesk, question: Question[object]) -> None:
        """Press what is answered, or nothing, and wait until that is heard or another screen has come."""
        _remember(desk, question)
        if type(question).__name__ == "TakeOutScreen":
            self.module.take_out()
        elif not (desk.leaves_at and _walked_away(desk, question)):
            self._press(*_keys(desk, question))
        try:
            await until(lambda: question.is_over or self.app.screen is not question)
        except TimeoutError:
            pytest.fail(f"nothing was heard\n{screen_text(self.app)}")

    def _press(self, *keys: str) -> None:
        for key in keys:
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))


def _remember(desk: ScriptedDesk, question: Question[object]) -> None:
    """What a scripted desk would have been told."""
    if isinstance(question, ProblemScreen):
        desk.problem = question._problem
    if isinstance(question, CompletionScreen):
        desk.completion = Completion(Destination.USB, question._certificate, None)


def _walked_away(desk: ScriptedDesk, question: Question[object]) -> bool:
    """Whether the customer has gone by now."""
    name = type(question).__name__
    if isinstance(question, WebAccessScreen):
        where = f"web-access {question._question.number}/{question._question.of}"
    else:
        where = _LEAVES.get(name, "")
    if where:
        desk.asked.append(where)
    return desk.leaves_at in desk.asked


def _keys(desk: ScriptedDesk, question: Question[object]) -> Sequence[str]:
    name = type(question).__name__
    if name == "PinScreen":
        return ("escape",) if desk.pins[0] is None else (*desk.pins[0], "enter")
    if isinstance(question, WebAccessScreen):
        button = "yes" if desk.web_access[question._question.number - 1] else "no"
    else:
        button = _BUTTONS[name](desk)
    return (question.query_one(f"#{button}", Choice).digit,)


def shown(kind: type) -> bool:
    """Whether it is a class of the kiosk's, of its screens, or one of Textual's that lives: app, screen, widget."""
    return str(kind.__module__).startswith(("kiosk", "screens")) or issubclass(kind, MessagePump)


@asynccontextmanager
async def open_lobby_with_screens(directory: Path, seed: int) -> AsyncIterator[Lobby]:
    """As `open_lobby`, with the screens before the front desk; drawn in full, as on a terminal."""
    async with open_lobby(directory, seed, idle_seconds=_IDLE_SECONDS, idle_warning_seconds=_AT_ONCE) as lobby:
        reception = Observed(lobby.front_desk)
        lobby.module.take_out()
        app = KioskApp(reception, BRANCH, settle_seconds=0.0)
        async with app.run_test(size=SIZE):
            counter = AtScreens(app, reception, lobby.module)
            await counter.ready()
            counter.between_visits = tasks(*_OURS) | _OF_A_LOOK
            lobby.between_visits = tasks("kiosk") | _OF_A_LOOK
            lobby.counter = counter
            lobby.troubles = {trouble: often for trouble, often in TROUBLES.items() if trouble != _NOT_HERE}
            yield lobby
