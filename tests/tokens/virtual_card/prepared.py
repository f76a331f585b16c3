"""A card as a bank hands it out: with its PKCS#15 structure, written by OpenSC's own program, and the PIN set."""

from __future__ import annotations

from kiosk.settings import DEMO_PIN
from tests.tokens.virtual_card.card import VirtualCard
from tests.tokens.virtual_card.pcscd import CardService

PUK = "0123456789abcdef"


def prepared_card(service: CardService, label: str, serial: str) -> VirtualCard:
    """A new card, made in the first slot, which is empty again afterwards.

    OpenSC shows its label as `label (User PIN)`, and its PIN under the name it has for a lone one: the SO's.
    """
    card, slot = VirtualCard(), service.slots[0]
    slot.put_in(card)
    secrets = ["--so-pin", DEMO_PIN, "--so-puk", PUK]
    service.run("pkcs15-init", "--create-pkcs15", *secrets, "--label", label, "--serial", serial)
    slot.pull()
    return card
