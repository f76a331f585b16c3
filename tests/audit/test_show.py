"""`kiosk journal show`: sentences, the visits that are meant, and nothing but text for the terminal."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kiosk.audit.reading import Wanted, opened
from kiosk.audit.words import broken, sentence, told
from kiosk.cli import main
from kiosk.errors import Code
from kiosk.journal import PC_IN_JOURNAL, Entry, Event, Journal
from kiosk.text_keys import TextKey
from kiosk.texts import Texts, languages
from tests.old_journal import write_old_journal
from tests.program.terminal import Terminal

NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)  # in Japan


class Writing:
    """Writes a journal as several visits would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = NOON
        self._journal = Journal(path, lambda: self.now)

    def visit(self, visit: str, usb: str, holder: str, *lines: tuple[Event, dict[str, str]]) -> None:
        for event, facts in lines:
            values = {"serial": "", "code": "", "detail": ""} | facts
            self._journal.append(visit, event, usb, holder, values["serial"], values["code"], values["detail"])
            self.now += timedelta(seconds=7)

    def close(self) -> None:
        self._journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three visits on two days."""
    writing = Writing(tmp_path / "journal.sqlite")
    writing.visit("aaaa", "USB1", "", (Event.VISIT_BEGUN, {}), (Event.PIN_REFUSED, {}))
    writing.visit("aaaa", "USB1", "TKYM1408054", (Event.LOGGED_IN, {}), (Event.ISSUED, {"serial": "60345f56"}))
    writing.visit("bbbb", "USB2", "", (Event.VISIT_BEGUN, {}))
    writing.visit("bbbb", "USB2", "OTHR0000001", (Event.PROBLEM, {"code": "T-02", "detail": "GeneralError"}))
    writing.now = datetime(2026, 11, 23, 15, 0, 0, tzinfo=UTC)  # midnight in Japan
    writing.visit("cccc", "USB1", "", (Event.ENROLMENT_WANTED, {"detail": "TKYM1408054"}), (Event.VISIT_ENDED, {}))
    writing.close()
    return writing.path


def show(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["journal", "show", "--journal", str(path), *arguments])


def test_what_a_branch_manager_reads(path: Path) -> None:
    assert show(path).stdout.splitlines() == [
        "2026年11月23日（月）",
        "  来店 aaaa　専用USB USB1",
        "    12:00:00  専用USBが差し込まれ、受付を開始しました。",
        "    12:00:07  暗証番号が違いました。",
        "    12:00:14  ID TKYM1408054 のお客様が本人確認を終えました。",
        "    12:00:21  新しい電子証明書が発行されました。（シリアル番号 60345f56）",
        "  来店 bbbb　専用USB USB2",
        "    12:00:28  専用USBが差し込まれ、受付を開始しました。",
        "    12:00:35  問題が起きました：T-02 " + Texts("ja")("problem.T-02.happened") + "（GeneralError）",  # type: ignore[arg-type]
        "",
        "2026年11月24日（火）",
        "  来店 cccc　専用USB USB1",
        "     0:00:00  ID TKYM1408054 の電子証明書取得が選ばれました。",
        "     0:00:07  受付を終了しました。",
    ]


def test_in_english(path: Path) -> None:
    told = show(path, "--language", "en", "--day", "2026-11-24").stdout.splitlines()
    assert told[:2] == ["Tue 24 November 2026", "  Visit cccc, USB token USB1"]
    assert told[2] == "     0:00:00  “Obtain a certificate” was chosen for ID TKYM1408054."


@pytest.mark.parametrize("language", languages())
def test_a_terminal_breaks_no_word(path: Path, language: str) -> None:
    with opened(path) as reader:
        lines = list(told(reader.lines(), Texts(language)))
    for line in lines:
        rows = list(broken(line, 50))
        assert all(cell_len(row) <= 50 for row in rows)
        assert all(row.startswith(" " * 14) for row in rows[1:])
        assert "".join("".join(rows).split()) == "".join(line.split())
    assert any(len(list(broken(line, 50))) > 1 for line in lines)


def test_lines_are_broken_on_a_terminal_only(path: Path) -> None:
    terminal = Terminal("journal", "show", "--journal", path, "--language", "en", columns=50)
    assert terminal.wait_for_end() == 0
    on_terminal = terminal.raw.decode().splitlines()
    assert max(map(cell_len, on_terminal)) <= 50
    assert len(on_terminal) > len(show(path, "--language", "en").stdout.splitlines())


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-31"])
@pytest.mark.parametrize("option", ["--day", "--since", "--until"])
def test_a_day_that_no_kiosk_sees_is_refused(path: Path, option: str, day: str) -> None:
    done = show(path, option, day)
    assert done.exit_code == 2
    assert "a year from 1970 to 9998 is wanted" in done.stderr


def test_a_visit_with_a_certificate_of_this_pc(tmp_path: Path) -> None:
    writing = Writing(tmp_path / "journal.sqlite")
    writing.visit("dddd", PC_IN_JOURNAL, "", (Event.VISIT_BEGUN, {}), (Event.PIN_REFUSED, {}), (Event.OLD_KEPT, {}))
    writing.close()
    told = show(writing.path).stdout
    assert told.splitlines()[1:] == [
        "  来店 dddd　このパソコンの電子証明書",
        "    12:00:00  このパソコンの電子証明書での受付を開始しました。",
        "    12:00:07  パスワードまたは専用USBの暗証番号が違いました。",
        "    12:00:14  お客様の希望により、このパソコンの古い電子証明書を残しました。",
    ]
    assert "USB token was there" not in show(writing.path, "--language", "en").stdout


@pytest.mark.parametrize(
    ("arguments", "visits"),
    [
        ((), "abc"),
        (("--id", "TKYM1408054"), "ac"),
        (("--id", "NOBODY"), ""),
        (("--serial", "60345F56"), "a"),
        (("--code", "t-02"), "b"),
        (("--problems",), "b"),
        (("--day", "2026-11-23"), "ab"),
        (("--day", "2026-11-24"), "c"),
        (("--since", "2026-11-24"), "c"),
        (("--until", "2026-11-23"), "ab"),
        (("--since", "2026-11-23", "--until", "2026-11-24"), "abc"),
        (("--id", "TKYM1408054", "--day", "2026-11-24"), "c"),
    ],
)
def test_whole_visits_are_chosen(path: Path, arguments: tuple[str, ...], visits: str) -> None:
    done = show(path, *arguments)
    assert done.exit_code == 0
    assert [each[0] for each in ("aaaa", "bbbb", "cccc") if f"来店 {each}" in done.stdout] == list(visits)
    if not visits:
        assert done.stdout == "該当する記録はありません。\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--day", "2026-11-23", "--since", "2026-11-23"],
        ["--day", "yesterday"],
        ["--settings", "kiosk.toml"],
    ],
)
def test_what_cannot_be_meant_is_refused(path: Path, arguments: list[str]) -> None:
    assert show(path, *arguments).exit_code == 2


def test_without_settings_or_journal() -> None:
    assert CliRunner().invoke(main, ["journal", "show"]).exit_code == 2


def test_no_journal_is_told(tmp_path: Path) -> None:
    done = show(tmp_path / "none.sqlite")
    assert done.exit_code == 1
    assert "there is no journal" in done.stderr
    assert not (tmp_path / "none.sqlite").exists()


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"no database" * 1000)
    done = show(tmp_path / "journal.sqlite")
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit)
    assert "damaged" in done.stderr


def test_the_settings_name_journal_and_language(path: Path, tmp_path: Path) -> None:
    settings = tmp_path / "kiosk.toml"
    settings.write_text(
        f"journal = {json.dumps(str(path))}\n"
        '[branch]\nlanguage = "en"\n[token]\nmodule = "m"\n[ca]\nurl = "http://ca/"\nroots = "r"\ntls_roots = "t"\n'
    )
    done = CliRunner().invoke(main, ["journal", "show", "--settings", str(settings), "--code", "T-02"])
    assert "A problem: T-02" in done.stdout


def test_broken_settings_are_told(tmp_path: Path) -> None:
    (tmp_path / "kiosk.toml").write_text("journal = 3")
    done = CliRunner().invoke(main, ["journal", "show", "--settings", str(tmp_path / "kiosk.toml")])
    assert (done.exit_code, "not understood" in done.stderr) == (1, True)


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_event_has_its_sentence(event: Event, language: str) -> None:
    key: TextKey = f"journal.{event}"  # type: ignore[assignment]
    assert Texts(language)(key) != key
    entry = Entry("2026-11-23T03:00:00.000+00:00", "v", event, "t", "TKYM1408054", "01", "K-02", "detail")
    told = sentence(entry, Texts(language))
    assert "{" not in told
    assert ("K-02" in told) == (event in (Event.PROBLEM, Event.STAFF_CALLED, Event.STAFF_NOT_REACHED))


@pytest.mark.parametrize("code", Code)
def test_a_problem_is_told_in_words(code: Code) -> None:
    entry = Entry("2026-11-23T03:00:00.000+00:00", "v", Event.PROBLEM, "t", "", "", code, "")
    assert Texts("en")(f"problem.{code}.happened") in sentence(entry, Texts("en"))  # type: ignore[arg-type]


@given(st.builds(Entry, *[st.text(max_size=30)] * 8))
def test_whatever_somebody_has_written_there_is_shown_and_does_nothing(entry: Entry) -> None:
    assert sentence(entry, Texts("en")).isprintable()


HOSTILE = "\x1b]0;x\x07\x1b[2J\r\n[@click=app.quit]\u202e\x9b31m"


def test_hostile_text_never_reaches_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        journal.append(HOSTILE, Event.PROBLEM, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "INSERT INTO journal (at, visit, event, detail) VALUES (?, ?, ?, CAST(x'ff1b5b324a' AS TEXT))",
            (HOSTILE,) * 3,
        )
        database.commit()
    done = show(path)
    assert done.exit_code == 0
    assert all(line.replace("　", " ").isprintable() for line in done.stdout.splitlines())
    assert "\\x1b]0;x\\x07" in done.stdout


def test_a_journal_of_any_length_is_not_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path, lambda: NOON) as journal:
        journal.append("v", Event.VISIT_BEGUN, "t", "", "", "", "")
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
            " INSERT INTO journal (number, at, visit, event, detail)"
            " SELECT i, '2026-11-23T03:00:00.000+00:00', 'v', 'issued', printf('%.200c', 'x') FROM n"
        )
        database.commit()
    with opened(path) as reader:
        tracemalloc.start()
        count = sum(1 for _ in reader.lines(Wanted(since=NOON - timedelta(days=1))))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 20000
    assert peak < 500_000, "bytes; the lines themselves have ten times that"


def test_a_journal_is_read_while_a_kiosk_writes_it(path: Path) -> None:
    with Journal(path, lambda: NOON) as journal, opened(path) as reader:
        lines = reader.lines()
        next(lines)
        journal.append("dddd", Event.VISIT_BEGUN, "", "", "", "", "")
        assert len(list(lines)) == 7, "those that were there when it began"
    with opened(path) as reader:
        assert len(list(reader.lines())) == 9


def test_a_journal_from_before_the_chain_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    write_old_journal(path)
    assert [line.strip() for line in show(path, "--language", "en").stdout.splitlines()] == [
        "Thu 1 January 2026",
        "Record v",
        "9:00:00  A visit began: a USB token was there.",
        "",
        "Mon 1 June 2026",
        "Record v",
        "9:00:00  The visit ended.",
    ]
