"""Two software tokens of which one can be put in the other's place, while sessions with that one live on.

SoftHSM takes a token for the one it knows as long as it lies in the same directory: slot number, sessions and login
stay, and whatever is asked next is done with the other token. So it plays a module that aims at another one in silence.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from kiosk.demo_bank import Customer
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, prepared

OTHER_CUSTOMER = Customer(12, KeyKind.EC_P256, "TKYM1408099 1499")
OTHER_PIN = "87654321"
_LATER = (1_000_000).to_bytes(8, "big")
"""How often something was written there: by this number SoftHSM tells whether what it remembers still holds."""
SAME_SERIAL = "0000000000000000"


class SwappedToken:
    """The bank's own token is in; another one lies beside the kiosk."""

    def __init__(self, bank: Bank) -> None:
        """Use `beside`."""
        self._tokens = bank.directory / "tokens"
        (self._in,) = self._tokens.iterdir()
        self._aside = bank.directory / "aside"

    @classmethod
    async def beside(cls, bank: Bank) -> SwappedToken:
        """Get the other token, which has another customer's certificate and another PIN, but the same label."""
        made = cls(bank)
        (other,) = (await prepared([OTHER_CUSTOMER]) / "tokens").iterdir()
        shutil.copytree(other, made._aside)
        made.swap()
        async with await bank.open_token() as token:
            await token.change_pin(_pin(DEMO_PIN), _pin(OTHER_PIN))
        made.swap()
        (made._aside / "generation").write_bytes(_LATER)
        return made

    def swap(self) -> None:
        """What is in comes out, and what is out goes in."""
        between = self._aside.with_name("between")
        self._in.rename(between)
        self._aside.rename(self._in)
        between.rename(self._aside)

    def put_other_in(self) -> None:
        """Both are in."""
        self._aside.rename(self._in.with_name("other"))

    @property
    def serial_of_own(self) -> str:
        """The serial number of the one that is in first."""
        return _serial(self._in).decode("ascii")

    def give_serial(self, serial: str) -> None:
        """Both get this serial number of 16 characters; some makers give every token the same."""
        for token in (self._in, self._aside):
            information = token / "token.object"
            information.write_bytes(information.read_bytes().replace(_serial(token), serial.encode("ascii")))

    def content(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Every byte of the one that is in, and of the other."""
        return _files(self._in), _files(self._aside)


def _pin(digits: str) -> Pin:
    return Pin(bytearray(digits, "ascii"))


def _serial(token: Path) -> bytes:
    """SoftHSM's are 16 hexadecimal digits, and there are no others in that file."""
    (serial,) = re.findall(rb"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])", (token / "token.object").read_bytes())
    return bytes(serial)


def _files(token: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in token.iterdir() if each.suffix != ".lock"}
