"""`kiosk journal verify`: finds what was changed, and calls nothing damaged that is not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.audit.reading import opened
from kiosk.audit.verifying import Flaw, Found, Verification, verify
from kiosk.cli import main
from kiosk.journal import Event, Journal
from tests.old_journal import write_old_journal

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TRIGGERS = ("journal_is_not_rewritten", "journal_is_not_replaced", "journal_is_erased_by_policy_only")


def write(path: Path, count: int = 5, now: datetime = NOW) -> None:
    with Journal(path, lambda: now) as journal:
        for number in range(count):
            journal.append("v", Event.ISSUED, "t", "TKYM1408054", "01", "", str(number))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    write(path)
    return path


def tamper(path: Path, *statements: str) -> None:
    """As somebody who has the file, and knows about the triggers."""
    with closing(sqlite3.connect(path)) as database:
        for trigger in TRIGGERS:
            database.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            database.execute(statement)
        database.commit()


def verified(path: Path, known: str = "") -> Verification:
    with opened(path) as reader:
        return verify(reader, known)


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["journal", "verify", "--journal", str(path), "--language", "en", *arguments])


def test_a_whole_journal(path: Path) -> None:
    done = run(path)
    assert done.exit_code == 0
    assert done.stdout.startswith("The journal is whole (5 lines).\n")
    found = verified(path)
    assert (found.lines, found.last_number, found.flaws) == (5, 5, [])
    assert found.last_link in done.stdout


def test_what_policy_removes_meanwhile_is_not_missed(tmp_path: Path) -> None:
    """The kiosk goes on while somebody reads: what he sees is of one moment."""
    path = tmp_path / "journal.sqlite"
    old = NOW - timedelta(days=100)
    with Journal(path, lambda: old) as journal:
        journal.append("v", Event.PREPROCESSED, "t", "", "", "", "")
    write(path)

    with opened(path) as reader:
        before = list(reader.lines())
        with Journal(path, lambda: NOW) as journal:
            journal.append("v", Event.PREPROCESSED, "t", "", "", "", "")
            assert journal.remove_older_than(30) == 1
        assert list(reader.lines()) == before
        assert reader.newest_removal() is None
        assert verify(reader).is_whole
    assert verified(path).is_whole


def test_an_empty_journal_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write(path, 0)
    assert verified(path).is_whole
    assert run(path).exit_code == 0


@pytest.mark.parametrize(
    ("statement", "flaws"),
    [
        ("UPDATE journal SET detail = 'x' WHERE number = 3", [Found(Flaw.CHANGED, 3)]),
        ("UPDATE journal SET at = '2026-01-01' WHERE number = 1", [Found(Flaw.CHANGED, 1)]),
        ("UPDATE journal SET holder = '' WHERE number = 5", [Found(Flaw.CHANGED, 5)]),
        ("UPDATE journal SET chain = lower(hex(randomblob(32))) WHERE number = 5", [Found(Flaw.CHANGED, 5)]),
        ("DELETE FROM journal WHERE number = 3", [Found(Flaw.MISSING, 4)]),
        ("DELETE FROM journal WHERE number < 3", [Found(Flaw.MISSING, 3)]),
        ("INSERT INTO journal (number, at, visit, event) VALUES (6, '', '', 'forged')", [Found(Flaw.UNLINKED, 6)]),
    ],
)
def test_what_somebody_did_is_found(path: Path, statement: str, flaws: list[Found]) -> None:
    tamper(path, statement)
    assert verified(path).flaws == flaws
    done = run(path)
    assert done.exit_code == 1
    assert "The journal is not whole" in done.stdout
    assert "Keep the file as it is" in done.stdout


def test_lines_that_changed_places_are_found(path: Path) -> None:
    tamper(
        path,
        "UPDATE journal SET number = 99 WHERE number = 2",
        "UPDATE journal SET number = 2 WHERE number = 3",
        "UPDATE journal SET number = 3 WHERE number = 99",
    )
    assert Found(Flaw.CHANGED, 2) in verified(path).flaws


def test_a_cut_end_is_found_by_whoever_noted_the_link(path: Path) -> None:
    noted = verified(path).last_link
    write(path)
    assert verified(path, noted).known is True, "what came since does not matter"
    tamper(path, "DELETE FROM journal WHERE number > 4")
    assert verified(path).is_whole, "a chain alone cannot tell"
    assert verified(path, noted).known is False
    done = run(path, "--known", noted.upper())
    assert done.exit_code == 1
    assert "is not in the journal" in done.stdout


def test_what_policy_removed_is_no_flaw(path: Path) -> None:
    noted = verified(path).last_link
    with Journal(path, lambda: NOW + timedelta(days=100)) as journal:
        journal.append("v", Event.PREPROCESSED, "", "", "", "", "")
        assert journal.remove_older_than(30) == 5
    found = verified(path, noted)
    assert (found.is_whole, found.removed_through, found.lines, found.known) == (True, 5, 2, True)
    done = run(path)
    assert done.exit_code == 0
    assert "Lines through 5 were removed" in done.stdout


def test_a_removal_in_policys_name_is_found(path: Path) -> None:
    tamper(
        path,
        "INSERT INTO removed SELECT number, chain, at FROM journal WHERE number = 2",
        "DELETE FROM journal WHERE number <= 2",
    )
    assert verified(path).flaws == [Found(Flaw.REMOVAL_NOT_NOTED, 2)]


def test_many_flaws_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write(path, 60)
    tamper(path, "UPDATE journal SET detail = 'x'")
    found = verified(path)
    assert (found.flaw_count, len(found.flaws)) == (60, 20)
    assert "and 40 more" in run(path).stdout


def test_lines_from_before_the_chain_are_covered_by_the_first_link(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write_old_journal(path)
    assert verified(path).before_chain == 2
    write(path, 2)
    assert verified(path).is_whole
    tamper(path, "UPDATE journal SET event = 'idle' WHERE number = 1")
    assert verified(path).flaws == [Found(Flaw.CHANGED, 3)]


def cut_wal(path: Path) -> None:
    """The power goes while the last line is being written."""
    wal = path.with_name(path.name + "-wal")
    wal.write_bytes(wal.read_bytes()[:-100])


def test_a_line_cut_by_a_power_cut_is_no_damage(tmp_path: Path) -> None:
    path, cut = tmp_path / "journal.sqlite", tmp_path / "cut" / "journal.sqlite"
    cut.parent.mkdir()
    with Journal(path, lambda: NOW) as journal:
        for number in range(3):
            journal.append("v", Event.ISSUED, "", "", "", "", str(number))
        for name in ("journal.sqlite", "journal.sqlite-wal"):
            shutil.copyfile(tmp_path / name, cut.parent / name)
    cut_wal(cut)
    found = verified(cut)
    assert (found.is_whole, found.lines) == (True, 2), "the line that was not acknowledged never was in it"
    write(cut, 1)
    assert verified(cut).is_whole


def overwritten(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def page_overwritten(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[8192:12288] = b"\xff" * 4096
    path.write_bytes(whole)


@pytest.mark.parametrize("spoil", [overwritten, page_overwritten])
def test_a_damaged_file(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "journal.sqlite"
    write(path, 200)
    spoil(path)
    done = run(path)
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit)
    assert "The journal's file is damaged." in done.stdout


def test_no_journal(tmp_path: Path) -> None:
    assert run(tmp_path / "none").exit_code == 1


@settings(max_examples=40)
@given(st.integers(0, 4), st.integers(0, 7), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
def test_any_change_of_any_field_is_found(number: int, column: int, value: str) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "journal.sqlite"
        write(path)
        name = ("at", "visit", "event", "token", "holder", "serial", "code", "detail")[column]
        with opened(path) as reader:
            unchanged = getattr(list(reader.lines())[number].entry, name) == value
        with closing(sqlite3.connect(path)) as database:
            database.execute("DROP TRIGGER journal_is_not_rewritten")
            database.execute(f"UPDATE journal SET {name} = ? WHERE number = ?", (value, number + 1))  # noqa: S608
            database.commit()
        assert verified(path).is_whole == unchanged
