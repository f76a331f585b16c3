"""A PKCS#11 module that goes wrong at one chosen call: `faulty_module.c`, and what a test tells it and hears of it."""

from __future__ import annotations

import mmap
import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from kiosk.tokens.process import ModuleSettings

_SOURCE = Path(__file__).with_suffix(".c")
_BUILT = TemporaryDirectory(prefix="faulty-module-")

FUNCTIONS = tuple(re.findall(r"F\((\w+)\)", _SOURCE.read_text().partition("#define NUMBER")[0]))
"""The functions of PKCS#11 2.40 in the order of its function list, without their C_."""

_LOGGED = 1 << 14
_NUMBERS = struct.Struct("=10I")
_SERIAL_SIZE = 16
_LOG_AT = _NUMBERS.size + 2 * _SERIAL_SIZE
_ENTRY = struct.Struct("=HHI")
_CALLS, _AT, _FAULT, _STRUCK, _PLACE, _ABSENT, _OTHER, _REMOVALS, _FULL, _LOCKED = range(10)


class Fault(IntEnum):
    """What goes wrong, by its number in `faulty_module.c`."""

    REMOVED = 1
    """The token is out, from this call on."""
    RETURNED = 2
    """It is out until somebody has seen that, and then in again."""
    ANOTHER = 3
    """Another token is in its place, in the same slot, with the same PIN."""
    GENERAL_ERROR = 4
    DEVICE_MEMORY = 5
    """No room; where an object was to be made, none is made any more."""
    PIN_LOCKED = 6
    """Said once; said to every log-in where it was one."""
    HANG = 7
    CRASH = 8
    GENERAL_ERROR_AFTER = 9
    """The call is carried out, and said to have failed."""


@dataclass(frozen=True)
class Place:
    """Where a visit is."""

    step: str
    """What the desk was asked or told last."""
    request: str
    """What the token process is asked."""
    number: int
    """Of the request in the whole visit."""


_NOWHERE = Place("", "", 0)


@dataclass(frozen=True)
class Call:
    """One call of the module."""

    function: str
    place: Place
    process: int
    """The token process's number."""
    is_repeated: bool
    """Whether the process has called the function for the same request before."""


class FaultyModule:
    """One run of the module: at most one fault, in whatever process makes that call."""

    def __init__(self, real: ModuleSettings, state: Path, serials: Sequence[bytes]) -> None:
        """Before `real`; `serials` are of the token that is in, and of the other one; `state` is a new file."""
        state.write_bytes(bytes(_LOG_AT + _LOGGED * _ENTRY.size))
        with state.open("r+b") as file:
            self._state = mmap.mmap(file.fileno(), 0)
        at = _NUMBERS.size
        for serial in serials:
            self._state[at : at + _SERIAL_SIZE] = serial.ljust(_SERIAL_SIZE)
            at += _SERIAL_SIZE
        self._places: list[Place] = []
        self._step = ""
        self.settings = msgspec.structs.replace(
            real,
            module=str(_built()),
            environment={**real.environment, "FAULTY_MODULE": real.module, "FAULTY_STATE": str(state)},
        )

    def strike(self, number: int, fault: Fault) -> None:
        """Have the call of this number go wrong; the first is 1."""
        self._set(_AT, number)
        self._set(_FAULT, fault)

    def strike_later(self, calls: int, fault: Fault) -> None:
        """Have one of the calls to come go wrong, the next for 1; what went wrong before is whole again."""
        self.make_whole()
        self.strike(self._get(_CALLS) + calls, fault)

    def make_whole(self) -> None:
        """The token of the first serial number is in, and does as it is told; nothing is to go wrong any more."""
        for each in (_AT, _FAULT, _STRUCK, _ABSENT, _OTHER, _FULL, _LOCKED):
            self._set(each, 0)

    def take_out(self) -> None:
        """Nothing is in, and nothing is to go wrong any more, until `make_whole`."""
        self._set(_FAULT, 0)
        self._set(_REMOVALS, self._get(_REMOVALS) + 1)
        self._set(_ABSENT, 1)

    @property
    def is_out(self) -> bool:
        """Whether nothing is in."""
        return bool(self._get(_ABSENT))

    @property
    def has_struck(self) -> bool:
        """Whether something went wrong."""
        return bool(self._get(_STRUCK))

    def at_step(self, step: str) -> None:
        """Keep with the calls that follow how far the visit has come."""
        self._step = step

    def at_request(self, request: str) -> None:
        """Keep with the calls that follow what they are made for."""
        self._set(_PLACE, len(self._places))
        self._places.append(Place(self._step, request, len(self._places) + 1))

    @property
    def struck(self) -> Call | None:
        """The call that went wrong; None where there were not so many."""
        return self._call(self._get(_AT)) if self._get(_STRUCK) else None

    @property
    def calls_since_struck(self) -> int:
        """How many calls have followed."""
        return self._get(_CALLS) - self._get(_AT) if self._get(_STRUCK) else 0

    def was_looking(self, call: Call) -> bool:
        """Whether nobody had seen a token yet when `call` was made."""
        return call.place.number == 1

    @property
    def calls(self) -> list[Call]:
        """Every call so far."""
        return [self._call(number) for number in range(1, self._get(_CALLS) + 1)]

    def _call(self, number: int) -> Call:
        function, place, process = entry = self._entry(number)
        before = takewhile(lambda each: each[1] == place, (self._entry(each) for each in range(number - 1, 0, -1)))
        return Call(FUNCTIONS[function], self._places[place] if self._places else _NOWHERE, process, entry in before)

    def _entry(self, number: int) -> tuple[int, int, int]:
        function, place, process = _ENTRY.unpack_from(self._state, _LOG_AT + (number - 1) * _ENTRY.size)
        return function, place, process

    def _get(self, field: int) -> int:
        value: int = _NUMBERS.unpack_from(self._state)[field]
        return value

    def _set(self, field: int, value: int) -> None:
        struct.pack_into("=I", self._state, 4 * field, value)


def _built() -> Path:
    """The module, made once for every process of tests."""
    library = Path(_BUILT.name) / "faulty_module.so"
    if not library.exists():
        command = [
            "cc",
            "-std=gnu11",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-parameter",
            "-shared",
            "-fPIC",
        ]
        subprocess.run([*command, "-o", library, _SOURCE, "-ldl"], check=True, capture_output=True)
    return library
