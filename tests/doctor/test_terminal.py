"""Questions to the terminal: answered, not answered, answered by rubbish; and the terminal is left as it was."""

from __future__ import annotations

import os
import termios

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.doctor import screen
from kiosk.doctor.examination import examine
from kiosk.doctor.tty import Answers
from tests.doctor.cases import House, on_terminal
from tests.doctor.scripted_terminal import ScriptedTerminal, scripted


async def test_a_good_terminal(house: House) -> None:
    fonts = house.folder / "fc-list"
    fonts.write_text("#!/bin/sh\necho 'Noto Sans CJK JP'\n")
    fonts.chmod(0o755)
    async with on_terminal(house) as site:
        site.environment = {**site.environment, "PATH": str(house.folder)}
        found = [finding.saying.text async for _, finding in examine(site, screen.CHECKS)]
    good = ("size", "colours", "ambiguous", "wide", "mouse", "cursor", "font")
    assert found == [f"doctor.{name}.good" for name in good]


async def test_without_a_terminal(house: House) -> None:
    found = {finding.saying.text async for _, finding in examine(house.site(), screen.CHECKS)}
    assert found == {"doctor.terminal.none"}


async def test_a_terminal_that_answers_nothing() -> None:
    with scripted(ScriptedTerminal(silent=True), seconds=0.1) as terminal:
        assert await terminal.ask() == Answers()


@pytest.mark.parametrize("silent", [False, True])
async def test_it_is_left_as_it_was(silent: bool) -> None:
    script = ScriptedTerminal(silent=silent)
    with scripted(script, seconds=0.1 if silent else 3.0) as terminal:
        before = termios.tcgetattr(terminal._reading)
        await terminal.ask()
        assert termios.tcgetattr(terminal._reading) == before
    assert script.written.endswith(b"\r\x1b[K\x1b[c"), "what was written to measure is wiped out"


async def test_a_terminal_that_is_gone_is_told_as_one_that_does_not_answer(house: House) -> None:
    async with on_terminal(house) as site:
        assert site.terminal
        reading, writing = os.pipe()
        site.terminal = type(site.terminal)(reading, writing)
        found = [finding.saying.text async for _, finding in examine(site, screen.CHECKS[2:6])]
        os.close(reading)
        os.close(writing)
    assert found == ["doctor.terminal.no-answer"] * 4


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=200))
async def test_rubbish_is_no_answer_and_no_fault(rubbish: bytes) -> None:
    with scripted(ScriptedTerminal(raw=rubbish + b"\x1b[?1c"), seconds=2.0) as terminal:
        answers = await terminal.ask()
    assert isinstance(answers, Answers)
