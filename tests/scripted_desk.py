"""A desk that answers by script and remembers what it was asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kiosk.desk import (
    Completion,
    Destination,
    DestinationQuestion,
    ImportAnnouncement,
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    PinQuestion,
    RenewalNotice,
    SavingProgress,
    SavingStep,
    WebAccessQuestion,
)
from kiosk.errors import Problem
from kiosk.pin import Pin


@dataclass
class ScriptedDesk:
    """Takes the default way unless told otherwise; `asked` is what a customer would have seen, in order."""

    pins: list[str | None] = field(default_factory=lambda: ["123456"])
    notice: NoticeAnswer = NoticeAnswer.NOW
    menu: list[MenuChoice] = field(default_factory=lambda: [MenuChoice.LEAVE])
    destination: Destination | None = Destination.USB
    web_access: list[bool] = field(default_factory=lambda: [True, True])
    key_export: bool = True
    at_step: Callable[[SavingStep], None] = lambda _: None
    leaves_at: str = ""
    """A question at which the customer walks away without an answer."""
    asked: list[str] = field(default_factory=list)
    seen: list[object] = field(default_factory=list)
    completion: Completion | None = None
    problem: Problem | None = None
    still_there: bool = False

    @property
    def last_touched(self) -> float:
        return 0.0 if self.leaves_at else time.monotonic()

    async def _see(self, name: str, question: object = None) -> None:
        self.asked.append(name)
        self.seen.append(question)
        if name == self.leaves_at:
            await asyncio.Event().wait()

    async def ask_pin(self, question: PinQuestion) -> Pin | None:
        await self._see("pin", question)
        typed = self.pins.pop(0)
        return None if typed is None else Pin(bytearray(typed, "ascii"))

    async def show_notice(self, notice: RenewalNotice) -> NoticeAnswer:
        await self._see("notice", notice)
        return self.notice

    async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
        await self._see("menu", menu)
        return self.menu.pop(0) if self.menu else MenuChoice.LEAVE

    @asynccontextmanager
    async def preprocessing(self) -> AsyncIterator[None]:
        await self._see("preprocessing")
        yield

    async def choose_destination(self, question: DestinationQuestion) -> Destination | None:
        await self._see("destination", question)
        return self.destination

    async def confirm_web_access(self, question: WebAccessQuestion) -> bool:
        await self._see(f"web-access {question.number}/{question.of}", question)
        return self.web_access[question.number - 1]

    async def announce_key_export(self) -> bool:
        await self._see("key-export")
        return self.key_export

    @asynccontextmanager
    async def saving(self) -> AsyncIterator[SavingProgress]:
        yield self

    def begin(self, step: SavingStep) -> None:
        self.asked.append(step.value)
        self.seen.append(step)
        self.at_step(step)

    async def announce_import(self, announcement: ImportAnnouncement) -> None:
        await self._see("import", announcement)

    async def announce_import_complete(self, announcement: ImportAnnouncement) -> None:
        await self._see("import-complete", announcement)

    async def show_completion(self, completion: Completion) -> None:
        self.completion = completion
        await self._see("completion", completion)

    async def show_problem(self, problem: Problem) -> None:
        self.problem = problem
        await self._see("problem", problem)

    async def ask_still_there(self, seconds: int) -> bool:
        await self._see("idle", seconds)
        return self.still_there

    async def ask_take_out(self, *, removable: bool) -> None:
        await self._see("take-out", removable)
