"""A real kiosk whose event loop hangs in the middle of a renewal: ended, started again, and nothing is lost."""

from __future__ import annotations

import re
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
    settings = without_its_pin(bank)
    settings.with_name("hangs-at").write_text(event)
    with watching_descendants() as descendants:
        terminal = Terminal(KIOSK, settings, msgspec.json.encode(PATIENCE).decode(), module="tests.program.launching")
        log_in(terminal)
        answer(terminal, "今すぐ更新する")
        answer(terminal, "専用USBに保存する", "3")
        for question in ("1/2", "2/2", "秘密交換キーをエクスポートします", "証明書インポート"):
            answer(terminal, question)
        log_in(terminal)
        for question in ("続けますか", *left_to_do):
            answer(terminal, question)
        terminal.wait_for("電子証明書の更新と専用USBへの保存が完了いたしました。")
        terminal.process.close(force=True)
        assert descendants.are_gone()
    with Journal(Path(bank.settings.journal)) as journal:
        told = [each.detail for each in journal.entries() if each.event == Event.CRASHED]
    assert len(told) == 1
    assert re.fullmatch(r"hung for \d+ s, ended by SIGABRT at hanging_kiosk\.py:\d+", told[0])
    await bank.credential()
    assert DEMO_PIN.encode() not in terminal.raw + bank.journal_bytes()


def answer(terminal: Terminal, question: str, key: str = "1") -> None:
    terminal.wait_for(question)
    terminal.press(key)


def log_in(terminal: Terminal) -> None:
    answer(terminal, "はじめる")
    terminal.wait_for("暗証番号を入力してください", "数字キーで入力")
    terminal.press(f"{DEMO_PIN}\r")
