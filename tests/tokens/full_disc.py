"""A software token on a file system that has no room: a visit in a process with a mount of its own.

SoftHSM keeps each object in a file. What is mounted here nobody else sees, and it is gone with the process.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from kiosk.demo_bank import DemoBank
from kiosk.desk import SavingStep
from kiosk.settings import load_settings
from tests.bank import Bank
from tests.scripted_desk import ScriptedDesk

PAGE = 4096
"""Bytes that an object takes here at least; an object of ours takes one."""
_SIZE = 64 * PAGE
_WAY = ("unshare", "--map-root-user", "--mount")


class Told(msgspec.Struct):
    """What the process outside of which nobody sees the token tells of it."""

    code: str
    changed: str
    detail: str
    completed: bool
    asked: list[str]
    before: list[str]
    """Serial numbers of the credentials, before the visit and after it, each of which signs."""
    after: list[str]
    objects_before: int
    objects_after: int


def is_possible() -> bool:
    """Whether this machine lets us mount something for ourselves."""
    return shutil.which(_WAY[0]) is not None and subprocess.run([*_WAY, "true"], check=False).returncode == 0


def visit(bank: Bank, step: SavingStep, pages: int, codes: Sequence[str] = ()) -> Told:
    """A visit with a token that has room for so many more objects from `step` on."""
    command = [*_WAY, sys.executable, "-m", __name__, str(bank.directory), step.value, str(pages), *codes]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=Told)


async def _visit(directory: Path, step: SavingStep, pages: int, codes: list[str | None]) -> Told:
    bank = Bank(DemoBank(directory, load_settings(directory / "kiosk.toml")))
    tokens = directory / "tokens"
    with TemporaryDirectory() as copied:
        shutil.copytree(tokens, copied, dirs_exist_ok=True)
        _mount(tokens)
        shutil.copytree(copied, tokens, dirs_exist_ok=True)
    filler = tokens / "filler"

    def fill(reached: SavingStep) -> None:
        if reached is step:
            free = os.statvfs(tokens).f_bavail
            filler.write_bytes(bytes(PAGE * (free - pages)))

    desk = ScriptedDesk(at_step=fill, enrols=bool(codes), enrolment_ids=["TKYM1408054"], codes=codes)
    before, objects_before = await _signing(bank)
    outcome = await bank.visit(desk)
    filler.unlink()
    after, objects_after = await _signing(bank)
    problem = outcome.problem
    return Told(
        code=problem.code.value if problem else "",
        changed=problem.changed.value if problem else "",
        detail=problem.detail if problem else "",
        completed=outcome.completion is not None,
        asked=desk.asked,
        before=before,
        after=after,
        objects_before=objects_before,
        objects_after=objects_after,
    )


async def _signing(bank: Bank) -> tuple[list[str], int]:
    async with await bank.open_token() as token:
        inventory = await token.inventory()
        signing = [each for each in inventory.credentials if await token.proves(each)]
    return [each.certificate.serial for each in signing], len(inventory.objects)


def _mount(directory: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(directory), b"tmpfs", 0, f"size={_SIZE}".encode()):
        raise OSError(ctypes.get_errno(), "mount")


if __name__ == "__main__":
    _, where, at, free, *typed = sys.argv
    told = asyncio.run(_visit(Path(where), SavingStep(at), int(free), list(typed)))
    sys.stdout.buffer.write(msgspec.json.encode(told))
