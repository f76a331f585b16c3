"""The customer who saves into this PC, and what NSS's own tool says of it."""

from __future__ import annotations

import re
from functools import partial

from kiosk.desk import Destination
from tests.bank import Bank
from tests.scripted_desk import ScriptedDesk

NAME = "TKYM1408054 1403"

pc_desk = partial(ScriptedDesk, destination=Destination.PC)
"""A customer who saves into the PC."""


def trust_of(bank: Bank, nickname: str = NAME) -> list[str]:
    """The trust attributes of every certificate with this nickname, as `certutil -L` shows them."""
    return re.findall(rf"^{re.escape(nickname)} +(\S+)$", bank.certutil("-L"), re.MULTILINE)
