"""The real `kiosk demo` on a pty: real keys, real signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.program.descendants import Descendants, below_us, watching_descendants
from tests.program.terminal import Terminal
from tests.program.test_demo import pkcs11_tool

NORMAL_SCREEN = b"\x1b[?1049l"
MINUTE_SHOWN_BY = 4
"""Seconds of a minute by which the header has shown it, also on a busy machine."""
NO_MOUSE = b"\x1b[?1003l"


Demo = Callable[..., Terminal]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "demo"


@pytest.fixture
def descendants() -> Iterator[Descendants]:
    """Every process the test starts, whoever its parent is by now."""
    with watching_descendants() as descendants:
        yield descendants


@pytest.fixture
def demo(directory: Path, descendants: Descendants) -> Iterator[Demo]:
    """Starts `kiosk demo` on a pty; after the test nothing of it may be left."""
    started: list[Terminal] = []

    def start(*arguments: str, module: str = "kiosk") -> Terminal:
        started.append(Terminal("demo", "--key", "ec-p256", "--directory", directory, *arguments, module=module))
        return started[-1]

    yield start
    for terminal in started:
        terminal.process.close(force=True)
    assert descendants.are_gone()


def core_limits(module: str) -> set[str]:
    """Soft and hard limits of the cores of those processes below us that run `module`."""
    limits = [Path(f"/proc/{each.pid}/limits").read_text() for each in below_us() if module in each.command]
    lines = [line for told in limits for line in told.splitlines() if line.startswith("Max core file size")]
    return {" ".join(line.split()[4:6]) for line in lines}


def test_a_whole_visit_by_keystrokes(demo: Demo, directory: Path) -> None:
    terminal = demo()
    terminal.wait_for("はじめる", "123456")
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    assert "123456" not in terminal.text()
    terminal.press("123456\r")
    terminal.wait_for("電子証明書更新通知", "今すぐ更新する", "後で更新する")
    for module in ("kiosk.terminal", "kiosk.tokens.worker"):
        assert core_limits(module) == {"0 0"}, "none of those that know a PIN leaves a core"
    terminal.press("1")
    terminal.wait_for("電子証明書更新開始", "専用USBに保存する")
    terminal.press("3")
    terminal.wait_for("Webアクセスの確認", "1/2")
    terminal.press("1")
    terminal.wait_for("Webアクセスの確認", "2/2")
    terminal.press("1")
    terminal.wait_for("秘密交換キーをエクスポートします")
    terminal.press("1")
    terminal.wait_for("証明書インポート", "OK")
    terminal.press("1")
    terminal.wait_for("インポート完了", "OK")
    terminal.press("1")
    terminal.wait_for("電子証明書の更新と専用USBへの保存が完了いたしました。", "このウィンドウを閉じる")
    objects = pkcs11_tool(directory, "--list-objects")
    assert objects.count("Private Key Object") == 1
    terminal.press("1")
    terminal.wait_for("はじめる")
    terminal.press("\x11")
    assert terminal.wait_for_end() == 0
    assert NORMAL_SCREEN in terminal.raw


def test_standby_writes_nothing_while_nothing_changes(demo: Demo) -> None:
    """Not one byte in five seconds; only the minute in the header may come, and is waited for."""
    terminal = demo()
    terminal.wait_for("はじめる")
    while terminal.read_for(1.0):
        pass  # still being drawn
    while True:
        while time.localtime().tm_sec < MINUTE_SHOWN_BY:
            terminal.read_for(1.0)
        minute = time.localtime().tm_min
        written = terminal.read_for(5.0)
        if time.localtime().tm_min == minute:
            break
    assert written == 0


def test_english(demo: Demo) -> None:
    terminal = demo("--language", "en")
    terminal.wait_for("日本語")
    terminal.press("1")
    terminal.wait_for("PIN")
    terminal.process.kill(signal.SIGTERM)
    terminal.wait_for_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(demo: Demo, number: signal.Signals) -> None:
    terminal = demo()
    terminal.wait_for("はじめる")
    terminal.process.kill(number)
    terminal.wait_for_end()
    assert NORMAL_SCREEN in terminal.raw
    assert NO_MOUSE in terminal.raw
    assert b"Traceback" not in terminal.raw


def test_kill_9_leaves_nothing_running(demo: Demo, descendants: Descendants) -> None:
    terminal = demo()
    terminal.wait_for("はじめる")
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    for words in ("kiosk demo", "ca serve", "kiosk.terminal", "kiosk.tokens.worker"):
        descendants.the_one(words)
    os.kill(terminal.pid, signal.SIGKILL)
    assert terminal.wait_for_end() == -signal.SIGKILL
    assert descendants.are_gone(), "also where nobody reads the terminal any more"


def test_kill_9_of_a_launcher_below_a_shell_ends_the_kiosk_in_order(demo: Demo, descendants: Descendants) -> None:
    """The terminal does not hang up then."""
    terminal = demo(module="tests.program.below_a_shell")
    terminal.wait_for("はじめる")
    assert NORMAL_SCREEN not in terminal.raw
    kiosk = descendants.the_one("kiosk.terminal")
    os.kill(descendants.the_one("-m kiosk demo").pid, signal.SIGKILL)
    terminal.wait_until(lambda: kiosk.pid not in {each.pid for each in descendants.running()}, "the kiosk's end")
    terminal.read_for(0.5)
    assert NORMAL_SCREEN in terminal.raw


def test_kill_9_while_the_screens_start_leaves_nothing_running(demo: Demo, descendants: Descendants) -> None:
    terminal = demo()
    end = time.monotonic() + 30
    while not any("kiosk.terminal" in each.command for each in descendants.running()):
        assert time.monotonic() < end
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.wait_for_end()
    assert descendants.are_gone()


def test_a_killed_ca_is_told_as_a_problem_and_loses_nothing(
    demo: Demo, directory: Path, descendants: Descendants
) -> None:
    terminal = demo()
    terminal.wait_for("はじめる")
    os.kill(descendants.the_one("ca serve").pid, signal.SIGKILL)
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    terminal.press("123456\r")
    terminal.wait_for("今すぐ更新する")
    terminal.press("1")
    terminal.wait_for("認証局につながりませんでした")
    terminal.press("1")
    terminal.wait_for("はじめる")
    assert pkcs11_tool(directory, "--list-objects").count("Private Key Object") == 1


PIN = "48151623"
"""One that nothing tells, and that is typed without being confirmed."""


def tells_nothing(terminal: Terminal, directory: Path) -> None:
    """Neither the terminal nor any file, a core among them, has the PIN."""
    assert PIN.encode() not in terminal.raw
    for file in (*directory.rglob("*"), *Path.cwd().glob("core*")):
        assert not file.is_file() or PIN.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGHUP])
def test_a_kiosk_killed_with_a_pin_typed_comes_back(
    demo: Demo, directory: Path, descendants: Descendants, number: signal.Signals
) -> None:
    terminal = demo()
    terminal.wait_for("はじめる")
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    terminal.press(PIN)
    terminal.wait_for("●" * 8)
    first = descendants.the_one("kiosk.terminal")
    os.kill(first.pid, number)
    terminal.wait_for("専用USBが差し込まれています", "はじめる")
    assert descendants.the_one("kiosk.terminal").pid != first.pid
    descendants.the_one("kiosk.tokens.worker")
    tells_nothing(terminal, directory)
    terminal.press("\x11")
    assert terminal.wait_for_end() == 0
    assert terminal.raw.rindex(NORMAL_SCREEN) > terminal.raw.rindex(b"\x1b[?1049h")


def log_in(terminal: Terminal) -> None:
    terminal.wait_for("はじめる")
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    terminal.press("123456\r")


def test_told_to_end_during_the_save_it_ends_and_the_visit_is_finished_at_the_next_start(
    demo: Demo, directory: Path, descendants: Descendants
) -> None:
    """While the token's process writes, which is held there so that the moment is no matter of luck."""
    terminal = demo()
    log_in(terminal)
    for question in ("今すぐ更新する", "電子証明書更新開始", "1/2", "2/2", "秘密交換キーをエクスポートします"):
        terminal.wait_for(question)
        terminal.press("3" if question == "電子証明書更新開始" else "1")
    terminal.wait_for("証明書インポート", "OK")
    for each in descendants.running():
        if "kiosk.tokens.worker" in each.command:  # the one of the visit, and the fresh one that is to prove
            os.kill(each.pid, signal.SIGSTOP)
    terminal.press("1")
    terminal.wait_for("▶ 新しい電子証明書を書き込む")
    terminal.process.kill(signal.SIGTERM)
    assert terminal.wait_for_end() == 0
    assert terminal.raw.rindex(NORMAL_SCREEN) > terminal.raw.rindex(b"\x1b[?1049h")
    assert descendants.are_gone()
    assert pkcs11_tool(directory, "--list-objects").count("Private Key Object") == 2

    again = demo("--keep")
    log_in(again)
    again.wait_for("前回の更新が途中です")
    again.press("1")
    again.wait_for("証明書インポート", "OK")
    again.press("1")
    again.wait_for("インポート完了", "OK")
    again.press("1")
    again.wait_for("電子証明書の更新と専用USBへの保存が完了いたしました。")
    assert pkcs11_tool(directory, "--list-objects").count("Private Key Object") == 1
    again.process.kill(signal.SIGTERM)
    again.wait_for_end()


def test_a_token_process_killed_with_a_pin_typed_ends_the_visit(
    demo: Demo, directory: Path, descendants: Descendants
) -> None:
    terminal = demo()
    terminal.wait_for("はじめる")
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    terminal.press(PIN)
    terminal.wait_for("●" * 8)
    os.kill(descendants.the_one("kiosk.tokens.worker").pid, signal.SIGKILL)
    terminal.wait_for("専用USBでの処理に失敗しました")
    tells_nothing(terminal, directory)
    terminal.press("1")
    terminal.wait_for("はじめる")


def test_a_token_process_killed_in_standby_is_replaced(demo: Demo, descendants: Descendants) -> None:
    terminal = demo()
    terminal.wait_for("はじめる")
    os.kill(descendants.the_one("kiosk.tokens.worker").pid, signal.SIGKILL)
    terminal.press("1")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
