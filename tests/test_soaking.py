"""When a run has to have tried a million spoiled inputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.soaking import FULL_LENGTH, GIVE_SPOILED_INPUT, is_whole

ROOT = Path(__file__).parent.parent
SOAK = (ROOT / "Makefile").read_text().partition("\nsoak:")[2].partition("\n\n")[0]


def test_make_soak_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    (length,) = re.findall(r"KIOSK_SOAK:-(\d+)", SOAK)
    monkeypatch.setenv("KIOSK_SOAK", length)
    assert is_whole(SOAK.split())


def test_a_shorter_one_and_a_part_of_it_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIOSK_SOAK", str(FULL_LENGTH))
    assert not is_whole(GIVE_SPOILED_INPUT[1:])
    monkeypatch.setenv("KIOSK_SOAK", str(FULL_LENGTH - 1))
    assert not is_whole(GIVE_SPOILED_INPUT)


def test_every_test_that_counts_spoiled_inputs_belongs_to_it() -> None:
    tests = {str(each.relative_to(ROOT)): each.read_text() for each in ROOT.glob("tests/**/test_*.py")}
    counting = {name for name, text in tests.items() if re.search(r"^ +TRIED\[", text, re.MULTILINE)}
    assert counting == set(GIVE_SPOILED_INPUT)
