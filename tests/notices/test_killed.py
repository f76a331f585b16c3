"""Killed by signal 9 at every step: no notice is lost, and one comes twice only where nobody could have known better.

That is where the mail server has taken it, and the run has died before its record of that was durable.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import NoticeState
from tests.notices import dying_run
from tests.notices.ledgers import enter, states
from tests.notices.mail_server import MailServer, serving
from tests.notices.samples import END, days_before
from tests.notices.test_commands import write_settings
from tests.processes.dying import WHENS

NOW = days_before(27)
HOLDERS = ("A", "B")


@dataclass
class Place:
    """A ledger with two holders who are due, and their mail server."""

    directory: Path
    server: MailServer
    killed: bool = False

    async def run(self, *, when: str = "", number: int = 0, step: str = "") -> bool:
        """One run in a process of its own; answers whether it came to its end."""
        process = dying_run.start(self.directory, NOW, when=when, number=number)

        def reached(name: str) -> None:
            if name == step and not self.killed:
                self.killed = True
                assert process.pid is not None
                os.kill(process.pid, signal.SIGKILL)

        self.server.step = reached
        await asyncio.to_thread(process.join, 60)
        code = process.exitcode
        process.close()
        assert code in (0, -signal.SIGKILL), (self.directory / "log").read_text()
        return code == 0

    @property
    def taken(self) -> Counter[str]:
        return Counter(recipient.partition("@")[0] for recipient in self.server.recipients)

    def sent(self) -> set[str]:
        """Of whom the ledger says that the mail went out."""
        with Ledger.open_beside(self.directory) as book:
            return {holder for holder, _, state in states(book) if state is NoticeState.SENT}

    async def recover(self) -> set[str]:
        """Go on after a kill; answers with whose mail came a second time."""
        unknown = set(self.taken) - self.sent()
        assert await self.run()
        assert self.sent() == set(HOLDERS)
        assert self.taken == Counter(HOLDERS) + Counter(unknown), "none is lost, and none repeated without need"
        ids = {str(mail["Message-ID"]) for _, mail in self.server.taken}
        assert len(ids) == len(HOLDERS), "what is repeated has the Message-ID that it had"
        assert all("あと27日" in mail["Subject"] for _, mail in self.server.taken)
        return unknown


@contextmanager
def place(empty_ledger: Path, directory: Path, server: MailServer) -> Iterator[Place]:
    directory.mkdir()
    shutil.copy(empty_ledger, directory)
    write_settings(directory, server.port, "first_wait = 0.01\n")
    with Ledger.open_beside(directory) as book:
        for holder in HOLDERS:
            enter(book, holder, END)
    yield Place(directory, server)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with serving(MailServer()) as running:
        yield running


@pytest.mark.parametrize("when", WHENS)
async def test_killed_at_any_commit(empty_ledger: Path, tmp_path: Path, server: MailServer, when: str) -> None:
    repeated: dict[int, set[str]] = {}
    for number in itertools.count(1):
        server.taken.clear()
        with place(empty_ledger, tmp_path / str(number), server) as here:
            if await here.run(when=when, number=number):
                break
            repeated[number] = await here.recover()
    print(
        f"killed {when} commit: " + ", ".join(f"{n}: repeated {sorted(who) or 'none'}" for n, who in repeated.items())
    )
    assert len(repeated) >= 2 * len(HOLDERS), "every mail has its claim and its mark"
    # Before a mark is durable the mail has gone out; afterwards, and everywhere else, the ledger knows.
    assert sorted(map(sorted, filter(None, repeated.values()))) == ([["A"], ["B"]] if when == "before" else [])


@pytest.mark.parametrize(
    ("step", "repeated"),
    [("connected", set()), ("MAIL", set()), ("RCPT", set()), ("DATA", set()), ("half", set()), ("taken", {"A"})],
)
async def test_killed_at_any_step_of_a_mail(
    empty_ledger: Path, tmp_path: Path, server: MailServer, step: str, repeated: set[str]
) -> None:
    if step == "half":
        server.at_data = ["cut"]
    with place(empty_ledger, tmp_path / step, server) as here:
        assert not await here.run(step=step)
        assert await here.recover() == repeated
