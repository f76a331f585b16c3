"""What choosing the due certificates costs among a million, beside the bare SQL query, on SQLite and PostgreSQL.

    python -m tests.benchmarks.bench_notices [CERTIFICATES]

The ends of the certificates lie evenly over a year. On the first day everybody within thirty days is due; on a usual
day, after a run on the day before, only those who have reached a notice day since.

Bare is the same query, all in one, by the database's own driver: executed, and its rows fetched. Ours reads it page by
page, as a run does, which then looks up one certificate after the other. The two take turns, and their medians are
compared. SQLite has never been told to count its rows (ANALYZE); PostgreSQL does that by itself within a minute (the
tests' server has that switched off, so it is told before the usual day). Memory is what Python has allocated at most
meanwhile, here and in a ledger of a hundredth of it.
"""

from __future__ import annotations

import hashlib
import itertools
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, insert

from kiosk.ca import database
from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import CERTIFICATES, HOLDERS, NOTICES, CertificateState, NoticeState
from kiosk.clock import JAPAN
from kiosk.notices.due import Look, due_numbers, every_due, every_number
from tests.ca.bank import settle
from tests.postgres import running_postgres

_CERTIFICATES = 1_000_000
_AT_ONCE = 20_000
_DAYS = frozenset({30, 10})
_TURNS = 5
_NOW = datetime(2026, 11, 25, 9, tzinfo=JAPAN)
_YESTERDAY = _NOW - timedelta(days=1)
_DER = bytes(600)
"""As long as a certificate with a P-256 key."""

_Row = dict[str, object]


def rows(number: int) -> Iterator[tuple[_Row, _Row]]:
    """So many holders, and a certificate of each."""
    for at in range(number):
        holder, digest = f"H{at:08}", hashlib.sha256(at.to_bytes(8, "big")).digest()
        end = _NOW + timedelta(seconds=at * 365 * 86400 // number)
        made = end - timedelta(days=365)
        yield (
            {"id": holder, "kind": "user", "subject": digest, "name": "a name", "email": f"{holder}@example.co.jp"},
            {
                "issuer": b"i" * 32,
                "serial": digest.hex()[:32],
                "fingerprint": digest,
                "key_hash": digest,
                "holder": holder,
                "state": CertificateState.VALID,
                "not_after": end,
                "made_at": made,
                "changed_at": made,
                "der": _DER,
            },
        )


def fill(book: Ledger, number: int) -> None:
    """Enter them."""
    every = rows(number)
    while chunk := list(itertools.islice(every, _AT_ONCE)):
        with book.begin() as connection:
            connection.execute(insert(HOLDERS), [holder for holder, _ in chunk])
            connection.execute(insert(CERTIFICATES), [certificate for _, certificate in chunk])


def tell_everybody(book: Ledger, now: datetime) -> None:
    """Have it on record that a run has told whoever was due then."""
    every = every_due(book, Look(_DAYS, now))
    while chunk := list(itertools.islice(every, _AT_ONCE)):
        sent = [
            {
                "certificate": due.id,
                "day": due.notice.day,
                "state": NoticeState.SENT,
                "message_id": "<x@mihon.example>",
                "days_left": due.days_left,
                "tries": 1,
                "made_at": now,
                "changed_at": now,
            }
            for due in chunk
        ]
        with book.begin() as connection:
            connection.execute(insert(NOTICES), sent)


def bare(engine: Engine, now: datetime) -> int:
    """The query as a string, by the driver alone; answers with the number of rows."""
    statement = str(due_numbers(Look(_DAYS, now)).compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        return len(driver.execute(statement).fetchall())


def ours(book: Ledger, now: datetime) -> int:
    """As a run does it; answers with how many are due."""
    return sum(map(len, every_number(book, Look(_DAYS, now))))


def memory(book: Ledger, now: datetime) -> int:
    """Bytes that Python has allocated at most while choosing."""
    ours(book, now)
    tracemalloc.start()
    ours(book, now)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def measure(book: Ledger, engine: Engine, now: datetime, what: str) -> None:
    """Both in turn, and how they compare."""
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    runs: dict[str, Callable[[], int]] = {"bare": partial(bare, engine, now), "ours": partial(ours, book, now)}
    found = set()
    for _ in range(_TURNS):
        for name, run in runs.items():
            begin = time.perf_counter()
            found.add(run())
            times[name].append(time.perf_counter() - begin)
    [number] = found
    medians = {name: statistics.median(each) for name, each in times.items()}
    told = ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in medians.items())
    print(f"  {what}: {number} due; {told}; ratio {medians['ours'] / medians['bare']:.2f}")


def compare(directory: Path, number: int, name: str) -> None:
    """Everything over the ledger of one directory."""
    url = database.configured_url(directory)
    engine = database.sqlite_engine(directory / "ledger.sqlite") if url is None else database.postgres_engine(url)
    with Ledger.open(directory) as book:
        fill(book, number)
        print(f"{name}, {number} certificates")
        measure(book, engine, _NOW, "first day")
        most = memory(book, _NOW)
        tell_everybody(book, _YESTERDAY)
        if url is not None:
            with engine.begin() as connection:
                connection.exec_driver_sql("ANALYZE")
        measure(book, engine, _NOW, "usual day")
        print(f"  memory: {most / 1e6:.1f} MB at most on the first day")
    engine.dispose()


def main() -> None:
    number = int(sys.argv[1]) if sys.argv[1:] else _CERTIFICATES
    for size in (number // 100, number):
        with tempfile.TemporaryDirectory() as place:
            compare(Path(place), size, "SQLite")
        with running_postgres() as server, server.database() as url, tempfile.TemporaryDirectory() as place:
            settle(Path(place), url)
            compare(Path(place), size, "PostgreSQL")


if __name__ == "__main__":
    main()
