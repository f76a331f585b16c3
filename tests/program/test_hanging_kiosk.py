"""A real kiosk whose event loop hangs in the middle of a renewal: ended, started again, and nothing is lost."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from kiosk.crashes import Patience
from kiosk.journal import Event, Journal
from kiosk.settings import DEMO_PIN, save_settings
from tests.bank import Bank
from tests.program.descendants import watching_descendants
from tests.program.terminal import Terminal

KIOSK = Path(__file__).with_name("hanging_kiosk.py")
PATIENCE = Patience(hung_after=12.0)
"""Two heartbeats, and some time."""


def without_its_pin(bank: Bank) -> Path:
    """The settings of a kiosk that shows the PIN nowhere."""
    branch = msgspec.structs.replace(bank.settings.branch, demo=False)
    path = bank.directory / "kiosk.toml"
    save_settings(msgspec.structs.replace(bank.settings, branch=branch), path)
    return path


@pytest.mark.parametrize(
    ("event", "left_to_do"),
    [(Event.WRITING, ["証明書インポート", "インポート完了"]), (Event.RETIRING, [])],
)
async def test_a_renewal_that_hangs_is_finished_by_the_next_kiosk(
    bank: Bank, event: Event, left_to_do: list[str]
) -> None:
    with hanging(bank, event) as terminal:
        log_in(terminal)
        answer(terminal, "今すぐ更新する")
        answer(terminal, "専用USBに保存する", "3")
        for question in ("1/2", "2/2", "秘密交換キーをエクスポートします", "証明書インポート"):
            answer(terminal, question)
        log_in(terminal)
        for question in ("続けますか", *left_to_do):
            answer(terminal, question)
        terminal.wait_for("電子証明書の更新と専用USBへの保存が完了いたしました。")
    [told] = crashes(bank)
    assert re.fullmatch(r"hung for \d+ s, ended by SIGABRT at hanging_kiosk\.py:\d+", told)
    await bank.credential()
    assert DEMO_PIN.encode() not in terminal.raw + bank.journal_bytes()


async def test_one_that_turns_but_answers_no_key_hangs_as_well(bank: Bank) -> None:
    with hanging(bank, f"{Event.LOGGED_IN} queue") as terminal:
        log_in(terminal)
        log_in(terminal)
        terminal.wait_for("今すぐ更新する")
    [told] = crashes(bank)
    assert told.startswith("hung for ")


async def test_one_that_hangs_goes_with_its_launcher(bank: Bank) -> None:
    with hanging(bank, Event.LOGGED_IN) as terminal:
        log_in(terminal)
        terminal.wait_until(lambda: not (bank.directory / "hangs-at").exists(), "the hang")
        terminal.process.kill(signal.SIGKILL)


@contextmanager
def hanging(bank: Bank, at: str) -> Iterator[Terminal]:
    """The kiosk on a terminal; it hangs once, and then nothing of it is left."""
    settings = without_its_pin(bank)
    settings.with_name("hangs-at").write_text(at)
    with watching_descendants() as descendants:
        terminal = Terminal(KIOSK, settings, msgspec.json.encode(PATIENCE).decode(), module="tests.program.launching")
        yield terminal
        terminal.process.close(force=True)
        assert descendants.are_gone(), descendants.running()


def crashes(bank: Bank) -> list[str]:
    """The details of each."""
    with Journal(Path(bank.settings.journal)) as journal:
        return [each.detail for each in journal.entries() if each.event == Event.CRASHED]


def answer(terminal: Terminal, question: str, key: str = "1") -> None:
    terminal.wait_for(question)
    terminal.press(key)


def log_in(terminal: Terminal) -> None:
    answer(terminal, "はじめる")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    terminal.press(f"{DEMO_PIN}\r")
