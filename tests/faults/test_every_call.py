"""A fault at each call of the token's module that a renewal makes.

Each case is a whole visit against a real CA process and a real software token. Afterwards the screen has said the right
thing, a working credential is on the token, and the next visit leaves one credential and nothing else.
"""

from __future__ import annotations

import os
from itertools import cycle
from pathlib import Path

import pytest

from tests.faults.faulty_module import Fault
from tests.faults.table import WRITES, Case, open_table


async def test_a_fault_at_each_function(tmp_path: Path) -> None:
    """The short form: each function once, all faults in turn; and every fault where the key is made."""
    async with open_table(tmp_path) as table:
        numbers = table.one_of_each_function()
        in_turn = cycle(each for each in Fault if each is not Fault.GENERAL_ERROR_AFTER)
        cases: set[Case] = set(zip(numbers, in_turn, strict=False))
        makes_key = next(number for number in numbers if table.calls[number - 1].function == "GenerateKeyPair")
        cases |= {(makes_key, fault) for fault in Fault}
        tally = await table.run(sorted(cases))
    print(tally)
    assert not tally.lost, "\n".join(tally.lost)


@pytest.mark.tokens
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_a_fault_at_every_call(fault: Fault, tmp_path: Path) -> None:
    """The first call of each function in each request; with KIOSK_SOAK set every single one."""
    async with open_table(tmp_path) as table:
        numbers = table.every_call() if os.environ.get("KIOSK_SOAK") else table.one_of_each()
        if fault is Fault.GENERAL_ERROR_AFTER:
            numbers = [each for each in table.every_call() if table.calls[each - 1].function in WRITES]
        tally = await table.run((number, fault) for number in numbers)
    print(f"{fault.name}: {tally}")
    assert not tally.lost, "\n".join(tally.lost)
