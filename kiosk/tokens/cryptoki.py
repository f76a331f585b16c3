"""The only file that calls a PKCS#11 module. It runs in a token process, in its one thread.

What real modules do is in this house's field notes, §4: they differ in what they accept, so nothing is sent
that one of them refuses (`templates`), nothing is signed by a mechanism that is not offered (`mechanisms`), and what
has to be known beforehand is in one table (`modules`). Searches are by object class, because one damaged object breaks
an unfiltered one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, SlotFlag, TokenFlag, exceptions
from pkcs11.types import PROTECTED_AUTH, SignMixin
from pkcs11.util.ec import encode_ecdsa_signature

from kiosk.tokens import mechanisms, templates, wire
from kiosk.tokens.modules import About, AfterChange, Traits, WorkerSettings, traits_of
from kiosk.tokens.native import Native, TokenInfo, native
from kiosk.tokens.so_pin import SoPinUnusable, read_so_pin
from kiosk.tokens.templates import EC_BITS, RSA_BITS, until_taken, without
from kiosk.tokens.wire import (
    EcPublic,
    FailureKind,
    KeyKind,
    KeyOrigin,
    ObjectKind,
    Public,
    RsaPublic,
    SignatureKind,
    StoredObject,
)

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Module  # noqa: N812 - the binding's own name for a loaded module says nothing

_CLASSES = {
    ObjectKind.CERTIFICATE: ObjectClass.CERTIFICATE,
    ObjectKind.PRIVATE_KEY: ObjectClass.PRIVATE_KEY,
    ObjectKind.PUBLIC_KEY: ObjectClass.PUBLIC_KEY,
}

_OUR_KEY_ID_BYTES = 16
"""What only the kiosk makes (design decision 7): nobody else's key has a hash for its CKA_ID."""

_LOOK_ANEW_EVERY = 2.0
"""Seconds."""
_LOAD_ANEW_EVERY = 10.0
"""Seconds; to load a module in a fresh process takes a part of one."""

_NOT_TOLD = (
    exceptions.AttributeTypeInvalid,
    exceptions.AttributeSensitive,
    NotImplementedError,
    ValueError,
    MemoryError,
)
"""An object has no such attribute, or keeps it. Anything else is a fault, and not to be taken for that."""

_PIN_REFUSED = (
    exceptions.PinIncorrect,
    exceptions.PinInvalid,
    exceptions.PinLenRange,
    exceptions.PinExpired,
    exceptions.PinLocked,
)

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
def _giving_a_pin() -> Iterator[None]:
    """What a module says of a PIN inside the block is about that PIN."""
    try:
        yield
    except exceptions.PKCS11Error as error:
        raise failure_of(error, gave_pin=True) from error


@contextmanager
def _giving_officers_pin() -> Iterator[None]:
    """What a module says of a PIN inside the block is about the security officer's."""
    try:
        yield
    except exceptions.PKCS11Error as error:
        failure = failure_of(error, gave_pin=True).reply
        raise Failure(_OFFICERS.get(failure.kind, failure.kind), failure.detail) from error


@contextmanager
def _needing_room() -> Iterator[None]:
    """That there is no room, said inside the block, is about what is to be written there."""
    try:
        yield
    except exceptions.DeviceMemory as error:
        raise failure_of(error, writes=True) from error


