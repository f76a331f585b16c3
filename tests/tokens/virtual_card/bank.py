"""A bank whose customers bring cards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kiosk.demo_bank import TOKEN_LABEL, Customer, issue_onto_token
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.tokens.virtual_card.card import VirtualCard
from tests.tokens.virtual_card.pcscd import CardService, running_pcscd
from tests.tokens.virtual_card.prepared import prepared_card
from tests.tokens.virtual_card.reader import Slot

_SHOWN_LABEL = f"{TOKEN_LABEL} (User PIN)"
"""OpenSC puts the name of the PIN behind the card's own."""

NEIGHBOUR = Customer(12, KeyKind.RSA_2048, "TKYM1408099 1499")


@dataclass(frozen=True)
class CardBank:
    """The customer's card is in the first slot, that of a neighbour in a drawer."""

    bank: Bank
    service: CardService
    card: VirtualCard
    neighbours: VirtualCard

    @property
    def slot(self) -> Slot:
        """The first one."""
        return self.service.slots[0]


@asynccontextmanager
async def open_card_bank(
    directory: Path, kind: KeyKind = KeyKind.RSA_2048, *, roomy: bool = True, ca_policy: str = ""
) -> AsyncIterator[CardBank]:
    """Both have a credential that can be renewed; `roomy` as in `running_pcscd`, `ca_policy` as in `open_bank`."""
    with running_pcscd(roomy=roomy) as service:
        module = msgspec.structs.replace(service.module, token_label=_SHOWN_LABEL)
        card, neighbours = (prepared_card(service, TOKEN_LABEL, serial) for serial in ("0001020304", "0506070809"))
        slot = service.slots[0]

        async def issue_to_the_neighbour(ca: Path) -> None:
            slot.put_in(neighbours)
            await issue_onto_token(ca, module, [NEIGHBOUR], Pin(bytearray(DEMO_PIN, "ascii")), _SHOWN_LABEL)
            slot.put_in(card)

        async with open_bank(
            directory, kind=kind, module=module, beforehand=issue_to_the_neighbour, ca_policy=ca_policy
        ) as bank:
            yield CardBank(bank, service, card, neighbours)
