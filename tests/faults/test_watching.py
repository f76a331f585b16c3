"""A fault while the kiosk only looks: whether the token of a visit is still in, and whether anybody comes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from kiosk.desk import MainMenu, MenuChoice, NoticeAnswer, Standby
from kiosk.errors import Code, KioskError
from kiosk.reception import FrontDesk
from kiosk.services import open_services
from tests.bank import child_processes
from tests.cutting import CASES
from tests.faults.cases import FaultBank, left_running, open_fault_bank, patience_with
from tests.faults.expected import DONE, ERRORS, End
from tests.faults.faulty_module import Fault, FaultyModule
from tests.flows.test_reception import Board
from tests.scripted_desk import ScriptedDesk

_CALLS_OF_A_LOOK = 4
_CALLS_OF_A_FIRST_LOOK = 7
_FAULTS = [each for each in Fault if each is not Fault.GENERAL_ERROR_AFTER]

TOLD = {
    Fault.REMOVED: End(Code.TOKEN_TAKEN_OUT),
    Fault.RETURNED: End(Code.TOKEN_TAKEN_OUT),
    Fault.ANOTHER: End(Code.TOKEN_SWAPPED),
    **dict.fromkeys(ERRORS, DONE),
    Fault.HANG: End(Code.TOKEN_HANGS),
    Fault.CRASH: End(Code.TOKEN_FAILED),
}
"""What a customer at the main menu is told. An error that comes once is nobody's business: the next look is good."""


@dataclass
class AtTheMenu(ScriptedDesk):
    """Stands at the main menu until the kiosk has looked twice since the fault, and leaves."""

    notice: NoticeAnswer = NoticeAnswer.LATER
    module: FaultyModule | None = None
    number: int = 0
    """Which of the calls from then on goes wrong."""
    fault: Fault = Fault.GENERAL_ERROR
    left: bool = field(default=False, init=False)

    async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
        assert self.module is not None
        self.module.strike(len(self.module.calls) + self.number, self.fault)
        while self.module.calls_since_struck < 2 * _CALLS_OF_A_LOOK:  # noqa: ASYNC110 - another process counts them
            await asyncio.sleep(0.01)
        self.left = True
        return await super().choose_from_menu(menu)


async def _stand_at_the_menu(bank: FaultBank, number: int, fault: Fault) -> None:
    for seconds in patience_with(fault):
        bank.begin_anew()
        module = bank.module(seconds)
        desk = AtTheMenu(module=module, number=number, fault=fault)
        async with open_services(msgspec.structs.replace(bank.bank.settings, token=module.settings)) as services:
            front_desk = FrontDesk(services, module.settings)
            try:
                token = await front_desk.the_token(desk)
                problem = (await front_desk.serve_token(desk, token)).problem if token else None
            except KioskError as error:
                problem = error.problem
            finally:
                await front_desk.close()
        if module.struck:
            break
    assert module.struck is not None
    end = End(problem.code, problem.changed) if problem else DONE
    assert end == TOLD[fault], module.struck
    assert desk.left == (problem is None)
    assert not left_running(module.calls)
    assert bank.is_as_prepared()
    CASES["faults while the kiosk looks: cases run"] += 1


async def _wait_for_somebody(bank: FaultBank, number: int, fault: Fault) -> None:
    before = child_processes()
    module, board = bank.module(patience_with(fault)[0]), Board()
    module.strike(number, fault)
    async with open_services(msgspec.structs.replace(bank.bank.settings, token=module.settings)) as services:
        front_desk = FrontDesk(services, module.settings)
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        if fault is Fault.REMOVED:
            await board.wait_for(Standby.INSERT)
            waiting.cancel()
            await asyncio.wait([waiting])
        else:
            await waiting
        await front_desk.close()
    assert module.struck is not None
    assert Standby.OUT_OF_ORDER not in [standby for standby, _ in board.shown], module.struck
    assert child_processes() == before
    CASES["faults while the kiosk looks: cases run"] += 1


async def test_an_error_while_the_customer_stands_at_the_menu_is_not_told(tmp_path: Path) -> None:
    async with open_fault_bank(tmp_path / "bank") as bank:
        for number in (1, _CALLS_OF_A_LOOK):
            await _stand_at_the_menu(bank, number, Fault.GENERAL_ERROR)


async def test_a_fault_while_standby_looks_for_a_token_is_over_with_the_next_look(tmp_path: Path) -> None:
    async with open_fault_bank(tmp_path / "bank") as bank:
        await _wait_for_somebody(bank, 2, Fault.CRASH)
        await _wait_for_somebody(bank, _CALLS_OF_A_FIRST_LOOK, Fault.GENERAL_ERROR)


@pytest.mark.tokens
@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: fault.name)
async def test_every_call_while_the_customer_stands_at_the_menu(fault: Fault, tmp_path: Path) -> None:
    async with open_fault_bank(tmp_path / "bank") as bank:
        for number in range(1, _CALLS_OF_A_LOOK + 1):
            await _stand_at_the_menu(bank, number, fault)


@pytest.mark.tokens
@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: fault.name)
async def test_every_call_while_standby_looks_for_a_token(fault: Fault, tmp_path: Path) -> None:
    """Whatever went wrong, the next look sees who comes; a token that was pulled is waited for."""
    async with open_fault_bank(tmp_path / "bank") as bank:
        for number in range(1, _CALLS_OF_A_FIRST_LOOK + 1):
            await _wait_for_somebody(bank, number, fault)
