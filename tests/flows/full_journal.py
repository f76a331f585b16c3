"""A kiosk whose journal lies on a disc that can be filled and made read-only, in a process with that mount."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kiosk.demo_bank import DemoBank
from kiosk.desk import Errand, SavingStep, Standby
from kiosk.errors import KioskError, Problem
from kiosk.journal import ROOM, Journal
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from kiosk.settings import load_settings
from tests.bank import Bank
from tests.scripted_desk import ScriptedDesk

WAY = ("unshare", "--map-root-user", "--mount")
_SIZE = ROOM + (8 << 20)
STEPS = (SavingStep.KEY, SavingStep.REQUEST, SavingStep.WRITE, SavingStep.PROVE, SavingStep.CONFIRM)
_LOOKS_AGAIN_IN = 30.0
"""Seconds, many times those between two looks at the disc: a kiosk that sees nothing of it fails here, and soon."""
_READ_ONLY, _REMOUNT = 1, 32
"""MS_RDONLY and MS_REMOUNT (mount(2))."""


class Cut(msgspec.Struct, frozen=True):
    """A visit during which the disc became full."""

    code: str
    changed: str
    credentials: int
    """That signed afterwards."""
    keys: int
    """That were on the token then."""


class Told(msgspec.Struct, frozen=True):
    """What came of it all."""

    standby: list[str]
    """What stood on the standby screen while the disc was full, and when there was room again."""
    cuts: dict[str, Cut]
    """By the step from which on there was no room, one visit after the other."""
    completed: bool
    """Whether the next visit came to its end, once there was room."""
    after_the_end: str
    """The code with which a journal is refused on a disc that is full from the start..."""
    read_only: str
    """...and on one that is read-only."""


def tried(directory: Path) -> Told:
    """All of it, with the bank in `directory`."""
    done = subprocess.run([*WAY, sys.executable, "-m", __name__, str(directory)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=Told)


@dataclass
class Board:
    """The standby screen."""

    shown: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    errand: Errand = Errand.RENEWAL

    def show(self, standby: Standby, problem: Problem | None = None, pc_login: bool = False) -> None:  # noqa: ARG002
        self.shown.put_nowait(f"{standby.value} {problem.code if problem else ''}".strip())

    async def touched(self) -> None:
        await asyncio.Event().wait()

    called = touched


class Disc:
    """Where the journal is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self._mount(0)

    def _mount(self, flags: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        where = os.fsencode(self.directory)
        if libc.mount(b"none", where, b"tmpfs", flags, f"size={_SIZE}".encode()):
            raise OSError(ctypes.get_errno(), "mount")

    def fill(self, free: int = 0) -> None:
        """Leave so many bytes."""
        found = os.statvfs(self.directory)
        (self.directory / "filler").write_bytes(bytes(found.f_bavail * found.f_frsize - free))

    def make_room(self) -> None:
        (self.directory / "filler").unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        self._mount(_REMOUNT | _READ_ONLY)
        yield
        self._mount(_REMOUNT)


async def _standby(bank: Bank, disc: Disc) -> list[str]:
    board = Board()
    async with open_services(bank.settings) as services:
        front_desk = FrontDesk(services, bank.settings.token)
        disc.fill(ROOM - 4096)
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        async with asyncio.timeout(_LOOKS_AGAIN_IN):
            told = [await board.shown.get()]
            disc.make_room()
            while told[-1] == told[0]:
                told.append(await board.shown.get())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await front_desk.close()
    return [told[0], told[-1]]


async def _cut(bank: Bank, disc: Disc, step: SavingStep) -> Cut:
    def fill(reached: SavingStep) -> None:
        if reached is step:
            disc.fill()

    outcome = await bank.visit(ScriptedDesk(at_step=fill))
    disc.make_room()
    assert outcome.problem
    async with await bank.open_token() as token:
        inventory = await token.inventory()
        signing = [each for each in inventory.credentials if await token.proves(each)]
    return Cut(
        code=outcome.problem.code,
        changed=outcome.problem.changed.value,
        credentials=len(signing),
        keys=len([each for each in inventory.objects if each.kind.value == "private-key"]),
    )


def _refused(journal: Path) -> str:
    try:
        Journal(journal).close()
    except KioskError as error:
        return error.problem.code
    return ""


async def _tried(directory: Path) -> Told:
    disc = Disc(directory / "disc")
    settings = load_settings(directory / "kiosk.toml")
    bank = Bank(DemoBank(directory, msgspec.structs.replace(settings, journal=str(disc.directory / "journal.sqlite"))))
    standby = await _standby(bank, disc)
    cuts = {step.value: await _cut(bank, disc, step) for step in STEPS}
    completed = (await bank.visit(ScriptedDesk())).completion is not None
    disc.fill()
    full = _refused(disc.directory / "another.sqlite")
    disc.make_room()
    with disc.read_only():
        read_only = _refused(Path(bank.settings.journal))
    return Told(standby=standby, cuts=cuts, completed=completed, after_the_end=full, read_only=read_only)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_tried(Path(sys.argv[1])))))
