"""The customer who saves into this PC, or has his certificate there; and what NSS's own tool says of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from kiosk.desk import Destination
from tests.bank import Bank, open_bank
from tests.scripted_desk import ScriptedDesk

NAME = "TKYM1408054 1403"

pc_desk = partial(ScriptedDesk, destination=Destination.PC)
"""A customer who saves into the PC."""


def trust_of(bank: Bank, nickname: str = NAME) -> list[str]:
    """The trust attributes of every certificate with this nickname, as `certutil -L` shows them."""
    return re.findall(rf"^{re.escape(nickname)} +(\S+)$", bank.certutil("-L"), re.MULTILINE)


_ALL_YEAR = 400
"""Days of a renewal window in which a certificate of today can be renewed."""
_POLICY = f"window_days = {_ALL_YEAR}\n"
_MOVED = TemporaryDirectory(prefix="banks-with-a-pc-")


@asynccontextmanager
async def open_pc_bank(directory: Path) -> AsyncIterator[Bank]:
    """A bank whose customer's certificate is in this PC, and whose USB is empty; it can be renewed at once.

    The renewal that has brought it there is made once for every process of tests.
    """
    made = Path(_MOVED.name) / "bank"
    if not made.exists():
        aside = made.with_name("making")
        async with open_bank(aside, pc=True, ca_policy=_POLICY) as bank:
            assert (await bank.visit(pc_desk(retires=True))).completion is not None
            assert (await bank.inventory()).objects == ()
            await bank.until_another_second()
        aside.rename(made)
    shutil.copytree(made, directory)
    async with open_bank(directory, pc=True, keep=True, ca_policy=_POLICY) as bank:
        yield bank.with_policy(window_days=_ALL_YEAR)
