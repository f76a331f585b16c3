"""What python-pkcs11 0.10.1 does not pass on: the numbers of C_GetTokenInfo, and four acts.

These are C_InitToken, C_SetPIN at a PIN pad, a signature whose PIN is typed there, and C_CloseAllSessions.

The module is loaded already: naming it again gives the same library, and its function list needs no initialisation of
its own. A module that makes a new list for everybody who asks (p11-kit's client) answers "not initialised", and nothing
is known. Used in a token process only, in its one thread.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass

from pkcs11 import exceptions

from kiosk.tokens.mechanisms import SigningWay
from kiosk.tokens.wire import LABEL_BYTES

_C_GET_TOKEN_INFO, _C_INIT_TOKEN, _C_SET_PIN, _C_CLOSE_ALL_SESSIONS = 6, 9, 11, 14
_C_LOGIN, _C_SIGN_INIT, _C_SIGN = 18, 42, 43
"""Their places in CK_FUNCTION_LIST, in the order of PKCS #11 v2.40 §3.6 (C_Initialize is 0)."""
_UNAVAILABLE = ctypes.c_ulong(-1).value
"""CK_UNAVAILABLE_INFORMATION."""
_CONTEXT_SPECIFIC = 2
"""CKU_CONTEXT_SPECIFIC: logs in for the operation that has begun, and for nothing else."""
_LARGEST_SIGNATURE = 1024
"""Bytes; by an RSA key of 8192 bits."""
_LONGEST_PIN = 255
"""A token that tells a longest PIN beyond this tells nothing."""


class _FunctionList(ctypes.Structure):
    """CK_FUNCTION_LIST: a version, then 68 pointers."""

    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 68))


class _TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO (PKCS #11 v2.40 §3.2)."""

    _fields_ = (
        ("names", ctypes.c_ubyte * (32 + 32 + 16 + 16)),
        ("flags", ctypes.c_ulong),
        ("sessions", ctypes.c_ulong * 4),
        ("longest_pin", ctypes.c_ulong),
        ("shortest_pin", ctypes.c_ulong),
        ("total_public", ctypes.c_ulong),
        ("free_public", ctypes.c_ulong),
        ("total_private", ctypes.c_ulong),
        ("free_private", ctypes.c_ulong),
        ("versions", ctypes.c_ubyte * 4),
        ("time", ctypes.c_ubyte * 16),
    )


class _PssParameters(ctypes.Structure):
    """CK_RSA_PKCS_PSS_PARAMS (PKCS #11 v2.40 mechanisms §2.1.10)."""

    _fields_ = (("digest", ctypes.c_ulong), ("mask", ctypes.c_ulong), ("salt_bytes", ctypes.c_ulong))


class _Mechanism(ctypes.Structure):
    """CK_MECHANISM (PKCS #11 v2.40 §3.5)."""

    _fields_ = (("kind", ctypes.c_ulong), ("parameter", ctypes.c_void_p), ("parameter_bytes", ctypes.c_ulong))


_RAISED = {
    0x30: exceptions.DeviceError,
    0x31: exceptions.DeviceMemory,
    0x32: exceptions.DeviceRemoved,
    0x50: exceptions.FunctionCancelled,
    0x54: exceptions.FunctionNotSupported,
    0xA0: exceptions.PinIncorrect,
    0xA1: exceptions.PinInvalid,
    0xA2: exceptions.PinLenRange,
    0xA3: exceptions.PinExpired,
    0xA4: exceptions.PinLocked,
    0xE0: exceptions.TokenNotPresent,
}
"""What python-pkcs11 raises for these values of CK_RV; PKCS11Error stands for any other."""

_GET_TOKEN_INFO = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_TokenInfo))
_INIT_TOKEN = ctypes.CFUNCTYPE(
    ctypes.c_ulong, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.POINTER(ctypes.c_char * LABEL_BYTES)
)
_SET_PIN = ctypes.CFUNCTYPE(
    ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong
)
_LOGIN = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong)
_SIGN_INIT = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_Mechanism), ctypes.c_ulong)
_SIGN = ctypes.CFUNCTYPE(
    ctypes.c_ulong,
    ctypes.c_ulong,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_ulong),
)
_CLOSE_ALL_SESSIONS = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong)


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """The numbers a token tells; 0 and None are "not told"."""

    shortest_pin: int = 0
    longest_pin: int = 0
    free_public: int | None = None
    """Bytes."""
    free_private: int | None = None


