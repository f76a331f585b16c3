"""Ready token processes are to the kiosk what it starts itself."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from kiosk.demo_bank import TOKEN_LABEL
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import find_tokens
from tests.bank import Bank, child_processes
from tests.ready_tokens import Adopted


async def test_one_is_our_child_and_answers(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    assert isinstance(process._process, Adopted)
    assert process.pid in child_processes()
    (facts,) = await find_tokens(process)
    assert facts.label == TOKEN_LABEL
    await process.end()
    assert process.pid not in child_processes()
    assert process._process.returncode == -signal.SIGKILL


async def test_two_share_nothing(bank: Bank) -> None:
    first, second = (TokenProcess.start(bank.settings.token) for _ in range(2))
    await find_tokens(first)
    assert mapped(first, "softhsm")
    assert not mapped(second, "softhsm")
    await first.end()
    await find_tokens(second)
    (requests,) = (each for each in open_files(second) if not each.startswith("/"))
    assert requests.startswith("socket:")
    await second.end()


def test_waiting_for_one_that_goes_on_has_its_limit(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    with pytest.raises(subprocess.TimeoutExpired):
        process._process.wait(0.01)
    os.kill(process.pid, signal.SIGABRT)
    assert process._process.wait() == -signal.SIGABRT
    process._process.kill()


def mapped(process: TokenProcess, module: str) -> bool:
    return module in Path(f"/proc/{process.pid}/maps").read_text()


def open_files(process: TokenProcess) -> list[str]:
    return [str(each.readlink()) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
