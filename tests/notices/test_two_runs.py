"""Runs on two machines at once over one PostgreSQL: every notice goes out once, whoever sends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import NoticeState
from tests.ca.bank import settle
from tests.notices import dying_run
from tests.notices.ledgers import enter, states
from tests.notices.mail_server import PATIENCE, MailServer, serving
from tests.notices.samples import END, days_before
from tests.notices.test_commands import write_settings
from tests.postgres import Postgres

NOW = days_before(27)
HOLDERS = [f"H{number:02}" for number in range(40)]


@dataclass
class Machine:
    """One of those that run notices: no more of the CA on it than where the ledger is."""

    directory: Path

    def start(self, now: datetime = NOW) -> BaseProcess:
        return dying_run.start(self.directory, now)

    def sent(self) -> int:
        """How many its log tells of."""
        log = (self.directory / "log").read_text().splitlines()
        return sum(line.startswith("sent ") for line in log)


@pytest.fixture
def machines(place: Path, postgres: Postgres, database: str, tmp_path: Path) -> list[Machine]:
    del place, postgres
    made = [Machine(tmp_path / name) for name in ("one", "other")]
    for machine in made:
        machine.directory.mkdir()
        settle(machine.directory, database)
    with Ledger.open(made[0].directory) as book:
        for holder in HOLDERS:
            enter(book, holder, END)
    return made


async def ended(process: BaseProcess) -> int | None:
    await asyncio.to_thread(process.join, PATIENCE)
    code = process.exitcode
    process.close()
    return code


@pytest.mark.parametrize("kind_of_database", ["postgres"], indirect=True)
async def test_two_at_once_send_every_notice_once(machines: list[Machine]) -> None:
    async with serving(MailServer(together=2)) as server:
        for machine in machines:
            write_settings(machine.directory, server.port, "per_minute = 6000\n")
        codes = [await ended(process) for process in [machine.start() for machine in machines]]
    assert codes == [0, 0]
    shares = [machine.sent() for machine in machines]
    print(f"two runs at once: {len(server.taken)} mails to {len(HOLDERS)} holders, {shares[0]} + {shares[1]}")
    assert Counter(server.recipients) == Counter(f"{holder}@example.co.jp" for holder in HOLDERS)
    assert sum(shares) == len(HOLDERS)
    assert min(shares) > 0, "both were at it"
    with Ledger.open_beside(machines[0].directory) as book:
        assert states(book) == [(holder, 30, NoticeState.SENT) for holder in HOLDERS]


@pytest.mark.parametrize("kind_of_database", ["postgres"], indirect=True)
async def test_what_a_killed_machine_had_claimed_another_one_sends_later(machines: list[Machine]) -> None:
    async with serving(MailServer()) as server:
        for machine in machines:
            write_settings(machine.directory, server.port, "per_minute = 6000\n")
        dying = machines[0].start()

        def kill_it(step: str) -> None:
            if step == "RCPT" and server.commands["RCPT"] == 5:
                assert dying.pid is not None
                os.kill(dying.pid, signal.SIGKILL)

        server.step = kill_it
        assert await ended(dying) == -signal.SIGKILL
        assert await ended(machines[1].start()) == 0
        held = set(HOLDERS) - {recipient.partition("@")[0] for recipient in server.recipients}
        assert len(held) == 1, "the one that was claimed waits for its claim to run out"
        assert await ended(machines[1].start(NOW + timedelta(hours=1))) == 0
    print(f"one killed at its fifth mail: {machines[0].sent()} + {machines[1].sent()}, of them {held} after its claim")
    assert Counter(server.recipients) == Counter(f"{holder}@example.co.jp" for holder in HOLDERS)
