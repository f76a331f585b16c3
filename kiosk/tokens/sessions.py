"""The session with a token: log-in and log-out, whose token it is, and who may write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

import pkcs11
from pkcs11 import Attribute, TokenFlag, exceptions
from pkcs11.types import PROTECTED_AUTH

from kiosk.tokens.failures import PIN_REFUSED, Failure, at_pad, giving_a_pin
from kiosk.tokens.modules import Traits
from kiosk.tokens.objects import find_objects, shows
from kiosk.tokens.slots import Slots, serial_of
from kiosk.tokens.so_pin import SoPinUnusable, read_so_pin
from kiosk.tokens.wire import FailureKind, ObjectKind


class Sessions:
    """At most one session with one token, and what keeps it open."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.serial = ""
        self.known_by: frozenset[bytes] = frozenset()
        """The certificates that lie on that token, as far as they were read or written here; SHA-256 of each."""
        self.traits = Traits()
        """Of the token the session is with."""
        self.pin: str | None = None
        """The one with which it was opened, as long as the token takes it."""
        self._so_pin_refused = False
        self._mechanisms: set[int] | None = None

    def log_in(self, serial: str, pin: str, known_by: frozenset[bytes] = frozenset()) -> None:
        """Open the session with the token of `serial`, and keep the PIN where it is accepted.

        Some makers give all their tokens one serial number. Where certificates are `known_by` an earlier session, the
        PIN is given to no token that shows others before that.
        """
        self.begin(serial, pin, known_by)

    def log_in_at_pad(self, serial: str, time_out: float) -> None:
        """Open the session with the token of `serial`, whose PIN is typed at its reader."""
        with self._opening(serial) as token, giving_a_pin(), at_pad(time_out):
            self.slots.session = self.logged_in(token, user_pin=PROTECTED_AUTH)

    def open_without_pin(self, serial: str) -> None:
        """Open the session with the token of `serial`, which wants no PIN."""
        self.begin(serial, None)

    def check_identity(self) -> None:
        """See that the session is with the token it was opened with: some modules let one live on with another token.

        By the serial number, and by a certificate that is known to lie on it: some makers give all tokens one number.
        """
        if self.slots.session is None:
            return
        if serial_of(self.slot().get_token()) != self.serial:
            raise Failure(FailureKind.SWAPPED, "another serial number")
        if shows(self.slots.session, self.known_by) is False:
            raise Failure(FailureKind.SWAPPED, "other certificates")

    def begin(self, serial: str, pin: str | None, known_by: frozenset[bytes] = frozenset()) -> None:
        """As `log_in`, or without a PIN where that is None."""
        with self._opening(serial, known_by) as token, giving_a_pin() if pin else nullcontext():
            self.slots.session = self.logged_in(token, user_pin=pin)
        self.pin = pin

    @contextmanager
    def _opening(self, serial: str, known_by: frozenset[bytes] = frozenset()) -> Iterator[pkcs11.Token]:
        """The token with which a session is opened inside."""
        self.slots.believe_again()
        token = self.slots.token(serial, known_by)
        yield token
        self.serial, self.known_by = serial, known_by
        self.traits, self._mechanisms = self.slots.traits_of(token), None

    def logged_in(self, token: pkcs11.Token, *, user_pin: object = None, so_pin: str | None = None) -> pkcs11.Session:
        """A session. The binding leaves one open whose login failed, and small tokens have few of them."""
        try:
            return open_session(token, user_pin=user_pin, so_pin=so_pin)
        except exceptions.PKCS11Error:
            self._close_all(token.slot)
            raise

    def close(self, session: pkcs11.Session) -> None:
        """Close a session for certain: the binding leaves it open where the module fails to log out."""
        try:
            session.close()
        except exceptions.PKCS11Error:
            self._close_all(session.token.slot)

    def _close_all(self, slot: pkcs11.Slot) -> None:
        """Close all sessions with a token.

        Only where a module cannot do that is it initialised anew: OpenSC then forgets how many tries a PIN has left,
        and nobody would be warned before the last.
        """
        if self.slots.native and self.slots.native.close_all_sessions(slot.slot_id):
            return
        with suppress(exceptions.PKCS11Error):
            self.slots.module().reinitialize()

    @contextmanager
    def writing(self) -> Iterator[pkcs11.Session]:
        """The session in which the token lets us write: the customer's, or for a moment the security officer's."""
        if not self.traits.so_login_to_write:
            yield self.opened()
            return
        self.check_pin_is_known()
        so_pin, pin = self._so_pin(), self.pin
        self.close(self.opened())  # a token has one user at a time
        self.slots.session = None
        try:
            session = self._opened_by_officer(so_pin)
            try:
                yield session
            finally:
                self.close(session)
        finally:
            self.begin(self.serial, pin, self.known_by)

    def check_pin_is_known(self) -> None:
        """Leave the customer logged in where nobody here could do it again: a PIN typed at the reader stays there."""
        if self.pin is None and TokenFlag.LOGIN_REQUIRED in self.slot().get_token().flags:
            kind = FailureKind.PAD_NOT_ENOUGH if self.is_typed_at_reader() else FailureKind.DEVICE
            raise Failure(kind, "the PIN would be wanted once more, and is not known")

    def is_typed_at_reader(self) -> bool:
        """Whether the token's PIN is typed at the reader."""
        return TokenFlag.PROTECTED_AUTHENTICATION_PATH in self.slot().get_token().flags

    def _so_pin(self) -> str:
        """The officer's PIN. One that was refused, here or as far as the token tells, is not sent again."""
        flags = self.slots.token(self.serial).flags
        doubtful = TokenFlag.SO_PIN_COUNT_LOW | TokenFlag.SO_PIN_FINAL_TRY | TokenFlag.SO_PIN_LOCKED
        if self._so_pin_refused or flags & doubtful:
            raise Failure(FailureKind.WRITING_FORBIDDEN, "the security officer's PIN was refused before")
        try:
            return read_so_pin(self.slots.settings.so_pin_file)
        except SoPinUnusable as error:
            raise Failure(FailureKind.WRITING_FORBIDDEN, str(error)) from error

    def _opened_by_officer(self, so_pin: str) -> pkcs11.Session:
        try:
            return self.logged_in(self.slots.token(self.serial, self.known_by), so_pin=so_pin)
        except PIN_REFUSED as error:
            self._so_pin_refused = True
            detail = f"the security officer's PIN is refused: {type(error).__name__}"
            raise Failure(FailureKind.WRITING_FORBIDDEN, detail) from error

    def opened(self) -> pkcs11.Session:
        """The session there is."""
        if self.slots.session is None:
            raise Failure(FailureKind.DEVICE, "nobody is logged in")
        return self.slots.session

    def slot(self) -> pkcs11.Slot:
        """Where its token is."""
        return self.opened().token.slot

    def offered(self) -> set[int]:
        """The mechanisms of its slot."""
        if self._mechanisms is None:
            self._mechanisms = set(self.slot().get_mechanisms())
        return self._mechanisms

    def search(self, kind: ObjectKind, attributes: dict[Attribute, object]) -> list[pkcs11.Object]:
        """The objects of a kind that have these attributes."""
        return find_objects(self.opened(), kind, attributes)


def open_session(token: pkcs11.Token, *, user_pin: object = None, so_pin: str | None = None) -> pkcs11.Session:
    """Read-write, also to look only: the officer cannot log in beside a read-only session."""
    return token.open(rw=True, user_pin=user_pin, so_pin=so_pin)
