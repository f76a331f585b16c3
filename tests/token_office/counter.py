"""A teller at the command line: types what is asked for on a real pty, or has no terminal at all."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import sys
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Event

from click.testing import CliRunner
from pexpect import EOF
from pexpect.fdpexpect import fdspawn

from kiosk.cli import main
from kiosk.settings import DEMO_PIN
from tests.bank import Bank
from tests.forks import FORKS

CTRL_C = "\x03"
"""As an answer: nothing else is typed, no Enter either."""
LIMIT = 60.0
"""Seconds."""


@dataclass(frozen=True)
class Done:
    """What a command has said, and how it ended."""

    text: str
    status: int


async def run(bank: Bank, *arguments: str, typed: str = "") -> Done:
    """`kiosk token ARGUMENTS` without a terminal; `typed` comes through a pipe."""
    done = await asyncio.to_thread(CliRunner().invoke, main, _command(bank, arguments), input=typed)
    return Done(done.output, done.exit_code)


async def type_at(bank: Bank, *arguments: str, typing: Sequence[tuple[str, str]] = (("PIN.*: ", DEMO_PIN),)) -> Done:
    """The same on a terminal: each prompt is waited for and answered; English, that prompts are easily known."""
    return await asyncio.to_thread(_typed, [*_command(bank, arguments), "--language", "en"], typing)


def _command(bank: Bank, arguments: Sequence[str]) -> list[str]:
    return ["token", *arguments, "--settings", str(bank.directory / "kiosk.toml")]


def _typed(command: Sequence[str], typing: Sequence[tuple[str, str]]) -> Done:
    ours, theirs = pty.openpty()
    begun = FORKS.Event()
    process = FORKS.Process(target=_on_terminal, args=(os.ttyname(theirs), command, begun))
    process.start()
    assert begun.wait(LIMIT)
    os.close(theirs)
    terminal = fdspawn(ours, encoding="utf-8", timeout=LIMIT)
    told = ""
    for prompt, answer in typing:
        terminal.expect(prompt)
        told += f"{terminal.before}{terminal.after}"
        if answer == CTRL_C:
            terminal.send(answer)
        else:
            terminal.sendline(answer)
    terminal.expect(EOF)  # read as it comes: a terminal that nobody reads holds its writer up
    told += str(terminal.before)
    terminal.close()
    process.join(LIMIT)
    assert process.exitcode is not None, f"it did not end: {told}"
    return Done(told, process.exitcode)


def _on_terminal(name: str, command: Sequence[str], begun: Event) -> None:
    """In a session of its own, with this terminal as its only one."""
    os.setsid()
    terminal = os.open(name, os.O_RDWR)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for stream in range(3):
        os.dup2(terminal, stream)
    begun.set()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the one that multiprocessing gave it is nothing
    main(list(command))
