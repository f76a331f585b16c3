"""The launcher on a real pty, over kiosks that end in every way there is."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from kiosk.crashes import Patience
from kiosk.errors import Code
from kiosk.journal import Entry, Event, Journal
from kiosk.settings import CaSettings, Settings, save_settings
from kiosk.tokens.process import ModuleSettings
from tests.program.descendants import Descendants, watching_descendants
from tests.program.terminal import LIMIT, Terminal
from tests.program.test_terminal import NO_MOUSE, NORMAL_SCREEN

PRETENDED = Path(__file__).with_name("pretended_kiosk.py")
AT_ONCE, NEVER = 0.05, 3600.0
"""Seconds of a first pause: one that is over soon, and one that no test sees the end of."""
SOON = 0.5
"""Seconds of silence after which a kiosk hangs, in a test that waits for that..."""
LATER = 2.5
"""...and in one in which a kiosk must not seem to, on a machine that is busy."""

Launch = Callable[..., Terminal]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    ca = CaSettings(url="http://127.0.0.1:1/", roots="roots.pem", tls_roots="roots.pem")
    settings = Settings(token=ModuleSettings(module="none.so"), ca=ca, journal=str(tmp_path / "journal.sqlite"))
    save_settings(settings, tmp_path / "kiosk.toml")
    return tmp_path


@pytest.fixture
def descendants() -> Iterator[Descendants]:
    with watching_descendants() as descendants:
        yield descendants


@pytest.fixture
def launched(directory: Path, descendants: Descendants) -> Iterator[Launch]:
    """Launches kiosks that end one after another as named; after that they stand."""
    started: list[Terminal] = []

    def start(
        *ends: str,
        first_pause: float = NEVER,
        hung_after: float = NEVER,
        first_sign: float = NEVER,
        grace: float = 1.0,
        columns: int = 120,
    ) -> Terminal:
        (directory / "ends").write_text("\n".join(ends))
        patience = Patience(
            first_pause=first_pause,
            longest_pause=first_pause,
            grace=grace,
            hung_after=hung_after,
            first_sign=first_sign,
        )
        arguments = (PRETENDED, directory / "kiosk.toml", msgspec.json.encode(patience).decode())
        started.append(Terminal(*arguments, module="tests.program.launching", columns=columns))
        return started[-1]

    yield start
    for terminal in started:
        terminal.process.close(force=True)
    assert descendants.are_gone()


def journal(directory: Path) -> list[Entry]:
    with Journal(directory / "journal.sqlite") as opened:
        return opened.entries()


def crashes(directory: Path) -> list[tuple[str, str]]:
    """Code and detail of each."""
    return [(each.code, each.detail) for each in journal(directory) if each.event == Event.CRASHED]


@pytest.mark.parametrize(
    ("how", "told"),
    [("raises", "ended by ZeroDivisionError at somewhere.py:7"), ("killed", "ended by SIGKILL")],
)
def test_one_that_crashes_is_started_again(launched: Launch, directory: Path, how: str, told: str) -> None:
    terminal = launched(how, how)
    terminal.wait_for("this kiosk stands")
    assert crashes(directory) == [("", told)] * 2


def test_three_crashes_are_told_with_their_code_and_waited_for(launched: Launch, directory: Path) -> None:
    terminal = launched("raises", "killed", "raises", "raises")
    terminal.wait_for("調整中", "Out of order", Code.KIOSK_CRASHED)
    assert [code for code, _ in crashes(directory)] == ["", "", Code.KIOSK_CRASHED]
    assert "this kiosk" not in terminal.text()
    assert (directory / "ends").read_text() == "raises", "no fourth one was started"


def test_after_the_pause_it_comes_back_by_itself(launched: Launch, directory: Path) -> None:
    terminal = launched(*["raises"] * 5, first_pause=AT_ONCE)
    terminal.wait_for("this kiosk stands")
    assert [code for code, _ in crashes(directory)] == ["", ""] + [Code.KIOSK_CRASHED] * 3
    assert "調整中".encode() in terminal.raw


def test_what_stands_in_its_way_is_told_at_once_and_tried_again(launched: Launch, directory: Path) -> None:
    terminal = launched("blocked K-02", first_pause=AT_ONCE)
    terminal.wait_for("this kiosk stands")
    assert "調整中".encode() in terminal.raw, "its own screen has K-02 on it as well"
    assert crashes(directory) == [("K-02", "no room")]


def test_wrong_settings_are_told_and_not_tried_again(launched: Launch) -> None:
    terminal = launched("raises", "misconfigured")
    assert terminal.wait_for_end() == os.EX_CONFIG
    assert b"kiosk: the settings file is not understood" in terminal.raw[terminal.raw.rindex(NORMAL_SCREEN) :]


def test_one_that_was_left_is_over(launched: Launch) -> None:
    terminal = launched("left")
    assert terminal.wait_for_end() == 0
    assert terminal.is_fit_for_a_shell
    assert terminal.raw.rindex(NORMAL_SCREEN) > terminal.raw.rindex(b"\x1b[?1049h")


def test_a_signal_for_the_kiosk_alone_is_no_end(launched: Launch, descendants: Descendants, directory: Path) -> None:
    terminal = launched()
    terminal.wait_for("this kiosk stands")
    first = descendants.the_one(f"-P {PRETENDED}")
    os.kill(first.pid, signal.SIGTERM)
    while not crashes(directory):
        terminal.read_for(0.1)
    terminal.wait_for("this kiosk stands")
    assert crashes(directory) == [("", "ended by SIGTERM")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("ends", [[], ["raises"] * 3], ids=["while it stands", "while it waits"])
def test_a_signal_for_the_launcher_gives_the_terminal_back(
    launched: Launch, ends: list[str], number: signal.Signals
) -> None:
    terminal = launched(*ends)
    terminal.wait_for(Code.KIOSK_CRASHED if ends else "this kiosk stands")
    terminal.process.kill(number)
    assert terminal.wait_for_end() == 0
    assert terminal.is_fit_for_a_shell
    assert terminal.raw.rindex(NORMAL_SCREEN) > terminal.raw.rindex(b"\x1b[?1049h")
    assert terminal.raw.rindex(NO_MOUSE) > terminal.raw.rindex(b"\x1b[?1003h")


def test_a_kiosk_that_hears_no_signal_is_ended_all_the_same(launched: Launch) -> None:
    terminal = launched("deaf")
    terminal.wait_for("this kiosk deaf")
    terminal.process.kill(signal.SIGTERM)
    assert terminal.wait_for_end() == 0


@pytest.mark.parametrize("ends", [[], ["raises"] * 3], ids=["while it stands", "while it waits"])
def test_a_closed_terminal_is_the_end(launched: Launch, descendants: Descendants, ends: list[str]) -> None:
    terminal = launched(*ends)
    terminal.wait_for(Code.KIOSK_CRASHED if ends else "this kiosk stands")
    terminal.process.close(force=False)
    assert descendants.are_gone()


def test_keys_reach_neither_a_shell_nor_the_next_kiosk(launched: Launch, directory: Path) -> None:
    """Ctrl+C, Ctrl+\\, Ctrl+Z and Ctrl+S between two kiosks, and a line that somebody has typed."""
    terminal = launched(*["raises"] * 3)
    terminal.wait_for(Code.KIOSK_CRASHED)
    terminal.process.send("\x03\x1c\x1a\x13rm -rf /\r")
    drawn = terminal.raw.count("調整中".encode())
    terminal.process.setwinsize(20, 70)
    terminal.wait_until(lambda: terminal.raw.count("調整中".encode()) > drawn, "the same for the new size")
    assert terminal.process.isalive()
    assert b"rm -rf" not in terminal.raw
    assert len(crashes(directory)) == 3


def test_a_journal_that_cannot_be_written_stops_nothing(launched: Launch, directory: Path) -> None:
    (directory / "journal.sqlite").mkdir()
    terminal = launched("raises", "blocked K-02", "raises", first_pause=AT_ONCE)
    terminal.wait_for("this kiosk stands")


def test_one_that_hangs_is_ended_and_says_where(launched: Launch, directory: Path) -> None:
    terminal = launched("hangs", hung_after=SOON)
    terminal.wait_for("this kiosk stands")
    [(code, told)] = crashes(directory)
    assert code == ""
    assert re.fullmatch(r"hung for [01] s, ended by SIGABRT at pretended_kiosk\.py:\d+", told)


def test_one_that_hangs_and_hears_nothing_is_ended_all_the_same(launched: Launch, directory: Path) -> None:
    terminal = launched("hangs and is deaf", hung_after=SOON)
    terminal.wait_for("this kiosk stands")
    assert [told.partition(", ")[2] for _, told in crashes(directory)] == ["ended by SIGKILL"]


def test_one_that_hangs_from_the_start_is_ended(launched: Launch, directory: Path) -> None:
    terminal = launched("begins never", first_sign=SOON)
    terminal.wait_for("this kiosk stands")
    assert [told.partition(", ")[2] for _, told in crashes(directory)] == ["ended by SIGABRT"]


def test_one_that_takes_its_time_to_begin_is_waited_for(launched: Launch, directory: Path) -> None:
    terminal = launched("begins slowly", hung_after=LATER)
    terminal.wait_for("this kiosk begins slowly")
    terminal.read_for(2 * LATER)
    assert crashes(directory) == []


def test_three_that_hang_are_told_with_their_code(launched: Launch, directory: Path) -> None:
    terminal = launched("hangs", "hangs", "hangs", hung_after=SOON)
    terminal.wait_for("調整中", "Out of order", Code.KIOSK_CRASHED)
    assert [code for code, _ in crashes(directory)] == ["", "", Code.KIOSK_CRASHED]


@pytest.mark.parametrize("who", [["kiosk"], ["launcher"], ["kiosk", "launcher"]], ids=" and ".join)
def test_who_is_stopped_for_a_while_does_not_hang(
    launched: Launch, descendants: Descendants, directory: Path, who: list[str]
) -> None:
    """By a signal: a debugger, or a machine that sleeps, does the same."""
    terminal = launched(hung_after=LATER)
    terminal.wait_for("this kiosk stands")
    kiosk = descendants.the_one(f"-P {PRETENDED}").pid
    processes = [{"kiosk": kiosk, "launcher": terminal.pid}[each] for each in who]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for process in processes:
            os.kill(process, number)
        terminal.read_for(1.5 * LATER)
    assert descendants.the_one(f"-P {PRETENDED}").pid == kiosk
    assert crashes(directory) == []


@pytest.mark.parametrize("hung_after", [SOON, NEVER], ids=["after the kiosk was ended", "while the kiosk waits for it"])
def test_a_terminal_that_reads_nothing_keeps_nobody_from_ending(
    launched: Launch, descendants: Descendants, directory: Path, hung_after: float
) -> None:
    """A terminal program that hangs itself: what is written for it waits, and nobody with it."""
    terminal = launched("floods", "floods", first_sign=hung_after)
    ended, deadline = (1 if hung_after == SOON else 0), time.monotonic() + 20
    while not (directory / "full").exists() or len(crashes(directory)) < ended:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    terminal.process.kill(signal.SIGTERM)
    assert descendants.are_gone()


def test_no_kiosk_is_started_beside_what_another_has_left_at_work(launched: Launch, directory: Path) -> None:
    """A token process that writes, which outlives its kiosk for that moment."""
    os.mkfifo(directory / "gate")
    terminal = launched("leaves an orphan", grace=LIMIT)
    with (directory / "gate").open("wb"):
        terminal.wait_until(lambda: bool(crashes(directory)), "the crash")
        terminal.read_for(2.0)
        assert "this kiosk stands" not in terminal.text()
    terminal.wait_for("this kiosk stands")
    assert (directory / "ended").exists()


def test_what_is_left_and_does_not_end_is_ended(launched: Launch, directory: Path) -> None:
    os.mkfifo(directory / "gate")
    terminal = launched("leaves an orphan")
    with (directory / "gate").open("wb"):
        terminal.wait_for("this kiosk stands")
        assert len(children_of(terminal)) == 1, "the kiosk alone"
    assert not (directory / "ended").exists()


def test_whoever_is_adopted_is_buried(launched: Launch) -> None:
    """A kiosk runs for months, and each process that has ended and is not asked for keeps its number."""
    terminal = launched("has helpers", hung_after=LATER)
    terminal.wait_for("this kiosk has helpers")
    terminal.wait_until(lambda: len(children_of(terminal)) == 1, "the end of the helpers")


def children_of(terminal: Terminal) -> list[str]:
    return Path(f"/proc/{terminal.pid}/task/{terminal.pid}/children").read_text().split()


def test_told_to_end_it_does_not_wait_for_what_is_left(launched: Launch, directory: Path) -> None:
    os.mkfifo(directory / "gate")
    terminal = launched("leaves an orphan", grace=NEVER)
    with (directory / "gate").open("wb"):
        terminal.wait_until(lambda: bool(crashes(directory)), "the crash")
        terminal.process.kill(signal.SIGTERM)
        terminal.wait_until(lambda: not terminal.process.isalive(), "the launcher's end")
