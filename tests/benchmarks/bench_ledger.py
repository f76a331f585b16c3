"""Whether `kur` and `certConf` take longer the more certificates the ledger has, in SQLite and in PostgreSQL.

    python -m tests.benchmarks.bench_ledger [RENEWALS]

For each database there are servers with 10, 1,000 and 100,000 certificates in their ledgers, half of them superseded
in the course of a year, by confirmed promises. All servers run at once and renew in turn, so that whatever else the
machine does meets them alike. Time is the median of what a client waits for both answers without the transport, as in
`bench_ca`; CPU time is that of the server's process, and of its sessions in PostgreSQL. Ratios: to the ledger with 10.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from kiosk.ca.authority import Authority, create_authority, load_authority
from kiosk.ca.ledger import Ledger
from tests.benchmarks.bench_ca import WARM_UP, Course, Line, cpu_of
from tests.ca.bank import new_key, settle
from tests.ca.filled import fill
from tests.postgres import Postgres, running_postgres
from tests.processes.entering import enter

_SIZES = (10, 1_000, 100_000)
_RENEWALS = 100


@dataclass
class Case:
    """One server and its ledger."""

    database: str
    size: int
    course: Course
    sessions: Callable[[], list[int]]
    """The processes in which PostgreSQL works for this server."""
    sessions_cpu: float = 0.0

    @property
    def own(self) -> float:
        """Milliseconds that a renewal takes without its transport."""
        both = zip(self.course.walls, self.course.bares, strict=True)
        return statistics.median(wall - bare for wall, bare in both)

    @property
    def cpu(self) -> float:
        """Milliseconds of the server and of its sessions."""
        return self.course.cpu + self.sessions_cpu / len(self.course.walls)

    def measure_sessions(self) -> float:
        return sum(cpu_of(pid) for pid in self.sessions())


@contextmanager
def serving(authority: Authority) -> Iterator[Line]:
    command = [sys.executable, "-P", "-m", "kiosk.ca", "serve", "--http", "--directory", str(authority.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        try:
            yield Line(told["url"], told["pid"])
        finally:
            server.terminate()


@contextmanager
def prepared(made: Authority, place: Path, size: int, renewals: int, postgres: Postgres | None) -> Iterator[Case]:
    """A server with a ledger of this size, in SQLite or in a database of its own."""
    database = "SQLite" if postgres is None else "PostgreSQL"
    directory = place / f"{database} {size}"
    shutil.copytree(made.directory, directory)
    authority = load_authority(directory)

    def sessions() -> list[int]:
        if postgres is None:
            return []
        with postgres.connect() as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [make_url(url).database])
            return [pid for (pid,) in rows]

    with ExitStack() as stack:
        if postgres is not None:
            url = stack.enter_context(postgres.database())
            settle(directory, url)
        with Ledger.open(directory) as book:
            fill(book, authority, size)
            holders = enter(book, authority, *(f"HOLDER{number}" for number in range(renewals + WARM_UP)))
        line = stack.enter_context(serving(authority))
        yield Case(database, size, Course(f"{database} {size}", line, holders, new_key), sessions)


async def run(renewals: int) -> None:
    """Measure, and say."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = create_authority(place / "ca")
        postgres = stack.enter_context(running_postgres(durable=True))
        kinds = [(size, server) for server in (None, postgres) for size in _SIZES]
        cases = [stack.enter_context(prepared(made, place, size, renewals, server)) for size, server in kinds]
        for number in range(renewals + WARM_UP):
            if number == WARM_UP:
                begun = [case.measure_sessions() for case in cases]
            for case in cases:
                await case.course.renew(number)
        for case, before in zip(cases, begun, strict=True):
            case.sessions_cpu = case.measure_sessions() - before
        print(table(cases))


def table(cases: Sequence[Case]) -> str:
    lines = ["| ledger | certificates | server's own time | ratio | CPU | ratio |", "|---|---|---|---|---|---|"]
    smallest: dict[str, Case] = {}
    for case in cases:
        least = smallest.setdefault(case.database, case)
        own, cpu = f"{case.own:.1f} ms | {case.own / least.own:.2f}", f"{case.cpu:.1f} ms | {case.cpu / least.cpu:.2f}"
        lines.append(f"| {case.database} | {case.size:,} | {own} | {cpu} |")
    return "\n".join(lines)


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else _RENEWALS))
