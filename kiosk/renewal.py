"""The steps of a renewal, in the order in which the old credential works until the new one is proven.

Each step is in the journal before it is taken, and each can be taken again: the successor's key is found by its ID
(design decision 7), the CA answers the same key with the same certificate, and nothing is written twice. So a renewal
that was cut goes on where it was, at any kiosk. With a CA that does not promise that (`Resume.NEW_KEY`), a key whose
certificate never came is given up, and another is made.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kiosk.asking import Asking, as_promised
from kiosk.certificates import Certificate, UntrustedCertificate, check_path
from kiosk.clock import days_left
from kiosk.cmp.errors import AnswerWaits, CmpError, Distrust, Refused, TransferError
from kiosk.cmp.issued import Issued, Wanted, WrongCertificate, fault_of
from kiosk.cmp.peer import Peer, Resume
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.credentials import Credential
from kiosk.desk import Preparing, Wait
from kiosk.errors import Changed, Code, KioskError
from kiosk.journal import Event, VisitRecord
from kiosk.preparation import (
    NO_LONGER_TAKEN,
    Word,
    check_revocation,
    compare_clocks,
    nothing_came_of_it,
    preferred_kind,
    reject,
    word_of_ca,
)
from kiosk.problems import as_problems
from kiosk.removal import remove_all_of, remove_credential, remove_outdated_certificates
from kiosk.request_keys import request_signer, requesting
from kiosk.services import Services
from kiosk.storing import NO_ROOM, NotStored, check_room, stored
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.inventory import PENDING_LABEL, Inventory
from kiosk.tokens.token import Token, TokenKey
from kiosk.tokens.wire import KeyKind, KeyOrigin, StoreKind

T = TypeVar("T")


class Standing(Protocol):
    """What the visit has to know of a renewal at every instant, also when it is cut."""

    changed: Changed


@dataclass(slots=True)
class Renewal:
    """The renewal of one credential; the methods are its steps, called in this order."""

    token: Token
    """Where the old credential is."""
    old: Credential
    services: Services
    record: VisitRecord
    standing: Standing
    store: Token = field(init=False)
    """Where the successor is to live: the same token, unless `save_into` says otherwise."""
    _taken_by_ca: frozenset[str] = field(default=frozenset(), init=False)
    """The kinds of key that the CA says it takes; empty where it does not say."""
    _kind: KeyKind | None = field(default=None, init=False)
    _key_id: bytes = field(default=b"", init=False)
    """CKA_ID of the successor, once its key is to be made."""
    _key: TokenKey | None = field(default=None, init=False)
    _made_here: bool = field(default=False, init=False)
    """Whether the new key was made in this visit, so that no earlier request can have gone out for it."""
    _written: bool = field(default=False, init=False)
    """Whether an earlier visit has written a certificate for the new key."""
    _issued: Issued | None = field(default=None, init=False)
    _found: Certificate | None = field(default=None, init=False)
    """The successor's certificate, where an earlier renewal has written it and nothing is left to ask the CA."""
    _accepted: bool = field(default=False, init=False)
    """Whether the CA has proven in this visit that it takes the old certificate."""
    _heard_perhaps: bool = field(default=False, init=False)
    """Whether a certConf has gone out that nobody has acknowledged."""
    _disowned: bool = field(default=False, init=False)
    """Whether the CA has proven in this visit that it takes no message by the old certificate."""
    _word: Word | None = field(default=None, init=False)
    """What the CA has said in this visit of the successor that an earlier one has written."""
    _asking: Asking = field(init=False)

    def __post_init__(self) -> None:
        self.store = self.token
        self._asking = Asking(self.services, self.record, self.token)

    async def is_confirmed(self, successor: Credential, wait: Preparing) -> bool:
        """Ask the CA whether the successor that an earlier visit has written is the customer's already.

        Then nothing is left but to remove the old one; the CA need not take that any more. Changes nothing.

        Raises:
            GivenUp: the customer does not want to wait any longer.
            KioskError: the CA cannot be asked, or the clocks disagree.
        """
        self.standing.changed = self._unfinished
        self._word, apart = await word_of_ca(
            lambda signer: self._asking.general(signer, wait), self.token, successor, self.services
        )
        if self._word is not Word.CONFIRMED:
            return False
        self._key, self._found = self.token.key_of(successor), successor.certificate
        self.standing.changed = Changed.RENEWED
        await compare_clocks(apart, self.record)
        await self.record.note(Event.CONFIRMED, serial=successor.certificate.serial, detail="by an earlier visit")
        return True

    @property
    def is_dead(self) -> bool:
        """Whether the CA has proven that nothing can come any more of what an earlier visit has begun."""
        return self._disowned and self._word in (None, Word.UNCONFIRMED, Word.REVOKED)

    async def give_up(self) -> None:
        """Remove the key that an earlier visit has made, and what was certified for it; only where `is_dead`.

        What cannot be removed is found at the next visit.
        """
        if self.is_dead:
            with as_problems():
                self._key_id = self._place_in(await self.store.inventory())
            await self._remove_new_key("nothing can come of it any more")

    async def prepare(self, wait: Preparing, *, resumes: bool = False) -> None:
        """Ask the CA, with the old key, whether all is well. Changes nothing.

        A CA that answers no `genm` is only knocked at: then the request is the first to prove anything. What an earlier
        visit has begun is gone on with outside the renewal window too, where the CA takes it.

        Raises:
            GivenUp: the customer does not want to wait any longer.
            KioskError: the CA cannot be reached or does not accept the certificate, has revoked it or does not tell
                whether it has, the clocks disagree, the certificate is not in its renewal window, or the token can
                make no key the CA takes.
        """
        with as_problems():
            try:
                answer = await self._asking.general(self._old_signer(), wait)
            except Refused as refused:
                self._disowned = refused.proven and bool(NO_LONGER_TAKEN & set(refused.fail_info))
                raise
        self._accepted = answer.proven
        await compare_clocks(abs(answer.offset), self.record)
        await check_revocation(
            self.services.revocation,
            self.old.certificate,
            self.services.clock() + answer.offset,
            self.record,
            accepted=answer.proven,
        )
        if not resumes:
            self._check_window(answer.message_time)
        self._taken_by_ca = answer.template.key_kinds if answer.template else self._peer.key_kinds
        await self.save_into(self.token)
        detail = "" if answer.proven else "the CA was only knocked at"
        await self.record.note(Event.PREPROCESSED, serial=self.old.certificate.serial, detail=detail)

    async def save_into(self, store: Token) -> None:
        """The successor is to live in `store`: choose the kind of key. Changes nothing.

        Raises:
            KioskError: it can make no key the CA takes, tells that it has no room (T-26) or no place (T-27) for one, or
                fails.
        """
        self.store = store
        with as_problems():
            inventory = await store.inventory()
            self._place_in(inventory)
            possible = await store.key_kinds(self._origin)
            self._kind = preferred_kind(self.services.policy.key_kinds, possible, self._taken_by_ca)
            if not inventory.has_successor_key(self.old):
                check_room(await store.room(), self._kind)
            store.warm_up()

    async def make_key(self) -> None:
        """Make the successor's key pair in its store, or for it, or take the one that an earlier, cut renewal made.

        Where the CA promises the same certificate for the same key, a private key with the successor's ID is removed
        here only if nothing tells its public half, and the CA has just proven that no successor is confirmed.

        Raises:
            KioskError: the store could not, or does not tell the key that is there already and may be the customer's.
        """
        with as_problems():
            inventory = await self.store.inventory()
        key_id = self._key_id = self._place_in(inventory)
        if inventory.has_lost_successor(self.old):
            # The certificate may be the customer's by now: nothing is made beside it, and nothing of it is removed.
            self.standing.changed = self._unfinished
            raise KioskError(Code.SUCCESSOR_NOT_READABLE, "its certificate is there without its key")
        self._written = inventory.successor(self.old) is not None
        if inventory.has_successor_key(self.old):
            self.standing.changed = self._unfinished
            if not await self._is_given_up(inventory):
                begun = inventory.successor_key(self.old)
                if begun is not None:
                    self._key = TokenKey(self.store, key_id, begun)
                    return
                await self._give_up_unreadable()
        await self.record.note(Event.MAKING_KEY, serial=self.old.certificate.serial, detail=self._chosen_kind())
        self.standing.changed = self._unfinished
        self._made_here = True
        label = self._label(inventory, self.old.certificate)
        with as_problems():
            try:
                self._key = await stored(
                    self.store,
                    lambda: self.store.make_key_pair(self._chosen_kind(), key_id, label, self._origin),
                    self._remove_new_key,
                )
            except TokenError:
                await self._remove_new_key()
                raise

    async def request(self, wait: Wait) -> Certificate:
        """Have the CA certify the new key. The answer is checked in full, and refused as a whole if anything is wrong.

        After a fault of the way it is asked anew with the same key, where the CA promises the same answer.

        Raises:
            KioskError: the CA refused, its answer does not count, the network failed, or the request still waits for
                approval (C-07): then the key stays for the next visit.
        """
        if self._found is not None:
            await self.record.note(Event.ISSUED, serial=self._found.serial, detail="found on the token")
            return self._found
        with as_problems():
            try:
                self._issued = await self._ask(wait)
            except Refused as refused:
                if not await self._is_given_up_after(refused):
                    raise
                await self.make_key()
                self._issued = await self._ask(wait)
        new = self._issued.certificate
        await self.record.note(Event.ISSUED, serial=new.serial)
        return new

    async def _ask(self, wait: Wait) -> Issued:
        await self.record.note(Event.REQUESTING, serial=self.old.certificate.serial)
        try:
            return await self._asking.patiently(self._update, wait, as_promised(self._peer.resume))
        except WrongCertificate as error:
            if await self._reject(error.issued, error.reason.value) and self._made_here:
                await self._remove_new_key()
            raise
        except CmpError as error:
            if self._made_here and nothing_came_of_it(error):
                await self._remove_new_key()
            raise

    async def _is_given_up_after(self, refused: Refused) -> bool:
        """Whether the key of an earlier visit makes room for another; then it has.

        The CA has decided, with proof, that it certifies this key no more, because somebody has revoked what it had
        certified; and no certificate for it is here that might be the one that counts.
        """
        decided = refused.proven and refused.decided and "certRevoked" in refused.fail_info
        harmless = self._word in (Word.UNCONFIRMED, Word.REVOKED) or not self._written
        if self._made_here or not decided or not harmless:
            return False
        return await self._remove_new_key("the CA certifies it no more")

    async def write(self) -> None:
        """Write the new certificate beside its key.

        Raises:
            KioskError: T-26 or another code, the store is there and does not take it; then the CA is told, and the new
                key is removed. Or the store failed; then the renewal can be finished later.
        """
        await self.record.note(Event.WRITING, serial=self._new().serial)
        with as_problems():
            label = self._label(await self.store.inventory(), self._new())
            try:
                await stored(
                    self.store,
                    lambda: self.store.write_certificate(self._new(), self._new_key().key_id, label),
                    self.store.inventory,
                )
            except NotStored:
                await self._give_back()
                raise

    async def prove(self) -> None:
        """Read the new credential back in a fresh token process, compare it byte for byte, and sign with it.

        Raises:
            KioskError: T-30 or K-11, it is not what was written, or its key does not sign.
        """
        with as_problems():
            await self.store.log_in_afresh()
            inventory = await self.store.inventory()
            written = next((each for each in inventory.credentials if each.certificate == self._new()), None)
            proven = written is not None and await self.store.proves(written)
        if not proven:
            code = Code.PC_CREDENTIAL_NOT_PROVEN if self._into_pc else Code.NEW_CREDENTIAL_NOT_PROVEN
            raise KioskError(code, "not found" if written is None else "does not sign")
        await self.record.note(Event.PROVEN, serial=self._new().serial)

    async def confirm(self, wait: Wait) -> None:
        """Tell the CA that the new certificate is safely stored; from now on it is the customer's.

        A CA that does not wait for it is told nothing. After a fault of the way nobody knows whether it has heard; the
        request is asked anew then, as the promises have it, and what comes is confirmed.

        Raises:
            KioskError: the CA did not acknowledge it; both credentials stay, and the renewal can be finished later.
        """
        serial = self._new().serial
        if self._issued is None or not self._peer.waits_for(self._issued):
            self.standing.changed = Changed.RENEWED
            await self.record.note(Event.CONFIRMED, serial=serial, detail="the CA waits for no confirmation")
            return
        await self.record.note(Event.CONFIRMING, serial=serial)
        with as_problems():
            await self._asking.patiently(self._confirm, wait, as_promised(self._peer.resume))
        self.standing.changed = Changed.RENEWED
        await self.record.note(Event.CONFIRMED, serial=serial)

    async def retire_old(self) -> None:
        """Remove the old credential (`kiosk.removal`).

        Where the successor lives in another store the customer has been asked first (design decision 2).

        Raises:
            KioskError: T-31, the token could not; the new credential is not concerned.
        """
        serial = self.old.certificate.serial
        await self.record.note(Event.RETIRING, serial=serial)
        if self.store is self.token:
            try:
                await self._settle_new()
            except (TokenError, TokenHangs, TokenProcessDied) as error:
                raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, str(error)) from error
        await remove_credential(self.token, self.old)
        await self.record.note(Event.RETIRED, serial=serial)

    async def label_new(self) -> None:
        """Give the new credential its own label, where it lives in another store; nothing hangs on that."""
        try:
            await self._settle_new()
        except (TokenError, TokenHangs, TokenProcessDied) as error:
            await self.record.note(Event.PROBLEM, code=self._store_failed, detail=f"label not changed: {error}")

    async def _update(self) -> Issued:
        """Ask for the successor. A second time nobody knows any more whether the first request has arrived."""
        try:
            return await self.services.ca.update(self._old_signer(), requesting(self._new_key(), self._peer))
        except TransferError as fault:
            self._made_here = self._made_here and not fault.may_have_arrived
            raise

    async def _confirm(self) -> None:
        if self._heard_perhaps:
            again = await self._update()
            if again.certificate != self._new():
                raise KioskError(Code.SUCCESSOR_UNDECIDED, "the CA has another certificate for this key by now")
            self._issued = again
        try:
            await self.services.ca.confirm(_needed(self._issued), self._may_be_heard)
        except TransferError as fault:
            self._heard_perhaps = self._heard_perhaps or fault.may_have_arrived
            self.standing.changed = self._stored if self._heard_perhaps else self._unfinished
            raise

    def _may_be_heard(self) -> None:
        """The certConf goes out now: from here on either certificate may be the one that counts."""
        self.standing.changed = self._stored

    async def _settle_new(self) -> None:
        """Its own label, which it has in a certificate database from the start; and no certificate beside it."""
        key_id, new = self._new_key().key_id, self._new()
        if not self._into_pc:
            await self._relabel(key_id, new.common_name)
        await remove_outdated_certificates(self.store, Credential(new, key_id, self.old.holder))

    async def _relabel(self, key_id: bytes, label: str) -> None:
        """Nothing hangs on a label. A token that is gone or exchanged says so again where something does."""
        try:
            await self.store.relabel(key_id, label)
        except TokenError as error:
            await self.record.note(Event.PROBLEM, code=self._store_failed, detail=f"label not changed: {error}")

    async def _reject(self, issued: Issued, reason: str) -> bool:
        return await reject(self.services.ca, issued, reason, self.record)

    async def _give_back(self) -> None:
        """Nothing stays pending of what cannot be stored: neither at the CA nor on the token.

        Where the CA does not agree the key stays: what it was certified for may count.
        """
        if self._issued and await self._reject(self._issued, NO_ROOM):
            await self._remove_new_key(NO_ROOM)

    def _check_window(self, now: datetime) -> None:
        last_second = self.old.certificate.not_after
        if now > last_second:
            raise KioskError(Code.EXPIRED)
        if days_left(last_second, now, self.services.policy.time_zone) > self.services.policy.window_days:
            raise KioskError(Code.NOT_RENEWABLE_YET)

    async def _remove_new_key(self, why: str = "") -> bool:
        """Leave nothing of a key that nobody will certify; what cannot be removed is found at the next visit."""
        wanted = self._key_id
        await self.record.note(Event.REMOVING_KEY, serial=self.old.certificate.serial, detail=why)
        try:
            gone = await remove_all_of(self.store, wanted)
        except (TokenError, TokenHangs, TokenProcessDied) as error:
            await self.record.note(Event.PROBLEM, code=self._store_failed, detail=f"new key not removed: {error}")
            return False
        if gone:
            self.standing.changed = Changed.NOTHING
        return gone

    def _place_in(self, inventory: Inventory) -> bytes:
        """CKA_ID of the successor; never that of a key that is somebody else's."""
        key_id = inventory.successor_id(self.old)
        if key_id is None:
            raise KioskError(Code.NO_FREE_SLOT)
        return key_id

    async def _is_given_up(self, inventory: Inventory) -> bool:
        """Whether the key of an earlier renewal is to make room for another; then it has (`Resume.NEW_KEY`).

        Not one whose certificate is on the token and may be the one that counts by now.
        """
        if self._peer.resume is Resume.SAME_KEY:
            return False
        written = inventory.successor(self.old)
        if written is not None and self._peer.counts_from_issue:
            self._found = self._checked(written.certificate)
            return False
        if written is not None and not self._accepted:
            self.standing.changed = Changed.STORED
            raise KioskError(Code.SUCCESSOR_UNDECIDED, "confirmed or not, nobody here can tell")
        if not await self._remove_new_key("asked for by an earlier visit; the CA is asked for another"):
            raise KioskError(self._store_failed, "the earlier key could not be removed")
        return True

    async def _give_up_unreadable(self) -> None:
        """Remove a begun key for which no certificate can be asked, since nothing tells its public half.

        Raises:
            KioskError: T-25, its certificate may be confirmed and have been lost, or it could not be removed; or the CA
                cannot be asked.
        """
        with as_problems():
            try:
                unconfirmed = await self._is_another_certified()
            except Refused as refused:
                raise KioskError(Code.SUCCESSOR_NOT_READABLE, str(refused)) from refused
        if not unconfirmed or not await self._remove_new_key("nothing tells its public half"):
            raise KioskError(Code.SUCCESSOR_NOT_READABLE)

    async def _is_another_certified(self) -> bool:
        """Whether the CA certifies another key, which it promises only while no successor is confirmed.

        That is tried with a key that nobody keeps, before anything is removed: whether the old one is superseded
        or not does not tell it, because a bank may leave it valid for a while. What comes is rejected at once.
        """
        trial = SoftwareKey(await asyncio.to_thread(_trial_key, self._chosen_kind()))
        try:
            issued = await self.services.ca.update(self._old_signer(), trial)
        except AnswerWaits:
            return True
        except WrongCertificate as error:
            issued = error.issued
        return await self._reject(issued, "a trial")

    def _checked(self, certificate: Certificate) -> Certificate:
        """The successor's certificate as an earlier visit has written it, if it still is what was asked for."""
        old, now = self.old.certificate, self.services.clock()
        wanted = Wanted(key=certificate.public_key, subject_der=old.subject_der, outlasting=old.not_after)
        fault = fault_of(certificate, wanted, now)
        if fault is not None:
            raise KioskError(Code.NEW_CERTIFICATE_WRONG, fault.value)
        anchors = self.services.anchors
        try:
            check_path(certificate, roots=anchors.roots, intermediates=anchors.intermediates, at=now)
        except UntrustedCertificate as error:
            raise KioskError(Code.NEW_CERTIFICATE_WRONG, Distrust.CERTIFICATE_PATH.value) from error
        return certificate

    @property
    def _origin(self) -> KeyOrigin:
        return self.services.policy.origin_in(self.store.kind)

    @property
    def _into_pc(self) -> bool:
        return self.store.kind is StoreKind.PC

    def _label(self, inventory: Inventory, certificate: Certificate) -> str:
        """What the successor is labelled until it is confirmed; two subjects cannot share a label in a database."""
        return inventory.free_label(certificate) if self._into_pc else PENDING_LABEL

    @property
    def _store_failed(self) -> Code:
        return Code.PC_STORE_FAILED if self._into_pc else Code.TOKEN_FAILED

    @property
    def _unfinished(self) -> Changed:
        from_pc = self.token.kind is StoreKind.PC
        return Changed.UNFINISHED_ON_PC if self._into_pc or from_pc else Changed.UNFINISHED

    @property
    def _stored(self) -> Changed:
        if self._into_pc:
            return Changed.STORED_ON_PC
        return Changed.STORED_FROM_PC if self.token.kind is StoreKind.PC else Changed.STORED

    def _old_signer(self) -> Signer:
        return request_signer(self.token.key_of(self.old), self.old.certificate, self.services)

    def _chosen_kind(self) -> KeyKind:
        return _needed(self._kind)

    def _new_key(self) -> TokenKey:
        return _needed(self._key)

    @property
    def new(self) -> Certificate:
        """The successor's certificate, once it was issued or found."""
        return self._new()

    def _new(self) -> Certificate:
        return self._found or _needed(self._issued).certificate

    @property
    def _peer(self) -> Peer:
        return self.services.peer


def _trial_key(kind: KeyKind) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """A key of this kind, which the CA takes."""
    bits = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}.get(kind)
    return rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())


def _needed(value: T | None) -> T:
    if value is None:
        raise RuntimeError("a step of the renewal was taken before the one it builds on")
    return value
