"""The module that acts as a test tells it (`acting_module.c`), in front of the one of a bank."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from pkcs11 import TokenFlag

from kiosk.demo_bank import DemoBank
from kiosk.tokens.process import Limits
from tests.bank import Bank

SOURCE = Path(__file__).with_suffix(".c")
_BUILT = TemporaryDirectory(prefix="acting-module-")


@cache
def _library() -> Path:
    library = Path(_BUILT.name) / "acting_module.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wno-unused-result"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


class ActingModule:
    """What stands before the token of `bank`, which is `real` then; use `bank` of this."""

    def __init__(self, bank: Bank, folder: Path, limits: Limits | None = None) -> None:
        folder.mkdir()
        self._folder = folder
        self.real = bank
        token = bank.settings.token
        acting = msgspec.structs.replace(
            token,
            module=str(_library()),
            environment={**token.environment, "ACTING_MODULE": token.module, "ACTING_FOLDER": str(folder)},
            limits=limits or token.limits,
        )
        settings = msgspec.structs.replace(bank.settings, token=acting)
        self.bank = Bank(DemoBank(bank.directory, settings))

    def raise_flags(self, flags: TokenFlag) -> None:
        """Whatever the real token says, it has these as well from now on."""
        (self._folder / "flags").write_text(f"{int(flags):x}\n")

    def tell_room(self, public: int, private: int) -> None:
        """So many bytes are free, from now on."""
        (self._folder / "room").write_text(f"{public:x} {private:x}\n")

    def can_be_taken_out(self) -> None:
        """Every token can, from now on."""
        (self._folder / "removable").touch()

    def keep_labels(self) -> None:
        """No label can be changed from now on."""
        (self._folder / "labels").touch()

    def want_pin_at_every_signature(self) -> None:
        """Keys that are made from now on do."""
        (self._folder / "every").touch()

    def make_keys_behind_gate(self) -> Path:
        """From now on a key pair is made once somebody has opened and closed this named pipe, to write."""
        return self._gate("gate")

    def log_in_behind_gate(self) -> Path:
        """From now on whoever logs in does so once somebody has opened and closed this named pipe, to write."""
        return self._gate("login")

    def _gate(self, name: str) -> Path:
        gate = self._folder / name
        os.mkfifo(gate)
        return gate

    def crash_at_public_keys(self) -> None:
        """Whoever removes one is ended by it from now on."""
        (self._folder / "hollow").touch()

    def answer(self, *results: int | None) -> None:
        """The next C_Login and C_SetPIN end so: with a CK_RV, or with whatever the real module says."""
        lines = ("ok" if each is None else f"{each:x}" for each in results)
        (self._folder / "results").write_text("".join(f"{line}\n" for line in lines))

    def type_at_pad(self, *pins: str) -> None:
        """These PINs are typed at the reader, one after another; then its cancel key is pressed."""
        (self._folder / "typed").write_text("".join(f"{pin}\n" for pin in pins))

    @property
    def calls(self) -> list[str]:
        """Every C_Login and C_SetPIN so far: `login`, `sign` (for one signature), `set`, each with `pad` or `pin`."""
        calls = self._folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []
