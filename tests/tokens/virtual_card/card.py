"""The card: what it answers to each command, and what of it outlives a pull."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.tokens.virtual_card import keys
from tests.tokens.virtual_card.apdu import (
    CONDITIONS,
    NOT_SATISFIED,
    NOT_SUPPORTED,
    OK,
    REFERENCE_NOT_FOUND,
    UNKNOWN_INSTRUCTION,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    Command,
    Refused,
    answer,
    read_command,
    read_tlv,
)
from tests.tokens.virtual_card.files import FileSystem
from tests.tokens.virtual_card.pins import PADDED, Secret

ATR = bytes.fromhex("3b80800101")
"""Direct convention, T=0 and T=1, no historical bytes."""

APPLET = bytes.fromhex("f276a288bcfba69d34f31001")

_VERSION_AND_FEATURES = bytes.fromhex("000601")
"""API 0.6; extended lengths, no random numbers, no elliptic curves: OpenSC 0.23 signs with those over SHA-1 only."""

CHANGING = frozenset({0x46, 0xD6, 0xE0, 0xE4})
"""The instructions that change what outlives a pull, PINs aside: a key made, a file written, made, deleted."""

_ALGORITHM, _PRIVATE_KEY, _ANY_KEY = 0x80, 0x84, 0x83
_PIN, _PUK = 1, 2


@dataclass
class VirtualCard:
    """A card as it lies in a drawer, and its state while it has power."""

    files: FileSystem = field(default_factory=lambda: FileSystem(capacity=32 * 1024))
    keys: dict[int, keys.Key] = field(default_factory=dict)
    pin: Secret = field(default_factory=lambda: Secret(tries=3))
    puk: Secret = field(default_factory=lambda: Secret(tries=3))
    _verified: bool = False
    _chosen: dict[int, bytes] = field(default_factory=dict)
    """The security environment: which algorithm, which key."""

    def copy(self) -> VirtualCard:
        """A second card with the same content."""
        return VirtualCard(self.files.copy(), dict(self.keys), self.pin.copy(), self.puk.copy())

    def reset(self) -> None:
        """As after power came: nothing is selected, and nobody has verified a PIN."""
        self.files.deselect()
        self._verified = False
        self._chosen = {}

    def answer(self, raw: bytes) -> bytes:
        """Carry out one command."""
        try:
            command = read_command(raw)
            act = self._acts().get(command.instruction)
            if act is None:
                raise Refused(UNKNOWN_INSTRUCTION)
            return answer(OK, act(command))
        except Refused as refused:
            return answer(refused.status)

    def _acts(self) -> dict[int, Callable[[Command], bytes]]:
        return {
            0x20: self._verify,
            0x22: self._choose,
            0x24: self._change,
            0x2A: self._sign,
            0x2C: self._unblock,
            0x46: self._make_key,
            0x84: lambda command: os.urandom(command.expected),
            0xA4: self._select,
            0xB0: self._read,
            0xD6: self._update,
            0xE0: self._create,
            0xE4: self._delete,
        }

    def _select(self, command: Command) -> bytes:
        numbers = [int.from_bytes(command.data[at : at + 2], "big") for at in range(0, len(command.data), 2)]
        match command.p1:
            case 0x04 if command.data == APPLET:
                self.reset()
                return _VERSION_AND_FEATURES
            case 0x00:
                selected = self.files.select_by_id(numbers[0] if numbers else 0x3F00)
            case 0x03:
                selected = self.files.select_parent()
            case 0x04:
                selected = self.files.select_by_name(command.data)
            case 0x08 | 0x09:
                selected = self.files.select_by_path(numbers, from_master=command.p1 == 0x08)
            case _:
                raise Refused(WRONG_PARAMETERS)
        return selected.control_information() if command.p2 & 0x0C == 0 else b""

    def _read(self, command: Command) -> bytes:
        return self.files.read(command.parameters, command.expected, verified=self._verified)

    def _update(self, command: Command) -> bytes:
        self.files.update(command.parameters, command.data, verified=self._verified)
        return b""

    def _create(self, command: Command) -> bytes:
        outer = read_tlv(command.data)
        self.files.create(read_tlv(outer.get(0x62) or outer.get(0x6F, b"")), verified=self._verified)
        return b""

    def _delete(self, command: Command) -> bytes:
        number = int.from_bytes(command.data, "big") if command.data else None
        self.files.delete(number, verified=self._verified)
        return b""

    def _secret(self, command: Command) -> Secret:
        secret = {_PIN: self.pin, _PUK: self.puk}.get(command.p2)
        if secret is None:
            raise Refused(REFERENCE_NOT_FOUND)
        return secret

    def _verify(self, command: Command) -> bytes:
        secret = self._secret(command)
        if not command.data:
            if self._verified and secret is self.pin:
                return b""
            raise Refused(secret.status())
        self._verified = False
        secret.verify(command.data)
        self._verified = secret is self.pin
        return b""

    def _change(self, command: Command) -> bytes:
        secret = self._secret(command)
        if command.p1 == 0x01:
            if secret.value:
                raise Refused(CONDITIONS)
            secret.set(command.data)
            return b""
        old, new = _halves(command.data)
        secret.verify(old)
        secret.set(new)
        return b""

    def _unblock(self, command: Command) -> bytes:
        if self._secret(command) is not self.pin or not self.puk.value:
            raise Refused(NOT_SUPPORTED)
        puk, new = _halves(command.data)
        self.puk.verify(puk)
        self.pin.set(new)
        return b""

    def _choose(self, command: Command) -> bytes:
        if command.p1 != 0x41 or command.p2 not in (0x00, 0xB6):
            raise Refused(WRONG_PARAMETERS)
        self._chosen = dict(read_tlv(command.data))
        return b""

    def _key_number(self) -> int:
        number = self._chosen.get(_PRIVATE_KEY) or self._chosen.get(_ANY_KEY)
        if not number:
            raise Refused(CONDITIONS)
        return number[0]

    def _make_key(self, command: Command) -> bytes:  # noqa: ARG002
        self._demand_pin()
        key = keys.make_key(int.from_bytes(self._chosen.get(_ALGORITHM, b""), "big"))
        self.keys[self._key_number()] = key
        return keys.public_template(key)

    def _sign(self, command: Command) -> bytes:
        if command.parameters != 0x9E9A or self._chosen.get(_ALGORITHM) != bytes([keys.RSA_PKCS1]):
            raise Refused(WRONG_PARAMETERS)
        self._demand_pin()
        key = self.keys.get(self._key_number())
        if key is None:
            raise Refused(REFERENCE_NOT_FOUND)
        return keys.sign(key, command.data)

    def _demand_pin(self) -> None:
        if not self._verified:
            raise Refused(NOT_SATISFIED)


def _halves(data: bytes) -> tuple[bytes, bytes]:
    if len(data) != 2 * PADDED:
        raise Refused(WRONG_LENGTH if data else WRONG_DATA)
    return data[:PADDED], data[PADDED:]