class Cryptoki:
    """One loaded module, and at most one session with one of its tokens."""

    def __init__(
        self,
        settings: WorkerSettings,
        load: Callable[[str], Module] = pkcs11.lib,
        load_native: Callable[[str], Native | None] = native,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use the module that `settings` names; it is loaded at the first request: a spare process waits unloaded."""
        self._settings = settings
        self._load = load
        self._load_native = load_native
        self._clock = clock
        self._module: Module | None = None
        self._native: Native | None = None
        self._session: pkcs11.Session | None = None
        self._serial = ""
        self.known_by: frozenset[bytes] = frozenset()
        """The certificates that lie on that token, as far as they were read or written here; SHA-256 of each."""
        self._traits = Traits()
        """Of the token the session is with."""
        self._pin: str | None = None
        self._so_pin_refused = False
        self._mechanisms: set[int] | None = None
        self._present: frozenset[str] | None = None
        self._changed = False
        """Whether a token has come or gone since the module was initialised."""
        self._look_anew_at = 0.0
        self._load_anew_at = self._clock() + _LOAD_ANEW_EVERY

    @property
    def accepted_pin(self) -> str | None:
        """The PIN with which the session was opened, as long as the token takes it."""
        return self._pin

    @property
    def wants_fresh_process(self) -> bool:
        """Whether what the module says next can be believed only in a fresh process."""
        if self._session is not None or self._module is None:
            return False
        if self._traits_of_module().after_change is not AfterChange.NEW_PROCESS:
            return False
        return self._changed or (not self._present and self._clock() >= self._load_anew_at)

    def describe_module(self) -> wire.ModuleFacts:
        """What the module says of itself, and every slot it has."""
        module = self._loaded()
        return wire.ModuleFacts(
            manufacturer=module.manufacturer_id,
            description=module.library_description,
            version=_version(module.library_version),
            cryptoki_version=_version(module.cryptoki_version),
            slots=tuple(
                wire.SlotFacts(
                    description=slot.slot_description,
                    removable=SlotFlag.REMOVABLE_DEVICE in slot.flags,
                    hardware=SlotFlag.HW_SLOT in slot.flags,
                )
                for slot in module.get_slots()
            ),
        )

    def find_tokens(self) -> list[wire.TokenFacts]:
        """Every initialised token that is in.

        Some modules see a new reader or token only after they were initialised anew, so while nothing is found that is
        done from time to time.
        """
        try:
            found = self._look()
            if not found and self._session is None and self._clock() >= self._look_anew_at:
                self._look_anew_at = self._clock() + _LOOK_ANEW_EVERY
                self._loaded().reinitialize()
                found = self._look()
        except exceptions.PKCS11Error:
            self._changed = True
            raise
        present = frozenset(each.serial for each in found)
        self._changed = self._changed or self._present not in (None, present)
        self._present = present
        return found

    def _look(self) -> list[wire.TokenFacts]:
        """One vanished token does not hide the others."""
        found = []
        for slot in self._slots_with_token():
            token = _token_in(slot)
            if token is None:
                continue
            if TokenFlag.TOKEN_INITIALIZED in token.flags and self._settings.token_label in ("", token.label):
                found.append(_facts(slot, token, self._traits_of(token), self._info(slot)))
        return found

    def find_blank_tokens(self) -> list[wire.TokenFacts]:
        """Every token that is in and that nobody has initialised, whatever its label."""
        tokens = [(slot, _token_in(slot)) for slot in self._slots_with_token()]
        return [
            _facts(slot, token, self._traits_of(token), self._info(slot))
            for slot, token in tokens
            if token is not None and TokenFlag.TOKEN_INITIALIZED not in token.flags
        ]

    def initialise(self, slot_id: int, serial: str, label: str, so_pin: str, new: str) -> str:
        """Empty a token and give it a PIN (C_InitToken, C_InitPIN); its serial number then, which may be a new one.

        Where it fails after the token was emptied (`PIN_LENGTH`), it can be begun anew, or the PIN be set by `unblock`.
        """
        if len(label.encode()) > wire.LABEL_BYTES:
            raise Failure(FailureKind.UNSUITABLE, "the label is too long")
        slot = next((each for each in self._slots_with_token() if each.slot_id == slot_id), None)
        if slot is None:
            raise Failure(FailureKind.GONE, "no token is in this slot")
        if _serial(slot.get_token()) != serial:
            raise Failure(FailureKind.SWAPPED, "another serial number")
        if self._native is None:
            raise Failure(FailureKind.UNSUITABLE, "the module has no function list")
        with _giving_officers_pin():
            self._native.init_token(slot_id, so_pin.encode("ascii"), label)
        self._set_users_pin(slot.get_token(), so_pin, new)
        return _serial(slot.get_token())

    def _slots_with_token(self) -> list[pkcs11.Slot]:
        """A reader may go between the list of slots and what is asked of each; then both are asked once more."""
        try:
            return list(self._loaded().get_slots(token_present=True))
        except exceptions.PKCS11Error:
            return list(self._loaded().get_slots(token_present=True))

    def log_in(self, serial: str, pin: str, known_by: frozenset[bytes] = frozenset()) -> None:
        """Open the session with the token of `serial`, and keep the PIN where it is accepted.

        Some makers give all their tokens one serial number. Where certificates are `known_by` an earlier session, the
        PIN is given to no token that shows others before that.
        """
        self._begin(serial, pin, known_by)

    def log_in_at_pad(self, serial: str, time_out: float) -> None:
        """Open the session with the token of `serial`, whose PIN is typed at its reader."""
        with self._opening(serial) as token, _giving_a_pin(), _pad(time_out):
            self._session = self._logged_in(token, user_pin=PROTECTED_AUTH)

    def open_without_pin(self, serial: str) -> None:
        """Open the session with the token of `serial`, which wants no PIN."""
        self._begin(serial, None)

    def check_identity(self) -> None:
        """See that the session is with the token it was opened with: some modules let one live on with another token.

        By the serial number, and by a certificate that is known to lie on it: some makers give all tokens one number.
        """
        if self._session is None:
            return
        if _serial(self._slot().get_token()) != self._serial:
            raise Failure(FailureKind.SWAPPED, "another serial number")
        if _shows(self._session, self.known_by) is False:
            raise Failure(FailureKind.SWAPPED, "other certificates")

    def change_pin(self, serial: str, present: str, new: str) -> None:
        """Change the PIN and go on with the new one, logged in; nobody has to be logged in before."""
        with self._session_for_change(serial) as session, _giving_a_pin():
            session.set_pin(present, new)
        if self._session is None:
            self._begin(serial, new)
        else:
            self._pin = new

    def change_pin_at_pad(self, serial: str, time_out: float) -> None:
        """Have the PIN changed at the reader."""
        with self._session_for_change(serial) as session, _giving_a_pin(), _pad(time_out):
            if self._native is None:
                raise Failure(FailureKind.UNSUITABLE, "the module has no function list")
            self._native.set_pin_at_pad(session.handle)  # type: ignore[attr-defined]  # the stub leaves it out

    def unblock(self, serial: str, so_pin: str, new: str) -> None:
        """Make `new` the user's PIN (C_InitPIN), logged in as security officer for this only."""
        self._set_users_pin(self._token(serial), so_pin, new)

    def _set_users_pin(self, token: pkcs11.Token, so_pin: str, new: str) -> None:
        with _giving_officers_pin():
            session = self._logged_in(token, so_pin=so_pin)
        try:
            with _giving_a_pin():
                session.init_pin(new)
        finally:
            self._close(session)

    @contextmanager
    def _session_for_change(self, serial: str) -> Iterator[pkcs11.Session]:
        """The session there is, or one for this only; nobody has to be logged in to change a PIN."""
        if self._session is not None:
            yield self._session
            return
        self._believe_again()
        session = _open(self._token(serial))
        try:
            yield session
        finally:
            self._close(session)

    def _begin(self, serial: str, pin: str | None, known_by: frozenset[bytes] = frozenset()) -> None:
        with self._opening(serial, known_by) as token, _giving_a_pin() if pin else nullcontext():
            self._session = self._logged_in(token, user_pin=pin)
        self._pin = pin

    @contextmanager
    def _opening(self, serial: str, known_by: frozenset[bytes] = frozenset()) -> Iterator[pkcs11.Token]:
        """The token with which a session is opened inside."""
        self._believe_again()
        token = self._token(serial, known_by)
        yield token
        self._serial, self.known_by = serial, known_by
        self._traits, self._mechanisms = self._traits_of(token), None

    def _believe_again(self) -> None:
        """Some modules refuse the right PIN of a token that has come back (ykcs11), until they are initialised anew."""
        if self._changed and self._session is None:
            self._loaded().reinitialize()
            self._changed = False

    def _logged_in(self, token: pkcs11.Token, *, user_pin: object = None, so_pin: str | None = None) -> pkcs11.Session:
        """A session. The binding leaves one open whose login failed, and small tokens have few of them."""
        try:
            return _open(token, user_pin=user_pin, so_pin=so_pin)
        except exceptions.PKCS11Error:
            self._close_all(token.slot)
            raise

    def _close(self, session: pkcs11.Session) -> None:
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
        if self._native and self._native.close_all_sessions(slot.slot_id):
            return
        with suppress(exceptions.PKCS11Error):
            self._loaded().reinitialize()

    @contextmanager
    def _writing(self) -> Iterator[pkcs11.Session]:
        """The session in which the token lets us write: the customer's, or for a moment the security officer's."""
        if not self._traits.so_login_to_write:
            yield self._open()
            return
        self._check_pin_is_known()
        so_pin, pin = self._so_pin(), self._pin
        self._close(self._open())  # a token has one user at a time
        self._session = None
        try:
            session = self._opened_by_officer(so_pin)
            try:
                yield session
            finally:
                self._close(session)
        finally:
            self._begin(self._serial, pin, self.known_by)

    def _check_pin_is_known(self) -> None:
        """Leave the customer logged in where nobody here could do it again: a PIN typed at the reader stays there."""
        if self._pin is None and TokenFlag.LOGIN_REQUIRED in self._slot().get_token().flags:
            kind = FailureKind.PAD_NOT_ENOUGH if self._is_typed_at_reader() else FailureKind.DEVICE
            raise Failure(kind, "the PIN would be wanted once more, and is not known")

    def _is_typed_at_reader(self) -> bool:
        return TokenFlag.PROTECTED_AUTHENTICATION_PATH in self._slot().get_token().flags

    def _so_pin(self) -> str:
        """The officer's PIN. One that was refused, here or as far as the token tells, is not sent again."""
        flags = self._token(self._serial).flags
        doubtful = TokenFlag.SO_PIN_COUNT_LOW | TokenFlag.SO_PIN_FINAL_TRY | TokenFlag.SO_PIN_LOCKED
        if self._so_pin_refused or flags & doubtful:
            raise Failure(FailureKind.WRITING_FORBIDDEN, "the security officer's PIN was refused before")
        try:
            return read_so_pin(self._settings.so_pin_file)
        except SoPinUnusable as error:
            raise Failure(FailureKind.WRITING_FORBIDDEN, str(error)) from error

    def _opened_by_officer(self, so_pin: str) -> pkcs11.Session:
        try:
            return self._logged_in(self._token(self._serial, self.known_by), so_pin=so_pin)
        except _PIN_REFUSED as error:
            self._so_pin_refused = True
            detail = f"the security officer's PIN is refused: {type(error).__name__}"
            raise Failure(FailureKind.WRITING_FORBIDDEN, detail) from error

    def list_objects(self) -> list[StoredObject]:
        """Every certificate, private key and public key that the token shows."""
        found = [_stored(kind, each) for kind in _CLASSES for each in self._all(kind)]
        self.known_by = frozenset(_fingerprint(each.der) for each in found if each.der)
        return found

    def key_kinds(self, origin: KeyOrigin) -> list[KeyKind]:
        """The kinds of key pair that the token says it can make, or take, and sign with."""
        return _key_kinds(self._slot(), origin)

    def key_kinds_in_slot(self, slot_id: int, origin: KeyOrigin) -> list[KeyKind]:
        """As `key_kinds`, of the token in this slot; nobody has to be logged in."""
        slot = next((each for each in self._loaded().get_slots(token_present=True) if each.slot_id == slot_id), None)
        if slot is None:
            raise Failure(FailureKind.GONE, "no token is in this slot")
        return _key_kinds(slot, origin)

    def room(self, slot_id: int) -> wire.Room:
        """What C_GetTokenInfo says of free memory. Many modules say nothing, and some say 0 for that."""
        self._loaded()
        told = self._native.token_info(slot_id) if self._native else TokenInfo()
        return wire.Room(told.free_public or None, told.free_private or None)

    def signature_kinds(self) -> list[SignatureKind]:
        """How the token says it can sign."""
        return mechanisms.signature_kinds(self._offered())

    def make_key_pair(self, kind: KeyKind, key_id: bytes, label: str) -> wire.MadeKeyPair:
        """Make a key pair that never leaves the token; one that could leave it is removed again."""
        self._make_sure_it_is_free(key_id)
        with self._writing() as session:
            self._clear_public_halves(session, key_id)
            public = until_taken(
                lambda left_out: self._generated(session, kind, key_id, label, left_out), templates.LESS_OF_A_KEY
            )
        return self._made(key_id, public)

    def import_key_pair(self, kind: KeyKind, key_id: bytes, label: str) -> wire.MadeKeyPair:
        """Make a key pair here and put it into the token, whence it cannot be taken; the process must end then.

        The public half first: a private key alone, of which nobody can tell the public half, would be of no use.
        """
        from kiosk.tokens import software_keys  # no other token process needs `cryptography`

        self._make_sure_it_is_free(key_id)
        key = software_keys.make(kind)
        public = templates.public_key(key.key_type, key_id, label, key.public)
        private = templates.private_key(key.key_type, key_id, label, key.private)
        with self._writing() as session:
            self._clear_public_halves(session, key_id)
            try:
                for template in (public, private):
                    _create(session, template, templates.LESS_OF_A_KEY)
            except (exceptions.PKCS11Error, Failure):
                with suppress(exceptions.PKCS11Error):
                    self._clear_public_halves(session, key_id)
                raise
        return self._made(key_id, _told(key.public))

    def _generated(
        self, session: pkcs11.Session, kind: KeyKind, key_id: bytes, label: str, left_out: frozenset[Attribute]
    ) -> Public | None:
        options = templates.key_pair_options(key_id, label, left_out)
        if kind in EC_BITS:
            curve = {Attribute.EC_PARAMS: templates.curve_parameters(kind)}
            parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
            with _needing_room():
                public, _ = parameters.generate_keypair(**options)
        else:
            with _needing_room():
                public, _ = session.generate_keypair(KeyType.RSA, RSA_BITS[kind], **options)
        return _public(public)

    def _make_sure_it_is_free(self, key_id: bytes) -> None:
        """A card that has slots overwrites the key that is in one, silently; and no ID of ours is given twice."""
        if not self._traits.allows_key_id(key_id):
            raise Failure(FailureKind.UNSUITABLE, f"this card has no slot {key_id.hex()}")
        alone = bool(self._traits.key_ids) or len(key_id) == _OUR_KEY_ID_BYTES
        if alone and self._search(ObjectKind.PRIVATE_KEY, {Attribute.ID: key_id}):
            raise Failure(FailureKind.OCCUPIED, "there is a private key with this ID already")

    def _clear_public_halves(self, session: pkcs11.Session, key_id: bytes) -> None:
        """Remove what a cut has left of an earlier key of ours: its public half would be taken for the new one's."""
        if len(key_id) == _OUR_KEY_ID_BYTES:
            for left in _found(session, ObjectKind.PUBLIC_KEY, {Attribute.ID: key_id}):
                left.destroy()

    def _made(self, key_id: bytes, public: Public | None) -> wire.MadeKeyPair:
        """What was made, once it has been read back.

        Whether tokens call a key sensitive differs (field notes §4), and what is not extractable is never told in the
        clear anyway (PKCS#11 2.40 §4.9).
        """
        private = self._private_key(key_id, public)
        if _attribute(private, Attribute.EXTRACTABLE) is not False:
            halves = self._search(ObjectKind.PUBLIC_KEY, {Attribute.ID: key_id})
            made = [_stored(ObjectKind.PUBLIC_KEY, each) for each in halves if _public(each) == public]
            for stored in (_stored(ObjectKind.PRIVATE_KEY, private), *made):
                self.remove(stored)
            raise Failure(FailureKind.UNSUITABLE, "the key in the token can be taken out, or may be")
        if public is None:
            raise Failure(FailureKind.DEVICE, "the token does not tell the public key it made")
        return wire.MadeKeyPair(public)

    def sign(self, request: wire.Sign) -> bytes:
        """Sign by a mechanism that the slot offers; one that has none for this says so.

        No reader is woken: a key that wants the PIN typed there is `PAD_WANTED`.
        """
        key, way = self._key_and_way(request)
        return _as_in_x509(way, self._signed(key, way, request.data))

    def sign_at_pad(self, request: wire.Sign, time_out: float) -> bytes:
        """As `sign`, by a key that wants the PIN for it (PKCS #11 v2.40 §5.6, CKU_CONTEXT_SPECIFIC)."""
        key, way = self._key_and_way(request)
        session = self._open()
        with _giving_a_pin(), _pad(time_out):
            if self._native is None:
                raise Failure(FailureKind.PAD_NOT_ENOUGH, "the module has no function list")
            signature = self._native.sign_at_pad(session.handle, _handle(key), way, request.data)  # type: ignore[attr-defined]  # the stub leaves it out
        return _as_in_x509(way, signature)

    def _key_and_way(self, request: wire.Sign) -> tuple[SignMixin, mechanisms.SigningWay]:
        key = self._private_key(request.key_id, request.public)
        kind = _signature_kind(key, pss=request.pss)
        way = mechanisms.signing_way(kind, request.digest, self._offered())
        if way is None:
            raise Failure(FailureKind.UNSUITABLE, f"no mechanism for {kind} with {request.digest}")
        return key, way

    def _signed(self, key: SignMixin, way: mechanisms.SigningWay, data: bytes) -> bytes:
        """Some keys want the PIN at every signature (CKA_ALWAYS_AUTHENTICATE), and some of them do not say so."""
        wanted = _wants_pin(key)
        if wanted:
            self._check_pin_is_known_to_sign()
        pin = self._pin if wanted else None
        try:
            return self._signed_once(key, way, data, pin)
        except exceptions.UserNotLoggedIn:
            if pin is not None:
                raise
            self._check_pin_is_known_to_sign()
            if self._pin is None:
                raise
        return self._signed_once(key, way, data, self._pin)

    def _check_pin_is_known_to_sign(self) -> None:
        if self._pin is None and self._is_typed_at_reader():
            kind = FailureKind.PAD_WANTED if self._native else FailureKind.PAD_NOT_ENOUGH
            raise Failure(kind, "the key wants the PIN for each signature")
        self._check_pin_is_known()

    def _signed_once(self, key: SignMixin, way: mechanisms.SigningWay, data: bytes, pin: str | None) -> bytes:
        try:
            signed = key.sign(way.input_of(data), mechanism=way.mechanism, mechanism_param=way.parameter, pin=pin)
        except _PIN_REFUSED as error:
            if pin is None:
                raise
            self._pin = None  # refused once, it is never sent again; that the customer mistyped it, it does not say
            if isinstance(error, exceptions.PinLocked):
                raise failure_of(error, gave_pin=True) from error
            detail = f"the accepted PIN is refused for a signature: {type(error).__name__}"
            raise Failure(FailureKind.DEVICE, detail) from error
        return bytes(signed)

    def write_certificate(self, request: wire.WriteCertificate) -> None:
        """Write the certificate beside its key; nothing is written twice."""
        beside = self._search(ObjectKind.CERTIFICATE, {Attribute.ID: request.key_id})
        same = [each for each in beside if each[Attribute.VALUE] == request.der]
        if any(not request.by_label or _attribute(each, Attribute.LABEL) == request.label for each in same):
            return
        with self._writing() as session:
            _create(session, templates.certificate(request), templates.LESS_OF_A_CERTIFICATE)
        self.known_by |= {_fingerprint(request.der)}

    def relabel(self, key_id: bytes, label: str) -> bool:
        """Change the label of certificates and public keys with `key_id`; some tokens do not let labels change.

        Not of the private key: nothing reads its label once there is a certificate, and a card that is pulled while its
        list of private keys is written over loses keys (docs/token-stacks.md).
        """
        try:
            with self._writing() as session:
                for kind in (ObjectKind.CERTIFICATE, ObjectKind.PUBLIC_KEY):
                    for each in _found(session, kind, {Attribute.ID: key_id}):
                        each[Attribute.LABEL] = label
        except (exceptions.DeviceRemoved, exceptions.TokenNotPresent):
            raise
        except exceptions.PKCS11Error:
            return False  # modules say "labels do not change here" in many ways, and nothing hangs on a label
        return True

    def remove(self, stored: StoredObject) -> bool:
        """Remove exactly `stored`: handles are reused by some modules, so it is read again just before."""
        if self._traits.fresh_session_after_removal:
            self._check_pin_is_known()
        with self._writing() as session:
            found = _found(session, stored.kind, {Attribute.ID: stored.key_id})
            same = [each for each in found if _stored(stored.kind, each) == stored]
            if not same:
                return False
            if len(same) > 1:
                raise Failure(FailureKind.AMBIGUOUS, f"{len(same)} objects")
            same[0].destroy()
            self.known_by -= {_fingerprint(stored.der)}
        if self._traits.fresh_session_after_removal and self._session is not None:
            session, self._session = self._session, None
            self._close(session)
            self._begin(self._serial, self._pin, self.known_by)
        return True

    def _loaded(self) -> Module:
        if self._module is None or not self._module.initialized:
            try:
                self._module = self._load(self._settings.module)
            except (exceptions.PKCS11Error, RuntimeError, OSError) as error:
                raise Failure(FailureKind.MODULE, type(error).__name__) from error
            self._native = self._load_native(self._settings.module)
        return self._module

    def _info(self, slot: pkcs11.Slot) -> TokenInfo:
        return self._native.token_info(slot.slot_id) if self._native else TokenInfo()

    def _traits_of(self, token: pkcs11.Token) -> Traits:
        module = self._loaded()
        about = About(
            library=module.library_description,
            library_manufacturer=module.manufacturer_id,
            manufacturer=token.manufacturer_id,
            model=token.model,
            label=token.label,
        )
        return traits_of(about, self._settings.known)

    def _traits_of_module(self) -> Traits:
        module = self._loaded()
        return traits_of(About(module.library_description, module.manufacturer_id), self._settings.known)

    def _token(self, serial: str, known_by: frozenset[bytes] = frozenset()) -> pkcs11.Token:
        """The one token of `serial` that does not show itself to be another one than that with `known_by`."""
        slot_ids = {each.slot_id for each in self.find_tokens() if each.serial == serial}
        slots = self._loaded().get_slots(token_present=True)
        tokens = [each.get_token() for each in slots if each.slot_id in slot_ids]
        if not tokens:
            raise Failure(FailureKind.GONE, "no token of this serial is in")
        shown = [(each, _shows_before_login(each, known_by)) for each in tokens]
        known = [each for each, is_it in shown if is_it] or [each for each, is_it in shown if is_it is None]
        if len(known) == 1:
            return known[0]
        raise Failure(FailureKind.SEVERAL if known else FailureKind.SWAPPED, f"{len(tokens)} tokens of this serial")

    def _open(self) -> pkcs11.Session:
        if self._session is None:
            raise Failure(FailureKind.DEVICE, "nobody is logged in")
        return self._session

    def _slot(self) -> pkcs11.Slot:
        return self._open().token.slot

    def _offered(self) -> set[int]:
        if self._mechanisms is None:
            self._mechanisms = set(self._slot().get_mechanisms())
        return self._mechanisms

    def _all(self, kind: ObjectKind) -> list[pkcs11.Object]:
        return self._search(kind, {})

    def _search(self, kind: ObjectKind, attributes: dict[Attribute, object]) -> list[pkcs11.Object]:
        return _found(self._open(), kind, attributes)

    def _private_key(self, key_id: bytes, public: Public | None) -> SignMixin:
        found = [
            each for each in self._search(ObjectKind.PRIVATE_KEY, {Attribute.ID: key_id}) if isinstance(each, SignMixin)
        ]
        if len(found) > 1:
            found = [each for each in found if _public(each) == public]
        if len(found) != 1:
            raise Failure(FailureKind.AMBIGUOUS if found else FailureKind.NOT_FOUND, f"{len(found)} private keys")
        return found[0]


@contextmanager
def _pad(time_out: float) -> Iterator[None]:
    """Tell a reader that has waited in vain from a cancel key: modules raise FunctionCancelled for both (OpenSC)."""
    begun = time.monotonic()
    try:
        yield
    except exceptions.FunctionCancelled as error:
        waited = time.monotonic() - begun >= time_out
        kind = FailureKind.PAD_TIMED_OUT if waited else FailureKind.PAD_CANCELLED
        raise Failure(kind, type(error).__name__) from error


def _version(parts: tuple[int, int]) -> str:
    return f"{parts[0]}.{parts[1]}"


def _open(token: pkcs11.Token, *, user_pin: object = None, so_pin: str | None = None) -> pkcs11.Session:
    """Read-write, also to look only: the officer cannot log in beside a read-only session."""
    return token.open(rw=True, user_pin=user_pin, so_pin=so_pin)


def _found(session: pkcs11.Session, kind: ObjectKind, attributes: dict[Attribute, object]) -> list[pkcs11.Object]:
    """The objects of a kind, all of them: what is left of a search that is broken off prints to standard error."""
    found = list(session.get_objects({Attribute.CLASS: _CLASSES[kind], **attributes}))
    if len(found) > wire.MOST_OBJECTS:
        raise Failure(FailureKind.DEVICE, f"the token shows {len(found)} objects of one kind")
    return found


def _create(session: pkcs11.Session, template: templates.Template, less: Sequence[frozenset[Attribute]]) -> None:
    with _needing_room():
        until_taken(lambda left_out: session.create_object(without(template, left_out)), less)


def _key_kinds(slot: pkcs11.Slot, origin: KeyOrigin) -> list[KeyKind]:
    offered = set(slot.get_mechanisms())
    signs = mechanisms.signature_kinds(offered)
    kinds: list[KeyKind] = []
    if SignatureKind.RSA_PKCS1 in signs or SignatureKind.RSA_PSS in signs:
        kinds += _possible(slot, RSA_BITS, Mechanism.RSA_PKCS_KEY_PAIR_GEN, origin, offered)
    if SignatureKind.ECDSA in signs:
        kinds += _possible(slot, EC_BITS, Mechanism.EC_KEY_PAIR_GEN, origin, offered)
    return kinds


def _possible(
    slot: pkcs11.Slot, bits_of: Mapping[KeyKind, int], making: Mechanism, origin: KeyOrigin, offered: Collection[int]
) -> list[KeyKind]:
    """The kinds that can be made by this mechanism; a token that only takes them says nothing of their sizes."""
    if origin is KeyOrigin.EXPORT:
        return list(bits_of)
    if making not in offered:
        return []
    info = slot.get_mechanism_info(making)
    smallest, largest = info.min_key_length or 0, info.max_key_length
    return [kind for kind, bits in bits_of.items() if smallest <= bits and (largest is None or bits <= largest)]


def _handle(key: Any) -> int:  # noqa: ANN401 - the stub says that there may be none
    handle: int = key.handle
    return handle


def _as_in_x509(way: mechanisms.SigningWay, signature: bytes) -> bytes:
    return encode_ecdsa_signature(signature) if way.kind is SignatureKind.ECDSA else signature


def _signature_kind(key: SignMixin, *, pss: bool) -> SignatureKind:
    if key.key_type is KeyType.RSA:
        return SignatureKind.RSA_PSS if pss else SignatureKind.RSA_PKCS1
    return SignatureKind.ECDSA


def _wants_pin(key: pkcs11.Object) -> bool:
    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except (*_NOT_TOLD, exceptions.FunctionFailed):
        return False


def _facts(slot: pkcs11.Slot, token: pkcs11.Token, traits: Traits, info: TokenInfo) -> wire.TokenFacts:
    flags = token.flags
    return wire.TokenFacts(
        slot_id=slot.slot_id,
        serial=_serial(token),
        label=token.label,
        manufacturer=token.manufacturer_id,
        model=token.model,
        removable=SlotFlag.REMOVABLE_DEVICE in slot.flags,
        pin_set=TokenFlag.USER_PIN_INITIALIZED in flags,
        pin_few_tries=TokenFlag.USER_PIN_COUNT_LOW in flags,
        pin_last_try=TokenFlag.USER_PIN_FINAL_TRY in flags,
        pin_locked=TokenFlag.USER_PIN_LOCKED in flags,
        pin_to_be_changed=TokenFlag.USER_PIN_TO_BE_CHANGED in flags,
        needs_pin=TokenFlag.LOGIN_REQUIRED in flags,
        reader=slot.slot_description[: wire.LARGEST_ATTRIBUTE],
        traits=traits,
        pin_shortest=info.shortest_pin,
        pin_longest=info.longest_pin,
        so_pin_few_tries=TokenFlag.SO_PIN_COUNT_LOW in flags,
        so_pin_last_try=TokenFlag.SO_PIN_FINAL_TRY in flags,
        so_pin_locked=TokenFlag.SO_PIN_LOCKED in flags,
        pin_pad=TokenFlag.PROTECTED_AUTHENTICATION_PATH in flags,
    )


def _token_in(slot: pkcs11.Slot) -> pkcs11.Token | None:
    """The token in `slot`; None where it has vanished.

    Modules tell that by any error, so one that comes again is taken for it.
    """
    for _ in range(2):
        with suppress(exceptions.PKCS11Error):
            return slot.get_token()
    return None


def _serial(token: pkcs11.Token) -> str:
    return str(token.serial.decode("ascii", "backslashreplace").strip())


def _fingerprint(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()


def _shows_before_login(token: pkcs11.Token, certificates: frozenset[bytes]) -> bool | None:
    """As `_shows`, of a token nobody is logged in to; None too where it answers nothing before that."""
    if not certificates:
        return None
    try:
        session = token.open()
        try:
            return _shows(session, certificates)
        finally:
            session.close()
    except exceptions.PKCS11Error:
        return None


def _shows(session: pkcs11.Session, certificates: frozenset[bytes]) -> bool | None:
    """Whether one of `certificates` (SHA-256 of each) is on the token; None where nothing is known or shown."""
    if not certificates:
        return None
    objects = list(session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE}))
    return any(_fingerprint(_certificate(each)) in certificates for each in objects) if objects else None


