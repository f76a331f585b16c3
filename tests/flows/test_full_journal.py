"""A journal that cannot be written: nothing begins, nothing irreversible goes on, and nothing is lost."""

from __future__ import annotations

import pytest

from kiosk.desk import SavingStep
from tests.bank import Bank
from tests.flows.full_journal import Cut, tried
from tests.tokens.full_disc import is_possible


def test_a_disc_that_is_full_or_read_only(bank: Bank) -> None:
    if not is_possible():
        pytest.skip("nothing can be mounted here, not even in a namespace of one's own")
    told = tried(bank.directory)
    assert told.standby == ["out-of-order K-02", "ready"]
    assert told.cuts == {
        SavingStep.KEY.value: Cut(code="K-02", changed="nothing", credentials=1, keys=1),
        SavingStep.REQUEST.value: Cut(code="K-02", changed="unfinished", credentials=1, keys=2),
        SavingStep.WRITE.value: Cut(code="K-02", changed="unfinished", credentials=1, keys=2),
        SavingStep.PROVE.value: Cut(code="K-02", changed="unfinished", credentials=2, keys=2),
        SavingStep.CONFIRM.value: Cut(code="K-02", changed="unfinished", credentials=2, keys=2),
    }
    assert told.completed
    assert (told.after_the_end, told.read_only) == ("K-02", "K-02")
