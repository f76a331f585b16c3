"""While the machine saves nothing is expected of the customer, and nobody is hurried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kiosk.desk import SavingStep
from kiosk.idle import IdleLimit
from tests.bank import open_bank
from tests.flows.test_enrolment import with_code
from tests.scripted_desk import ScriptedDesk


@pytest.mark.parametrize("days_left", [pytest.param(20, id="renewal"), pytest.param(-1, id="enrolment")])
async def test_no_limit_runs_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days_left: int) -> None:
    limits: list[IdleLimit] = []

    class Known(IdleLimit):
        def __init__(self, seconds: float, last_touched: Callable[[], float]) -> None:
            super().__init__(seconds, last_touched)
            limits.append(self)

    suspended: dict[SavingStep, bool] = {}

    def look(step: SavingStep) -> None:
        suspended[step] = limits[-1].is_suspended

    monkeypatch.setattr("kiosk.visit.IdleLimit", Known)
    async with open_bank(tmp_path / "bank", days_left=days_left) as bank:
        desk = with_code(bank.code()) if days_left < 0 else ScriptedDesk()
        desk.at_step = look
        assert (await bank.visit(desk)).completion is not None
    assert suspended == dict.fromkeys(SavingStep, True)
