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

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kiosk.asking import Asking, for_status
from kiosk.certificates import Certificate, UntrustedCertificate, check_path
from kiosk.certification import Certification
from kiosk.clock import days_left
from kiosk.cmp.client import GeneralAnswer
from kiosk.cmp.errors import AnswerWaits, Distrust, Refused
from kiosk.cmp.issued import Issued, Wanted, WrongCertificate, fault_of
from kiosk.cmp.peer import Peer, Resume
from kiosk.cmp.signing import Signer, SigningKey, SoftwareKey
from kiosk.credentials import Credential
from kiosk.desk import Preparing, Wait
from kiosk.errors import Changed, Code, KioskError, Standing
from kiosk.journal import Event, VisitRecord
from kiosk.needed import needed
from kiosk.new_credential import NewCredential, Stages
from kiosk.preparation import NO_LONGER_TAKEN, Word, check_revocation, compare_clocks, word_of_ca
from kiosk.problems import as_problems
from kiosk.removal import remove_credential, remove_outdated_certificates
from kiosk.request_keys import request_signer
from kiosk.revocation.status import Status
from kiosk.services import Services
from kiosk.tokens.errors import StoreFault, TokenError
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.token import Token
from kiosk.tokens.wire import KeyKind, StoreKind

_NOT_GRANTED = "notAuthorized"
"""By which a request is refused by a certificate that has just been accepted: a teller has said no."""
_NO_MORE = frozenset({"certRevoked", _NOT_GRANTED})
"""By which a key is refused for good."""


