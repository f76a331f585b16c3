"""A visit in a process of its own, which kills itself or others at one of its points."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from kiosk.children import end_with_parent
from kiosk.demo_bank import DemoBank
from kiosk.settings import Settings
from tests.bank import Bank, child_processes
from tests.forks import FORKS
from tests.kills.points import watch
from tests.scripted_desk import ScriptedDesk

_LAST_ACT = 30.0
"""Seconds, also on a busy machine; a launcher has fewer, and kills then."""


class Victim(Enum):
    """Who is killed, without a word (signal 9)."""

    KIOSK = "kiosk"
    TOKEN_PROCESS = "token process"
    CA = "CA"
    TOKEN = "power of the token"
    """The server behind which it lives, between two bytes."""
    ALL = "all at once"


@dataclass(frozen=True)
class Cut:
    """At the point with this number, counted from 1, these are killed; at none where it is 0."""

    victim: Victim
    point: int
    ca: int
    """Its process."""
    token: int
    """The leader of the group of processes behind which the token lives; 0 where it lies in the module itself."""


@dataclass
class Script:
    """What the customer answers."""

    code: str | None = None
    """The one-time code, where he comes for 電子証明書取得."""

    def desk(self, note: Callable[[str], None]) -> ScriptedDesk:
        """A desk that tells each question as it is asked."""
        if self.code is None:
            return _NotingDesk(note=note)
        return _NotingDesk(note=note, enrols=True, codes=[self.code])


@dataclass
class _NotingDesk(ScriptedDesk):
    note: Callable[[str], None] = print

    async def _see(self, name: str, question: object = None) -> None:
        self.note(name)
        await super()._see(name, question)


@dataclass
class Told:
    """What is known of a visit, also of one that was cut."""

    points: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def hold(directory: Path, settings: Settings, script: Script, cut: Cut) -> Told:
    """One visit at a kiosk with these settings."""
    notes = directory / "notes"
    notes.touch()
    process = FORKS.Process(target=_hold, args=(directory, settings, script, cut, notes))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), notes.read_text()
    told = Told()
    for line in notes.read_text().splitlines():
        kind, _, name = line.partition(" ")
        if kind == "orphan":
            _outlast(int(name))
        else:
            (told.points if kind == "point" else told.asked).append(name)
    notes.unlink()
    process.close()
    return told


def _hold(directory: Path, settings: Settings, script: Script, cut: Cut, notes: Path) -> None:
    end_with_parent(os.getppid(), signal.SIGKILL)
    log = os.open(notes, os.O_WRONLY | os.O_APPEND)
    count = 0

    def reached(name: str) -> None:
        nonlocal count
        count += 1
        os.write(log, f"point {name}\n".encode())
        if count == cut.point:
            for each in child_processes():
                os.write(log, f"orphan {each}\n".encode())
            _strike(cut)

    def asked(name: str) -> None:
        os.write(log, f"asked {name}\n".encode())

    desk = script.desk(asked)
    watch(reached)
    asyncio.run(Bank(DemoBank(directory, settings)).visit(desk))


def _strike(cut: Cut) -> None:
    """Nobody is asked to end, and nobody is told; whoever strikes goes last."""
    victim, everybody = cut.victim, cut.victim is Victim.ALL
    if everybody or victim is Victim.CA:
        _kill(cut.ca)
    if (everybody or victim is Victim.TOKEN) and cut.token:
        _kill(cut.token, group=True)
    if everybody or victim is Victim.TOKEN_PROCESS:
        for each in child_processes():
            os.kill(each, signal.SIGKILL)
    if everybody or victim is Victim.KIOSK:
        os.kill(os.getpid(), signal.SIGKILL)


def _outlast(orphan: int) -> None:
    """Wait until a token process whose kiosk was killed has ended: no kiosk is started beside it (`kiosk.launcher`)."""
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(orphan)
        select.select([ended], [], [], _LAST_ACT)
        os.close(ended)


def _kill(process: int, *, group: bool = False) -> None:
    """Kill somebody else's process, and wait until it is gone."""
    ended = os.pidfd_open(process)
    (os.killpg if group else os.kill)(process, signal.SIGKILL)
    select.select([ended], [], [])
    os.close(ended)
