"""A PIN nobody else has, looked for wherever one could be told: logs, journal, tracebacks, tasks, processes."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.app import App
from textual.worker import WorkerFailed

from kiosk.app import KioskApp
from kiosk.desk import Desk, MenuChoice, NoticeAnswer, PinPurpose, PinQuestion, Tries
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens import wire
from kiosk.tokens.errors import TokenError, TokenProcessDied
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import find_tokens
from tests.bank import Bank, child_processes
from tests.screens.samples import fixed_clock
from tests.screens.stage import BRANCH, SIZE, OneQuestion, until
from tests.scripted_desk import ScriptedDesk

pytestmark = pytest.mark.token_processes_as_they_are

OLD, NEW = "48151623", "42108159"
PINS = (OLD, NEW)


@contextmanager
def every_log() -> Iterator[io.StringIO]:
    """What all loggers say, at their most talkative."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    levels = [each.level for each in loggers]
    logging.getLogger().addHandler(handler)
    for each in loggers:
        each.setLevel(logging.DEBUG)
    try:
        yield told
    finally:
        logging.getLogger().removeHandler(handler)
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def tells(place: str | bytes) -> bool:
    data = place.encode(errors="replace") if isinstance(place, str) else place
    return any(pin.encode() in data for pin in PINS)


def processes_tell() -> list[str]:
    """What everybody on the machine can read of this process and its children."""
    found: list[str] = []
    for process in (os.getpid(), *child_processes()):
        for part in ("cmdline", "environ", "comm"):
            try:
                told = Path(f"/proc/{process}/{part}").read_bytes()
            except (PermissionError, ProcessLookupError, FileNotFoundError):
                continue
            if tells(told):
                found.append(f"{process} {part}")
    return found


def tasks_tell() -> list[str]:
    return [repr(task) for task in asyncio.all_tasks() if tells(repr(task)) or tells(task.get_name())]


class Watching(ScriptedDesk):
    """Looks at tasks and processes at every question, while the token process has the PIN."""

    async def _see(self, name: str, question: object = None) -> None:
        assert tasks_tell() == []
        assert processes_tell() == []
        await super()._see(name, question)


async def test_log_in_change_and_renewal_tell_no_pin(bank: Bank) -> None:
    await give(bank, OLD)
    desk = Watching(
        pins=["99999999", OLD, OLD, NEW, NEW],
        notice=NoticeAnswer.LATER,
        menu=[MenuChoice.CHANGE_PIN, MenuChoice.RENEW],
    )
    with every_log() as told:
        logging.getLogger("httpx").debug("the log is heard")
        outcome = await bank.visit(desk)
    assert outcome.completion is not None
    assert "the log is heard" in told.getvalue()
    assert not tells(told.getvalue())
    assert not tells(bank.journal_bytes())
    assert not tells(repr(desk.seen) + repr(outcome))
    assert [file for file in bank.directory.rglob("*") if file.is_file() and tells(file.read_bytes())] == []


async def give(bank: Bank, pin: str) -> None:
    """Have the token take another PIN than the demo's."""
    async with await bank.open_token() as token:
        await token.change_pin(Pin(bytearray(DEMO_PIN, "ascii")), Pin(bytearray(pin, "ascii")))


def told_in_full(error: BaseException) -> str:
    """The traceback with every local variable, as no program of ours would print it."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


async def test_a_refusal_and_a_death_in_the_token_process_tell_no_pin(bank: Bank) -> None:
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    for request in (wire.LogIn(facts.serial), wire.ChangePin(facts.serial)):
        with pytest.raises(TokenError) as refused:
            await process.call(request, type(None), 10, pin=pin(OLD), new_pin=pin(NEW))
        assert not tells(told_in_full(refused.value))
    os.kill(process.pid, 9)
    with pytest.raises(TokenProcessDied) as died:
        await process.call(wire.ChangePin(facts.serial), type(None), 10, pin=pin(OLD), new_pin=pin(NEW))
    assert not tells(told_in_full(died.value))
    await process.end()


def pin(digits: str) -> Pin:
    return Pin(bytearray(digits, "ascii"))


@pytest.mark.parametrize("purpose", list(PinPurpose))
async def test_a_fault_while_the_pin_is_typed_tells_none_of_it(
    purpose: PinPurpose, capfd: pytest.CaptureFixture[str]
) -> None:
    break_now = asyncio.Event()

    async def breaking(desk: Desk) -> None:
        question = PinQuestion("USB", refused=False, tries=Tries.PLENTY, shortest=4, longest=8, purpose=purpose)
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.ask_pin(question))
            await break_now.wait()
            raise ZeroDivisionError

    app = KioskApp(OneQuestion(breaking), BRANCH, fixed_clock, settle_seconds=0.0)
    with every_log() as told, pytest.raises(WorkerFailed) as failed:  # noqa: PT012
        async with app.run_test(size=SIZE) as pilot:
            await until(lambda: app.current_mode == "visit" and app.screen.query("PinField"))
            await pilot.pause()
            await pilot.press(*OLD)
            assert tasks_tell() == []
            assert not tells(workers(app))
            break_now.set()
            await until(lambda: not app.is_running)
    assert "ZeroDivisionError" in app.last_words()
    printed = capfd.readouterr()
    for place in (app.last_words(), told_in_full(failed.value), told.getvalue(), printed.out, printed.err):
        assert not tells(place)


def workers(app: App[None]) -> str:
    return "".join(f"{each!r} {each.name} {each.description}" for each in app.workers)
