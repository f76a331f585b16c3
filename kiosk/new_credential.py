"""The new credential in its store, from the kind of its key to the proof: what a renewal and 電子証明書取得 do alike.

Its key is found again by its ID (design decision 7), so that each step can be taken up by a later visit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kiosk.certificates import Certificate
from kiosk.credentials import Credential
from kiosk.errors import Changed, Code, KioskError, Standing
from kiosk.journal import Event, VisitRecord
from kiosk.needed import needed
from kiosk.preparation import preferred_kind
from kiosk.removal import remove_all_of
from kiosk.services import Services
from kiosk.storing import check_room, stored
from kiosk.tokens.errors import StoreFault, TokenError
from kiosk.tokens.inventory import PENDING_LABEL, Inventory
from kiosk.tokens.token import Token, TokenKey
from kiosk.tokens.wire import KeyKind, KeyOrigin, StoreKind


@dataclass(frozen=True, slots=True)
class Stages:
    """What is true of the customer's certificate while the new credential comes about."""

    begun: Changed
    """Its key is there, or may be."""
    stored: Changed
    """Its certificate is there as well, and the CA may have heard so."""
    done: Changed
    """The CA has acknowledged it."""


@dataclass(slots=True)
class NewCredential:
    """A credential that comes about; faults of the store are raised as they are (`kiosk.tokens.errors.StoreFault`)."""

    store: Token
    """Where it is to live."""
    place: Callable[[Inventory], bytes | None]
    """Tells the CKA_ID that its key has or is to have; None where no place is free for it."""
    name: str
    """The label of its private key in a token; the rest of it is named so once the CA has acknowledged it."""
    stages: Stages
    services: Services
    record: VisitRecord
    standing: Standing
    old: Certificate | None = None
    """What it is to succeed, and what the journal calls it by as long as it has no certificate."""
    certificate: Certificate | None = field(default=None, init=False)
    """Its own, once it was issued, or found where an earlier visit has written it."""
    is_unheard_of: bool = field(default=False, init=False)
    """Whether the CA cannot know its key: it was made in this visit, and no request for it may have arrived."""
    _kind: KeyKind | None = field(default=None, init=False)
    _key_id: bytes | None = field(default=None, init=False)
    _key: TokenKey | None = field(default=None, init=False)

    @property
    def is_for_pc(self) -> bool:
        """Whether it is to live in this PC."""
        return self.store.kind is StoreKind.PC

    @property
    def store_failed(self) -> Code:
        """What it is called where its store fails."""
        return Code.PC_STORE_FAILED if self.is_for_pc else Code.TOKEN_FAILED

    @property
    def key_id(self) -> bytes:
        """CKA_ID of its key, once the store was looked at."""
        return needed(self._key_id)

    @property
    def key(self) -> TokenKey:
        """Its private key, once it was made or taken."""
        return needed(self._key)

    @property
    def kind(self) -> KeyKind:
        """Of its key, once that was chosen."""
        return needed(self._kind)

    @property
    def serial_of_old(self) -> str:
        """What the journal calls it by until it has a serial number of its own."""
        return self.old.serial if self.old else ""

    async def choose_kind(self, taken_by_ca: frozenset[str]) -> Inventory:
        """Choose the kind of its key; `taken_by_ca` is empty where the CA does not say. Changes nothing.

        Raises:
            KioskError: the store can make no key the CA takes (T-24), tells that it has no room (T-26), or has no
                place for one (T-27).
            StoreFault
        """
        inventory = await self.services.inventory_of(self.store)
        key_id = self._place_in(inventory)
        possible = await self.store.key_kinds(self._origin)
        self._kind = preferred_kind(self.services.policy.key_kinds, possible, taken_by_ca)
        if not inventory.has_key(key_id):
            check_room(await self.store.room(), self._kind)
        self.store.warm_up()
        return inventory

    async def look(self) -> Inventory:
        """Find its place in the store, which may have changed since it was looked at last.

        Raises:
            KioskError: T-27
            StoreFault
        """
        inventory = await self.services.inventory_of(self.store)
        self._key_id = self._place_in(inventory)
        return inventory

    def take(self, inventory: Inventory) -> bool:
        """Go on with the key that an earlier visit has made; false where nothing tells its public half."""
        half = inventory.public_half_of(self.key_id)
        if half is None:
            return False
        self._key = TokenKey(self.store, self.key_id, half)
        return True

    def adopt(self, written: Credential) -> None:
        """Go on with what an earlier visit has made and written."""
        self._key_id, self.certificate = written.key_id, written.certificate

    async def make(self) -> None:
        """Make its key pair in the store, or for it. Where the store does not keep it, nothing of it is to stay.

        Raises:
            NotStored: the store is there, and does not take it.
            StoreFault: it is not there, or cannot be used.
        """
        label = await self._label(self.old)
        await self.record.note(Event.MAKING_KEY, serial=self.serial_of_old, detail=self.kind)
        self.is_unheard_of = True
        try:
            self._key = await stored(self.store, lambda: self._made(label), self.remove)
        except TokenError:
            await self.remove()
            raise

    async def _made(self, pending: str) -> TokenKey:
        """A first try that was cleared up has changed nothing, until there is a second one."""
        self.standing.changed = self.stages.begun
        label = pending if self.is_for_pc else self.name
        return await self.store.make_key_pair(self.kind, self.key_id, label, self._origin, public_label=pending)

    async def write(self) -> None:
        """Write its certificate beside its key.

        Raises:
            NotStored: the store is there, and does not take it.
            StoreFault: it is not there, or cannot be used.
        """
        certificate = needed(self.certificate)
        await self.record.note(Event.WRITING, serial=certificate.serial)
        label = await self._label(certificate)
        await stored(
            self.store, lambda: self.store.write_certificate(certificate, self.key_id, label), self.store.inventory
        )

    async def prove(self) -> None:
        """Read it back in a fresh token process, compare it byte for byte, and sign with it.

        Raises:
            KioskError: T-30 or K-11, it is not what was written, or its key does not sign.
            StoreFault
        """
        certificate = needed(self.certificate)
        await self.store.log_in_afresh()
        written = (await self.store.inventory()).credential_of(certificate)
        if written is None or not await self.store.proves(written):
            code = Code.PC_CREDENTIAL_NOT_PROVEN if self.is_for_pc else Code.NEW_CREDENTIAL_NOT_PROVEN
            raise KioskError(code, "not found" if written is None else "does not sign")
        await self.record.note(Event.PROVEN, serial=certificate.serial)

    async def remove(self, why: str = "") -> bool:
        """Leave nothing of a key that nobody will certify; what cannot be removed is found at the next visit.

        Answers whether nothing is left.
        """
        await self.record.note(Event.REMOVING_KEY, serial=self.serial_of_old, detail=why)
        try:
            gone = await remove_all_of(self.store, self.key_id)
        except StoreFault as error:
            await self.record.note(Event.PROBLEM, code=self.store_failed, detail=f"new key not removed: {error}")
            return False
        if gone:
            self.standing.changed = Changed.NOTHING
        return gone

    async def make_room(self, why: str = "") -> None:
        """Remove the key of an earlier visit, so that another one can have its ID.

        Raises:
            KioskError: T-05 or K-10, it could not be removed; two keys with one ID could not be told apart.
        """
        if not await self.remove(why):
            raise KioskError(self.store_failed, "the earlier key could not be removed")

    def _place_in(self, inventory: Inventory) -> bytes:
        """CKA_ID of its key; never that of a key that is somebody else's."""
        key_id = self.place(inventory)
        if key_id is None:
            raise KioskError(Code.NO_FREE_SLOT)
        return key_id

    async def _label(self, certificate: Certificate | None) -> str:
        """What it is labelled until it is confirmed; two subjects cannot share a label in a database."""
        if certificate is None or not self.is_for_pc:
            return PENDING_LABEL
        return (await self.store.inventory()).free_label(certificate)

    @property
    def _origin(self) -> KeyOrigin:
        return self.services.policy.origin_in(self.store.kind)