def _stored(kind: ObjectKind, each: pkcs11.Object) -> StoredObject:
    certificate = kind is ObjectKind.CERTIFICATE
    return StoredObject(
        kind=kind,
        key_id=(_attribute(each, Attribute.ID) or b"")[: wire.LARGEST_ATTRIBUTE],
        label=(_attribute(each, Attribute.LABEL) or "")[: wire.LARGEST_ATTRIBUTE],
        der=_certificate(each) if certificate else b"",
        public=None if certificate else _told_half(kind, each),
    )


def _told_half(kind: ObjectKind, key: pkcs11.Object) -> Public | None:
    """The public half of a key; None too of a public key that is nothing but a name.

    OpenSC calls it a general error where a card lists a public key whose file a cut has taken (docs/token-stacks.md).
    Once may be any fault: it is taken for that where it is said again.
    """
    if kind is ObjectKind.PUBLIC_KEY:
        for _ in range(2):
            with suppress(exceptions.GeneralError):
                return _public(key)
        return None
    return _public(key)


def _certificate(each: pkcs11.Object) -> bytes:
    value: bytes = _attribute(each, Attribute.VALUE) or b""
    return value if len(value) <= wire.LARGEST_CERTIFICATE else b""


def _public(key: pkcs11.Object) -> Public | None:
    modulus = _attribute(key, Attribute.MODULUS)
    exponent = _attribute(key, Attribute.PUBLIC_EXPONENT)
    if modulus and exponent:
        return _told({Attribute.MODULUS: modulus, Attribute.PUBLIC_EXPONENT: exponent})
    parameters, point = _attribute(key, Attribute.EC_PARAMS), _attribute(key, Attribute.EC_POINT)
    if parameters and point:
        return _told({Attribute.EC_PARAMS: parameters, Attribute.EC_POINT: point})
    return None


def _told(numbers: templates.Template) -> Public | None:
    if any(len(number) > wire.LARGEST_ATTRIBUTE for number in numbers.values()):
        return None
    if Attribute.MODULUS in numbers:
        return RsaPublic(numbers[Attribute.MODULUS], numbers[Attribute.PUBLIC_EXPONENT])
    return EcPublic(numbers[Attribute.EC_PARAMS], numbers[Attribute.EC_POINT])


def _attribute(each: pkcs11.Object, attribute: Attribute) -> Any:  # noqa: ANN401 - whatever the attribute holds
    try:
        return each[attribute]
    except _NOT_TOLD:
        return None
