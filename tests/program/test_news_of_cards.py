"""A whole kiosk that is no demo: it hears of cards by a process of its own, lives without it and leaves none behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec

from kiosk.settings import save_settings
from tests.bank import Bank
from tests.program.descendants import watching_descendants
from tests.program.terminal import Terminal
from tests.tokens.test_presence import WITH_LIBRARY, until

LISTENER, KIOSK = "kiosk.tokens.card_events", "kiosk.terminal"
STANDBY = "はじめる"


def settings_of(bank: Bank, directory: Path) -> Path:
    """The bank's, as an installer would have them; no pcscd is where they say."""
    token = bank.settings.token
    environment = {**token.environment, "PCSCLITE_CSOCK_NAME": str(directory / "nobody")}
    settings = msgspec.structs.replace(
        bank.settings,
        token=msgspec.structs.replace(token, environment=environment),
        branch=msgspec.structs.replace(bank.settings.branch, demo=False, demo_code=""),
    )
    path = directory / "kiosk.toml"
    save_settings(settings, path)
    return path


@WITH_LIBRARY
async def test_who_hears_of_cards_may_die_and_does_not_outlive_the_kiosk(bank: Bank, tmp_path: Path) -> None:
    with watching_descendants() as descendants:
        terminal = Terminal("run", "--settings", settings_of(bank, tmp_path))
        terminal.wait_for(STANDBY)
        listener = descendants.the_one(LISTENER)
        os.kill(listener.pid, signal.SIGKILL)
        await until(lambda: all(each.pid != listener.pid for each in descendants.running()))
        await until(lambda: any(LISTENER in each.command for each in descendants.running()))
        terminal.wait_for(STANDBY)
        os.kill(descendants.the_one(KIOSK).pid, signal.SIGKILL)
        await until(lambda: not any(LISTENER in each.command for each in descendants.running()))
        terminal.process.close(force=True)
        assert descendants.are_gone()
