"""What a module raises, in the kiosk's terms: nobody is told anything of a PIN that was not given."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pkcs11 import exceptions

from kiosk.tokens import wire
from kiosk.tokens.wire import FailureKind

NOT_TOLD = (
    exceptions.AttributeTypeInvalid,
    exceptions.AttributeSensitive,
    NotImplementedError,
    ValueError,
    MemoryError,
)
"""An object has no such attribute, or keeps it. Anything else is a fault, and not to be taken for that."""


PIN_REFUSED = (
    exceptions.PinIncorrect,
    exceptions.PinInvalid,
    exceptions.PinLenRange,
    exceptions.PinExpired,
    exceptions.PinLocked,
)
"""What a module says of a PIN that it was given."""


_FAILURES: tuple[tuple[type[Exception], FailureKind], ...] = (
    (exceptions.PinIncorrect, FailureKind.PIN_WRONG),
    (exceptions.PinLocked, FailureKind.PIN_LOCKED),
    (exceptions.PinLenRange, FailureKind.PIN_LENGTH),
    (exceptions.PinInvalid, FailureKind.PIN_LENGTH),
    (exceptions.PinTooWeak, FailureKind.PIN_LENGTH),
    (exceptions.UserPinNotInitialized, FailureKind.PIN_NOT_SET),
    (exceptions.PinExpired, FailureKind.PIN_TO_BE_CHANGED),
    (exceptions.FunctionCancelled, FailureKind.PAD_CANCELLED),
    (exceptions.DeviceRemoved, FailureKind.GONE),
    (exceptions.TokenNotPresent, FailureKind.GONE),
    (exceptions.NoSuchToken, FailureKind.GONE),
    (exceptions.SlotIDInvalid, FailureKind.GONE),
    (exceptions.DeviceMemory, FailureKind.FULL),
    (exceptions.NoSuchKey, FailureKind.NOT_FOUND),
    (exceptions.MultipleObjectsReturned, FailureKind.AMBIGUOUS),
    (exceptions.MechanismInvalid, FailureKind.UNSUITABLE),
    (exceptions.MechanismParamInvalid, FailureKind.UNSUITABLE),
    (exceptions.KeySizeRange, FailureKind.UNSUITABLE),
    (exceptions.DomainParamsInvalid, FailureKind.UNSUITABLE),
    (exceptions.FunctionNotSupported, FailureKind.UNSUITABLE),
    (exceptions.PKCS11Error, FailureKind.DEVICE),
)


_ABOUT_THE_PIN = {
    FailureKind.PIN_WRONG,
    FailureKind.PIN_LOCKED,
    FailureKind.PIN_LENGTH,
    FailureKind.PIN_NOT_SET,
    FailureKind.PIN_TO_BE_CHANGED,
    FailureKind.PAD_CANCELLED,
}

_OFFICERS = {
    FailureKind.PIN_WRONG: FailureKind.SO_PIN_WRONG,
    FailureKind.PIN_LOCKED: FailureKind.SO_PIN_LOCKED,
    FailureKind.PIN_LENGTH: FailureKind.SO_PIN_LENGTH,
    FailureKind.PIN_NOT_SET: FailureKind.DEVICE,
    FailureKind.PIN_TO_BE_CHANGED: FailureKind.DEVICE,
    FailureKind.PAD_CANCELLED: FailureKind.DEVICE,
}
"""Where the PIN was the security officer's: what the user is told of his own does not fit."""


class Failure(Exception):
    """A request that was not carried out."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(kind, detail)
        self.reply = wire.Failed(kind, detail)


def failure_of(error: exceptions.PKCS11Error, *, gave_pin: bool = False, writes: bool = False) -> Failure:
    """What a module raised, in the kiosk's terms.

    Where the call gave no PIN the module cannot have refused one, where it did no key was asked for, and where nothing
    was written there can be no room missing, whatever it says: nobody is sent to a teller with a token that is neither
    locked nor full nor unsuitable.
    """
    kind = next(kind for raised, kind in _FAILURES if isinstance(error, raised))
    lacks_nothing = (
        (kind in _ABOUT_THE_PIN and not gave_pin)
        or (kind is FailureKind.UNSUITABLE and gave_pin)
        or (kind is FailureKind.FULL and not writes)
    )
    return Failure(FailureKind.DEVICE if lacks_nothing else kind, type(error).__name__)


@contextmanager
def giving_a_pin() -> Iterator[None]:
    """What a module says of a PIN inside the block is about that PIN."""
    try:
        yield
    except exceptions.PKCS11Error as error:
        raise failure_of(error, gave_pin=True) from error


@contextmanager
def giving_officers_pin() -> Iterator[None]:
    """What a module says of a PIN inside the block is about the security officer's."""
    try:
        yield
    except exceptions.PKCS11Error as error:
        failure = failure_of(error, gave_pin=True).reply
        raise Failure(_OFFICERS.get(failure.kind, failure.kind), failure.detail) from error


@contextmanager
def needing_room() -> Iterator[None]:
    """That there is no room, said inside the block, is about what is to be written there."""
    try:
        yield
    except exceptions.DeviceMemory as error:
        raise failure_of(error, writes=True) from error


@contextmanager
def at_pad(time_out: float) -> Iterator[None]:
    """Tell a reader that has waited in vain from a cancel key: modules raise FunctionCancelled for both (OpenSC)."""
    begun = time.monotonic()
    try:
        yield
    except exceptions.FunctionCancelled as error:
        waited = time.monotonic() - begun >= time_out
        kind = FailureKind.PAD_TIMED_OUT if waited else FailureKind.PAD_CANCELLED
        raise Failure(kind, type(error).__name__) from error
