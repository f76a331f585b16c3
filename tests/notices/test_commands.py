"""`kiosk notify` as an operator and a teller use it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from kiosk.ca.ledger import Ledger
from kiosk.ca.schema import NOTICES, NoticeState
from kiosk.cli import main
from kiosk.clock import JAPAN, days_left
from tests.notices.ledgers import enter, states
from tests.notices.mail_server import MailServer, serving
from tests.notices.samples import Clock

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 13, 12, tzinfo=JAPAN)


def kiosk(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["notify", *map(str, arguments)], obj=Clock(NOW))


def last_second(days: int) -> datetime:
    """Of the day that is so many days ahead."""
    return NOW.replace(hour=23, minute=59, second=59) + days * DAY


@pytest.fixture
def real(directory: Path) -> Iterator[Ledger]:
    """As the command itself opens it."""
    with Ledger.open_beside(directory) as opened:
        yield opened


@contextmanager
def mail_server(directory: Path, server: MailServer) -> Iterator[None]:
    """In a thread of its own, with settings that lead to it."""
    ready, end = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving(server):
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    write_settings(directory, server.port)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(30)
        loop.close()


def write_settings(directory: Path, port: int, more: str = "") -> None:
    text = f'from = "みほん信用金庫 <a@mihon.example>"\n[smtp]\nhost = "127.0.0.1"\nsecurity = "none"\nport = {port}\n'
    (directory / "notices.toml").write_text(text + more, encoding="utf-8")


def test_a_run_tells_what_became_of_each_and_ends_with_0(directory: Path, real: Ledger) -> None:
    enter(real, "TKYM1408054", last_second(29))
    enter(real, "TKYM1408055", last_second(8), email=None)
    server = MailServer()
    with mail_server(directory, server):
        done = kiosk("--directory", directory)
        again = kiosk("--directory", directory)
    assert (done.exit_code, again.exit_code) == (0, 0), done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("unreachable  TKYM1408055")
    assert lines[1].startswith("sent         TKYM1408054")
    assert "30-day notice, days left: 29" in lines[1]
    assert lines[2] == "1 sent, 1 unreachable"
    assert again.output == "nobody is due\n"
    assert "name of" not in done.output, "logs hold serial and ID, never names"
    assert len(server.taken) == 1


def test_what_is_left_for_the_next_run_is_a_failure_with_its_reason(directory: Path, real: Ledger) -> None:
    enter(real, "A", last_second(29))
    write_settings(directory, 1, "tries = 1\n")
    done = kiosk("--directory", directory)
    assert done.exit_code == 1
    assert "cannot be reached" in done.output
    assert "goes out with the next run" in done.output
    assert "Traceback" not in done.output


def test_a_dry_run_tells_who_would_get_one_and_changes_nothing(directory: Path, real: Ledger) -> None:
    enter(real, "A", last_second(29))
    enter(real, "B", last_second(31))
    write_settings(directory, 1)
    before = (directory / "ledger.sqlite").read_bytes()
    found = json.loads(kiosk("--directory", directory, "--dry-run", "--json").output)
    assert [(each["holder"], each["notice"], each["days_left"]) for each in found] == [("A", 30, 29)]
    assert states(real) == []
    assert (directory / "ledger.sqlite").read_bytes() == before
    assert "A@example.co.jp" in kiosk("--directory", directory, "--dry-run").output


def test_at_a_date_it_tells_who_would_get_one_then_and_sends_nothing(directory: Path, real: Ledger) -> None:
    enter(real, "A", last_second(29))
    enter(real, "B", last_second(31))
    write_settings(directory, 1)
    then = (NOW + 25 * DAY).date()
    found = json.loads(kiosk("--directory", directory, "--at", str(then), "--json").output)
    assert [(each["holder"], each["notice"], each["days_left"]) for each in found] == [("A", 10, 4), ("B", 10, 6)]
    assert states(real) == []


def test_one_run_at_a_time_where_the_ledger_is_a_file(directory: Path, real: Ledger) -> None:
    enter(real, "A", last_second(29))
    told: list[Result] = []
    server = MailServer()

    def second(step: str) -> None:
        if step == "MAIL":
            told.append(kiosk("--directory", directory))

    server.step = second
    with mail_server(directory, server):
        first = kiosk("--directory", directory)
    assert first.exit_code == 0
    assert [each.exit_code for each in told] == [1]
    assert "another run is on its way" in told[0].output
    assert len(server.taken) == 1


def test_a_claim_that_a_dead_run_has_left_is_taken_up_at_once(directory: Path, real: Ledger) -> None:
    enter(real, "A", last_second(29))
    server = MailServer()
    with mail_server(directory, server):
        kiosk("--directory", directory)
        with real.begin() as connection:
            connection.execute(update(NOTICES).values(state=NoticeState.SENDING, lease=NOW + DAY))
        assert kiosk("--directory", directory).exit_code == 0
    assert len(server.taken) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--json"], "--json goes with"),
        (["--csv"], "--json goes with"),
        (["--report", "--dry-run"], "--report sends nothing"),
        (["--at", "tomorrow"], "does not match"),
    ],
)
def test_what_does_not_go_together_is_a_wrong_use(directory: Path, arguments: list[str], told: str) -> None:
    done = kiosk("--directory", directory, *arguments)
    assert done.exit_code == 2
    assert told in done.output


def test_without_settings_or_ledger_it_says_what_to_do(directory: Path, tmp_path: Path) -> None:
    done = kiosk("--directory", directory)
    assert (done.exit_code, "notices.toml is missing" in done.output) == (1, True)
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    done = kiosk("--directory", nowhere)
    assert (done.exit_code, "kiosk ca init" in done.output) == (1, True)
    assert list(nowhere.iterdir()) == []


# --- the report


@pytest.fixture
def reported(directory: Path, real: Ledger) -> Path:
    """One told, one refused, one without an address, one who is still to be told, and one who ends later."""
    enter(real, "TOLD", last_second(29))
    enter(real, "REFUSED", last_second(9), name="=1+1")
    enter(real, "NOWHERE", last_second(9), email=None)
    enter(real, "=SOON", last_second(40))
    enter(real, "LATER", last_second(41))
    server = MailServer(always={"REFUSED@example.co.jp": "550 5.1.1 no such user"})
    with mail_server(directory, server):
        assert kiosk("--directory", directory).exit_code == 0
    return directory


def test_the_report_as_csv(reported: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(kiosk("--directory", reported, "--report", "--csv").output)))
    told, unreached, due = ([row for row in rows if row["list"] == part] for part in ("told", "unreached", "due"))
    assert [(row["holder"], row["notice"], row["days_left"], row["address"]) for row in told] == [
        ("TOLD", "30", "29", "TOLD@example.co.jp")
    ]
    assert {(row["holder"], row["notice"], row["state"], row["reason"]) for row in unreached} == {
        ("REFUSED", "10", "refused", "550 5.1.1 no such user"),
        ("NOWHERE", "10", "unreachable", ""),
    }
    assert [(row["holder"], row["days_left"], bool(row["at"])) for row in due] == [
        ("REFUSED", "9", False),
        ("NOWHERE", "9", False),
        ("TOLD", "29", True),
        ("'=SOON", "40", False),
    ]


def test_the_report_for_programs_has_the_same_records(reported: Path) -> None:
    records = json.loads(kiosk("--directory", reported, "--report", "--json").output)
    rows = list(csv.DictReader(io.StringIO(kiosk("--directory", reported, "--report", "--csv").output)))
    assert len(records) == len(rows) == 7
    assert [record["serial"] for record in records] == [row["serial"] for row in rows]
    assert list(records[0]) == list(rows[0])


def test_the_report_for_people_has_a_bar_a_day(reported: Path) -> None:
    text = kiosk("--directory", reported, "--report").output
    assert "Told in the last 40 days: 1" in text
    assert "Not reached in the last 40 days: 2" in text
    assert "Certificates that end in the next 40 days: 4" in text
    bars = {line.split()[2]: line for line in text.splitlines() if line[:2] == "20" and len(line.split()) >= 3}
    assert len(bars) == 41
    today = NOW.date()
    for left, number in ((0, 0), (9, 2), (29, 1), (40, 1)):
        line = bars[str(left)]
        assert line.startswith(str(today + left * DAY))
        assert line.split()[3:] == ([] if number == 0 else ["#" * line.count("#"), str(number)])
    assert bars["9"].count("#") == 2 * bars["29"].count("#")


def test_days_of_the_report_are_counted_as_everywhere(reported: Path) -> None:
    records = json.loads(kiosk("--directory", reported, "--report", "--json").output)
    for record in records:
        assert record["days_left"] == days_left(datetime.fromisoformat(record["ends"]), NOW)
