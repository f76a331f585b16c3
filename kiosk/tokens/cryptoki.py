"""Everything that can be asked of a PKCS#11 module. It runs in a token process, in its one thread.

What real modules do is in this house's field notes, §4: they differ in what they accept, so nothing is sent
that one of them refuses (`templates`), nothing is signed by a mechanism that is not offered (`mechanisms`), and what
has to be known beforehand is in one table (`modules`). The module is called in `slots`, `sessions`, `objects`, and what
builds on them: `pins`, `contents`, `making`, `signing`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pkcs11

from kiosk.tokens import contents, making, mechanisms, pins, signing, wire
from kiosk.tokens.modules import WorkerSettings
from kiosk.tokens.native import Native, native
from kiosk.tokens.sessions import Sessions
from kiosk.tokens.slots import Slots, key_kinds_of
from kiosk.tokens.wire import KeyKind, KeyOrigin, SignatureKind, StoredObject

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Module  # noqa: N812 - the binding's own name for a loaded module says nothing


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
        self._slots = Slots(settings, load, load_native, clock)
        self._sessions = Sessions(self._slots)

    @property
    def accepted_pin(self) -> str | None:
        """The PIN with which the session was opened, as long as the token takes it."""
        return self._sessions.pin

    @property
    def known_by(self) -> frozenset[bytes]:
        """The certificates that lie on that token, as far as they were read or written here; SHA-256 of each."""
        return self._sessions.known_by

    @property
    def wants_fresh_process(self) -> bool:
        """Whether what the module says next can be believed only in a fresh process."""
        return self._slots.wants_fresh_process

    def describe_module(self) -> wire.ModuleFacts:
        """What the module says of itself, and every slot it has."""
        return self._slots.describe_module()

    def find_tokens(self) -> list[wire.TokenFacts]:
        """Every initialised token that is in."""
        return self._slots.find_tokens()

    def find_blank_tokens(self) -> list[wire.TokenFacts]:
        """Every token that is in and that nobody has initialised, whatever its label."""
        return self._slots.find_blank_tokens()

    def initialise(self, slot_id: int, serial: str, label: str, so_pin: str, new: str) -> str:
        """Empty a token and give it a PIN (C_InitToken, C_InitPIN); its serial number then, which may be a new one."""
        return pins.initialise(self._sessions, slot_id, serial, label, so_pin, new)

    def log_in(self, serial: str, pin: str, known_by: frozenset[bytes] = frozenset()) -> None:
        """Open the session with the token of `serial`, and keep the PIN where it is accepted."""
        self._sessions.log_in(serial, pin, known_by)

    def log_in_at_pad(self, serial: str, time_out: float) -> None:
        """Open the session with the token of `serial`, whose PIN is typed at its reader."""
        self._sessions.log_in_at_pad(serial, time_out)

    def open_without_pin(self, serial: str) -> None:
        """Open the session with the token of `serial`, which wants no PIN."""
        self._sessions.open_without_pin(serial)

    def check_identity(self) -> None:
        """See that the session is with the token it was opened with, and with no other."""
        self._sessions.check_identity()

    def change_pin(self, serial: str, present: str, new: str) -> None:
        """Change the PIN and go on with the new one, logged in; nobody has to be logged in before."""
        pins.change_pin(self._sessions, serial, present, new)

    def change_pin_at_pad(self, serial: str, time_out: float) -> None:
        """Have the PIN changed at the reader."""
        pins.change_pin_at_pad(self._sessions, serial, time_out)

    def unblock(self, serial: str, so_pin: str, new: str) -> None:
        """Make `new` the user's PIN (C_InitPIN), logged in as security officer for this only."""
        pins.unblock(self._sessions, serial, so_pin, new)

    def list_objects(self) -> list[StoredObject]:
        """Every certificate, private key and public key that the token shows."""
        return contents.list_objects(self._sessions)

    def key_kinds(self, origin: KeyOrigin) -> list[KeyKind]:
        """The kinds of key pair that the token says it can make, or take, and sign with."""
        return key_kinds_of(self._sessions.slot(), origin)

    def key_kinds_in_slot(self, slot_id: int, origin: KeyOrigin) -> list[KeyKind]:
        """As `key_kinds`, of the token in this slot; nobody has to be logged in."""
        return self._slots.key_kinds_in_slot(slot_id, origin)

    def room(self, slot_id: int) -> wire.Room:
        """What C_GetTokenInfo says of free memory. Many modules say nothing, and some say 0 for that."""
        return self._slots.room(slot_id)

    def signature_kinds(self) -> list[SignatureKind]:
        """How the token says it can sign."""
        return mechanisms.signature_kinds(self._sessions.offered())

    def make_key_pair(
        self, kind: KeyKind, key_id: bytes, label: str, public_label: str | None = None
    ) -> wire.MadeKeyPair:
        """Make a key pair that never leaves the token; one that could leave it is removed again."""
        return making.make_key_pair(self._sessions, kind, key_id, label, public_label)

    def import_key_pair(
        self, kind: KeyKind, key_id: bytes, label: str, public_label: str | None = None
    ) -> wire.MadeKeyPair:
        """Make a key pair here and put it into the token, whence it cannot be taken; the process must end then."""
        return making.import_key_pair(self._sessions, kind, key_id, label, public_label)

    def sign(self, request: wire.Sign) -> bytes:
        """Sign by a mechanism that the slot offers; one that has none for this says so."""
        return signing.sign(self._sessions, request)

    def sign_at_pad(self, request: wire.Sign, time_out: float) -> bytes:
        """As `sign`, by a key that wants the PIN for it (PKCS #11 v2.40 §5.6, CKU_CONTEXT_SPECIFIC)."""
        return signing.sign_at_pad(self._sessions, request, time_out)

    def write_certificate(self, request: wire.WriteCertificate) -> None:
        """Write the certificate beside its key; nothing is written twice."""
        contents.write_certificate(self._sessions, request)

    def relabel(self, key_id: bytes, label: str) -> bool:
        """Change the label of certificates and public keys with `key_id`; some tokens do not let labels change."""
        return contents.relabel(self._sessions, key_id, label)

    def remove(self, stored: StoredObject) -> bool:
        """Remove exactly `stored`: handles are reused by some modules, so it is read again just before."""
        return contents.remove(self._sessions, stored)
