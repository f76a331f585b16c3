"""What is to be kept on a token, and a token that does not keep it, most often because it is full.

Modules say GeneralError for a full token, for one that is gone, and for nearly everything else. So what has failed is
tried once more in a fresh process, after a look whether the token is there; only then it is given up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from kiosk.errors import Code, KioskError
from kiosk.tokens.errors import TokenError
from kiosk.tokens.token import Token
from kiosk.tokens.wire import FailureKind, KeyKind, Room

T = TypeVar("T")

NO_ROOM = "not stored"
"""What the CA and the journal are told."""

_OF_FULL_TOKENS = frozenset({"GeneralError", "FunctionFailed", "DeviceError", "ObjectHandleInvalid", "HostMemory"})
"""What modules raise for a full token that do not say DeviceMemory (field notes §2, §4; SoftHSM on a full disc)."""


_LEAST_PRIVATE = {KeyKind.RSA_2048: 1152, KeyKind.RSA_3072: 1728}
"""Bytes of the numbers of a private key (RFC 8017 §3.2); 32 of any other kind, which is next to nothing."""
_LEAST_CERTIFICATE = 256
"""Bytes; no certificate is smaller."""


def check_room(room: Room, kind: KeyKind) -> None:
    """Stop where a token tells that a new credential certainly does not fit; anything else shows when it is written.

    Raises:
        KioskError: T-26
    """
    private = room.private is not None and room.private < _LEAST_PRIVATE.get(kind, 32)
    public = room.public is not None and room.public < _LEAST_CERTIFICATE
    if private or public:
        raise KioskError(Code.TOKEN_FULL, f"{room.public} and {room.private} bytes are free")


class NotStored(TokenError):
    """The token is there and does not take it; `FULL` where that is most likely why."""

    def __init__(self, error: TokenError) -> None:
        full = error.kind is FailureKind.FULL or error.detail in _OF_FULL_TOKENS
        super().__init__(FailureKind.FULL if full else error.kind, error.detail)
        self.store = error.store


async def stored(store: Token, act: Callable[[], Awaitable[T]], clear: Callable[[], Awaitable[object]]) -> T:
    """Do `act`, which is to leave something on the token; where it fails, `clear` up and do it once more.

    Raises:
        NotStored: the token is there, and has not taken it.
        TokenError: it is not there, or cannot be used.
        TokenHangs, TokenProcessDied
    """
    try:
        return await act()
    except TokenError as error:
        if error.kind is FailureKind.FULL:
            raise NotStored(error) from error
        if error.kind is not FailureKind.DEVICE:
            raise
        first = error
    await store.log_in_afresh()
    await clear()
    try:
        return await act()
    except TokenError as again:
        if again.kind is FailureKind.OCCUPIED:  # by what could not be cleared up
            raise NotStored(first) from again
        if again.kind not in (FailureKind.FULL, FailureKind.DEVICE):
            raise
        raise NotStored(again) from again
