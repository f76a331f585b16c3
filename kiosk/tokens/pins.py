"""A token's PIN: changed, set by the security officer, and set for the first time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pkcs11

from kiosk.tokens import wire
from kiosk.tokens.failures import Failure, at_pad, giving_a_pin, giving_officers_pin
from kiosk.tokens.sessions import Sessions, open_session
from kiosk.tokens.slots import serial_of
from kiosk.tokens.wire import FailureKind


def change_pin(sessions: Sessions, serial: str, present: str, new: str) -> None:
    """Change the PIN and go on with the new one, logged in; nobody has to be logged in before."""
    with _session_for_change(sessions, serial) as session, giving_a_pin():
        session.set_pin(present, new)
    if sessions.slots.session is None:
        sessions.begin(serial, new)
    else:
        sessions.pin = new


def change_pin_at_pad(sessions: Sessions, serial: str, time_out: float) -> None:
    """Have the PIN changed at the reader."""
    with _session_for_change(sessions, serial) as session, giving_a_pin(), at_pad(time_out):
        if sessions.slots.native is None:
            raise Failure(FailureKind.UNSUITABLE, "the module has no function list")
        sessions.slots.native.set_pin_at_pad(session.handle)  # type: ignore[attr-defined]  # the stub leaves it out


def unblock(sessions: Sessions, serial: str, so_pin: str, new: str) -> None:
    """Make `new` the user's PIN (C_InitPIN), logged in as security officer for this only."""
    _set_users_pin(sessions, sessions.slots.token(serial), so_pin, new)


def initialise(sessions: Sessions, slot_id: int, serial: str, label: str, so_pin: str, new: str) -> str:
    """Empty a token and give it a PIN (C_InitToken, C_InitPIN); its serial number then, which may be a new one.

    Where it fails after the token was emptied (`PIN_LENGTH`), it can be begun anew, or the PIN be set by `unblock`.
    """
    if len(label.encode()) > wire.LABEL_BYTES:
        raise Failure(FailureKind.UNSUITABLE, "the label is too long")
    slot = next((each for each in sessions.slots.slots_with_token() if each.slot_id == slot_id), None)
    if slot is None:
        raise Failure(FailureKind.GONE, "no token is in this slot")
    if serial_of(slot.get_token()) != serial:
        raise Failure(FailureKind.SWAPPED, "another serial number")
    if sessions.slots.native is None:
        raise Failure(FailureKind.UNSUITABLE, "the module has no function list")
    with giving_officers_pin():
        sessions.slots.native.init_token(slot_id, so_pin.encode("ascii"), label)
    _set_users_pin(sessions, slot.get_token(), so_pin, new)
    return serial_of(slot.get_token())


def _set_users_pin(sessions: Sessions, token: pkcs11.Token, so_pin: str, new: str) -> None:
    with giving_officers_pin():
        session = sessions.logged_in(token, so_pin=so_pin)
    try:
        with giving_a_pin():
            session.init_pin(new)
    finally:
        sessions.close(session)


@contextmanager
def _session_for_change(sessions: Sessions, serial: str) -> Iterator[pkcs11.Session]:
    """The session there is, or one for this only; nobody has to be logged in to change a PIN."""
    if sessions.slots.session is not None:
        yield sessions.slots.session
        return
    sessions.slots.believe_again()
    session = open_session(sessions.slots.token(serial))
    try:
        yield session
    finally:
        sessions.close(session)