class Native:
    """The function list of a loaded module."""

    def __init__(self, path: str) -> None:
        """Of the module at `path`, which python-pkcs11 has loaded and initialised.

        Raises:
            OSError, AttributeError: it is no PKCS#11 module.
        """
        self._library = ctypes.CDLL(path)
        functions = ctypes.POINTER(_FunctionList)()
        self._library.C_GetFunctionList.restype = ctypes.c_ulong
        if self._library.C_GetFunctionList(ctypes.byref(functions)) or not functions:
            raise OSError("the module has no function list")
        self._functions = functions.contents.functions

    def token_info(self, slot_id: int) -> TokenInfo:
        """What the token in the slot tells of itself; nothing where it does not."""
        info = _TokenInfo()
        if _GET_TOKEN_INFO(self._functions[_C_GET_TOKEN_INFO])(slot_id, ctypes.byref(info)):
            return TokenInfo()
        longest = info.longest_pin if 0 < info.longest_pin <= _LONGEST_PIN else 0
        shortest = info.shortest_pin if 0 < info.shortest_pin <= (longest or _LONGEST_PIN) else 0
        return TokenInfo(shortest, longest, _told(info.free_public), _told(info.free_private))

    def init_token(self, slot_id: int, so_pin: bytes, label: str) -> None:
        """Make the token in the slot an empty one of this label; no session with it may be open.

        The label has at most `LABEL_BYTES` in UTF-8.

        Raises:
            PKCS11Error: as python-pkcs11 would.
        """
        padded = (ctypes.c_char * LABEL_BYTES).from_buffer_copy(label.encode().ljust(LABEL_BYTES))
        _check(_INIT_TOKEN(self._functions[_C_INIT_TOKEN])(slot_id, so_pin, len(so_pin), ctypes.byref(padded)))

    def set_pin_at_pad(self, session: int) -> None:
        """Have the PIN of the token behind `session` changed at its reader, where all three are typed.

        Raises:
            PKCS11Error: as python-pkcs11 would.
        """
        _check(_SET_PIN(self._functions[_C_SET_PIN])(session, None, 0, None, 0))

    def sign_at_pad(self, session: int, key: int, way: SigningWay, data: bytes) -> bytes:
        """What the key signs once the PIN was typed at the reader for it; as the mechanism has it, two numbers for EC.

        Raises:
            PKCS11Error: as python-pkcs11 would; nothing is left begun.
        """
        parameters = _PssParameters(*way.parameter) if way.parameter else None
        size = ctypes.sizeof(parameters) if parameters else 0
        address = ctypes.cast(ctypes.pointer(parameters), ctypes.c_void_p) if parameters else None
        mechanism = _Mechanism(int(way.mechanism), address, size)
        _check(_SIGN_INIT(self._functions[_C_SIGN_INIT])(session, ctypes.byref(mechanism), key))
        typed = _LOGIN(self._functions[_C_LOGIN])(session, _CONTEXT_SPECIFIC, None, 0)
        given = way.input_of(data)
        signature, length = ctypes.create_string_buffer(_LARGEST_SIGNATURE), ctypes.c_ulong(_LARGEST_SIGNATURE)
        # Also where nobody has typed it: C_Sign alone ends what C_SignInit has begun (PKCS #11 v2.40 §5.11).
        signed = _SIGN(self._functions[_C_SIGN])(session, given, len(given), signature, ctypes.byref(length))
        _check(typed)
        _check(signed)
        return signature.raw[: length.value]

    def close_all_sessions(self, slot_id: int) -> bool:
        """Close whatever this process has open with the token in the slot; whether the module says that it has."""
        return not _CLOSE_ALL_SESSIONS(self._functions[_C_CLOSE_ALL_SESSIONS])(slot_id)


def _check(result: int) -> None:
    if result:
        raise _RAISED.get(result, exceptions.PKCS11Error)(f"CK_RV {result:#x}")


def native(path: str) -> Native | None:
    """The function list of the module at `path`; None where it cannot be had."""
    with suppress(OSError, AttributeError):
        return Native(path)
    return None


def _told(number: int) -> int | None:
    return None if number == _UNAVAILABLE else number