@dataclass(slots=True)
class Renewal:
    """The renewal of one credential; the methods are its steps, called in this order."""

    token: Token
    """Where the old credential is."""
    old: Credential
    services: Services
    record: VisitRecord
    standing: Standing
    _successor: NewCredential = field(init=False)
    _certification: Certification = field(init=False)
    _taken_by_ca: frozenset[str] = field(default=frozenset(), init=False)
    """The kinds of key that the CA says it takes; empty where it does not say."""
    _written: bool = field(default=False, init=False)
    """Whether an earlier visit has written a certificate for the new key."""
    _accepted: bool = field(default=False, init=False)
    """Whether the CA has proven in this visit that it takes the old certificate."""
    _disowned: bool = field(default=False, init=False)
    """Whether the CA has proven in this visit that it takes no message by the old certificate."""
    _word: Word | None = field(default=None, init=False)
    """What the CA has said in this visit of the successor that an earlier one has written."""
    _asking: Asking = field(init=False)

    def __post_init__(self) -> None:
        self._asking = Asking(self.services, self.record, self.token)
        self._let_live_in(self.token)

    def _let_live_in(self, store: Token) -> None:
        self._successor = NewCredential(
            store=store,
            place=lambda inventory: inventory.successor_id(self.old),
            name=self.old.certificate.common_name,
            stages=_stages(self.token.kind, store.kind),
            services=self.services,
            record=self.record,
            standing=self.standing,
            old=self.old.certificate,
        )
        self._certification = Certification(self._successor, self._asking, self._update)

    @property
    def store(self) -> Token:
        """Where the successor is to live: the same token, unless `save_into` says otherwise."""
        return self._successor.store

    @property
    def new(self) -> Certificate:
        """The successor's certificate, once it was issued or found."""
        return needed(self._successor.certificate)

    async def is_confirmed(self, successor: Credential, wait: Preparing) -> bool:
        """Ask the CA whether the successor that an earlier visit has written is the customer's already.

        Then nothing is left but to remove the old one; the CA need not take that any more. Changes nothing.

        Raises:
            GivenUp: the customer does not want to wait any longer.
            KioskError: the CA cannot be asked, or the clocks disagree.
        """
        self.standing.changed = self._successor.stages.begun
        self._word, apart = await word_of_ca(
            lambda signer: self._asking.general(signer, wait), self.token, successor, self.services
        )
        if self._word is not Word.CONFIRMED:
            return False
        self._successor.adopt(successor)
        self.standing.changed = self._successor.stages.done
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
                inventory = await self._successor.look()
            if self._word is not None or inventory.successor(self.old) is None:
                await self._successor.remove("nothing can come of it any more")

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
        await self._check_revocation(answer, wait)
        if not resumes:
            self._check_window(answer.message_time)
        self._taken_by_ca = answer.template.key_kinds if answer.template else self._peer.key_kinds
        await self.save_into(self.token)
        detail = "" if answer.proven else "the CA was only knocked at"
        await self.record.note(Event.PREPROCESSED, serial=self.old.certificate.serial, detail=detail)

    async def _check_revocation(self, answer: GeneralAnswer, wait: Preparing) -> None:
        check, old = self.services.revocation, self.old.certificate
        may = for_status(check.rule)

        async def ask() -> Status | None:
            return await check.ask(old, self.services.clock() + answer.offset)

        await check_revocation(
            lambda: self._asking.unless_given_up(ask, wait, may), check.rule, old, self.record, accepted=answer.proven
        )

    async def save_into(self, store: Token) -> None:
        """The successor is to live in `store`: choose the kind of key. Changes nothing.

        Raises:
            KioskError: it can make no key the CA takes, tells that it has no room (T-26) or no place (T-27) for one, or
                fails.
        """
        self._let_live_in(store)
        with as_problems():
            await self._successor.choose_kind(self._taken_by_ca)

    async def make_key(self) -> None:
        """Make the successor's key pair in its store, or for it, or take the one that an earlier, cut renewal made.

        Where the CA promises the same certificate for the same key, a private key with the successor's ID is removed
        here only if nothing tells its public half, and the CA has just proven that no successor is confirmed.

        Raises:
            KioskError: the store could not, or does not tell the key that is there already and may be the customer's.
        """
        with as_problems():
            await self._make_or_take_key()

    async def _make_or_take_key(self) -> None:
        new = self._successor
        inventory = await new.look()
        if inventory.has_lost_successor(self.old):
            # The certificate may be the customer's by now: nothing is made beside it, and nothing of it is removed.
            self.standing.changed = new.stages.begun
            raise KioskError(Code.SUCCESSOR_NOT_READABLE, "its certificate is there without its key")
        self._written = inventory.successor(self.old) is not None
        if inventory.has_key(new.key_id):
            self.standing.changed = new.stages.begun
            if not await self._is_given_up(inventory):
                if new.take(inventory):
                    return
                if inventory.slots:  # where it may be another ID's
                    raise KioskError(Code.SUCCESSOR_NOT_READABLE)
                await self._give_up_unreadable()
        await new.make()

    async def request(self, wait: Wait) -> Certificate:
        """Have the CA certify the new key. The answer is checked in full, and refused as a whole if anything is wrong.

        After a fault of the way it is asked anew with the same key, where the CA promises the same answer.

        Raises:
            KioskError: the CA refused, its answer does not count, the network failed, or the request still waits for
                approval (C-07): then the key stays for the next visit.
        """
        if self._successor.certificate is not None:
            await self.record.note(Event.ISSUED, serial=self.new.serial, detail="found on the token")
            return self.new
        with as_problems():
            try:
                await self._certification.ask(wait)
            except Refused as refused:
                given_up = await self._is_given_up_after(refused)
                if not given_up or _NOT_GRANTED in refused.fail_info:  # whoever has said no is not asked anew at once
                    raise
                await self.make_key()
                await self._certification.ask(wait)
        return self.new

    async def _is_given_up_after(self, refused: Refused) -> bool:
        """Whether the key of an earlier visit makes room for another; then it has.

        The CA has decided, with proof, that it certifies this key no more, because somebody has revoked what it had
        certified, or has said no to the request; and no certificate for it is here that might be the one that counts.
        """
        decided = refused.proven and refused.decided and bool(_NO_MORE & refused.fail_info)
        harmless = self._word in (Word.UNCONFIRMED, Word.REVOKED) or not self._written
        if self._successor.is_unheard_of or not decided or not harmless:
            return False
        return await self._successor.remove("the CA certifies it no more")

    async def write(self) -> None:
        """Write the new certificate beside its key.

        Raises:
            KioskError: T-26 or another code, the store is there and does not take it; then the CA is told, and the new
                key is removed. Or the store failed; then the renewal can be finished later.
        """
        with as_problems():
            await self._certification.write()

    async def prove(self) -> None:
        """Read the new credential back in a fresh token process, compare it byte for byte, and sign with it.

        Raises:
            KioskError: T-30 or K-11, it is not what was written, or its key does not sign.
        """
        with as_problems():
            await self._successor.prove()

    async def confirm(self, wait: Wait) -> None:
        """Tell the CA that the new certificate is safely stored; from now on it is the customer's.

        A CA that does not wait for it is told nothing. After a fault of the way nobody knows whether it has heard; the
        request is asked anew then, as the promises have it, and what comes is confirmed.

        Raises:
            KioskError: the CA did not acknowledge it; both credentials stay, and the renewal can be finished later.
        """
        with as_problems():
            await self._certification.confirm(wait)

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
            except StoreFault as error:
                raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, str(error)) from error
        await remove_credential(self.token, self.old, self.services)
        await self.record.note(Event.RETIRED, serial=serial)

    async def label_new(self) -> None:
        """Give the new credential its own label, where it lives in another store; nothing hangs on that."""
        try:
            await self._settle_new()
        except StoreFault as error:
            await self._note_label(error)

    async def _update(self, key: SigningKey) -> Issued:
        """Ask for the successor."""
        return await self.services.ca.update(self._old_signer(), key)

    async def _settle_new(self) -> None:
        """Its own label, which it has in a certificate database from the start; and no certificate beside it."""
        key_id, new = self._successor.key_id, self.new
        if not self._successor.is_for_pc:
            await self._relabel(key_id, new.common_name)
        await remove_outdated_certificates(self.store, Credential(new, key_id, self.old.holder), self.services)

    async def _relabel(self, key_id: bytes, label: str) -> None:
        """Nothing hangs on a label. A token that is gone or exchanged says so again where something does."""
        try:
            await self.store.relabel(key_id, label)
        except TokenError as error:
            await self._note_label(error)

    async def _note_label(self, error: StoreFault) -> None:
        code = self._successor.store_failed
        await self.record.note(Event.PROBLEM, code=code, detail=f"label not changed: {error}")

    def _check_window(self, now: datetime) -> None:
        last_second = self.old.certificate.not_after
        if now > last_second:
            raise KioskError(Code.EXPIRED)
        if days_left(last_second, now, self.services.policy.time_zone) > self.services.policy.window_days:
            raise KioskError(Code.NOT_RENEWABLE_YET)

    async def _is_given_up(self, inventory: Inventory) -> bool:
        """Whether the key of an earlier renewal is to make room for another; then it has (`Resume.NEW_KEY`).

        Not one whose certificate is on the token and may be the one that counts by now.
        """
        if self._peer.resume is Resume.SAME_KEY:
            return False
        written = inventory.successor(self.old)
        if written is not None and self._peer.counts_from_issue:
            self._successor.certificate = self._checked(written.certificate)
            return False
        if written is not None and not self._accepted:
            self.standing.changed = Changed.STORED
            raise KioskError(Code.SUCCESSOR_UNDECIDED, "confirmed or not, nobody here can tell")
        await self._successor.make_room("asked for by an earlier visit; the CA is asked for another")
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
                if not refused.proven or refused.is_passing:
                    raise
                raise KioskError(Code.SUCCESSOR_NOT_READABLE, str(refused)) from refused
        if not unconfirmed or not await self._successor.remove("nothing tells its public half"):
            raise KioskError(Code.SUCCESSOR_NOT_READABLE)

    async def _is_another_certified(self) -> bool:
        """Whether the CA certifies another key, which it promises only while no successor is confirmed.

        That is tried with a key that nobody keeps, before anything is removed: whether the old one is superseded
        or not does not tell it, because a bank may leave it valid for a while. What comes is rejected at once.
        """
        trial = SoftwareKey(await asyncio.to_thread(_trial_key, self._successor.kind))
        try:
            issued = await self._update(trial)
        except AnswerWaits:
            return True
        except WrongCertificate as error:
            issued = error.issued
        return await self._certification.reject(issued, "a trial")

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

    def _old_signer(self) -> Signer:
        return request_signer(self.token.key_of(self.old), self.old.certificate, self.services)

    @property
    def _peer(self) -> Peer:
        return self.services.peer


def _stages(of_old: StoreKind, of_new: StoreKind) -> Stages:
    """By where the old credential is and where the successor is to live."""
    if of_new is StoreKind.PC:
        return Stages(Changed.UNFINISHED_ON_PC, Changed.STORED_ON_PC, Changed.RENEWED)
    if of_old is StoreKind.PC:
        return Stages(Changed.UNFINISHED_ON_PC, Changed.STORED_FROM_PC, Changed.RENEWED)
    return Stages(Changed.UNFINISHED, Changed.STORED, Changed.RENEWED)


def _trial_key(kind: KeyKind) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """A key of this kind, which the CA takes."""
    bits = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}.get(kind)
    return rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())
