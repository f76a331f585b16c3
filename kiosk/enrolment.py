"""The steps of 電子証明書取得: a certificate for an ID that has none in date, by the one-time code the bank handed out.

They are those of a renewal, with the code in the place of the old key. One that was cut goes on at any kiosk: its key
is found by the ID (`kiosk.credentials.enrolment_key_id`), and the CA answers the same code and key with the same
certificate until it has acknowledged the receipt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from kiosk.asking import Asking, as_promised, by_code
from kiosk.certificates import Certificate
from kiosk.cmp.errors import CmpError, Distrust, Refused, TransferError
from kiosk.cmp.issued import Issued, WrongCertificate
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.peer import Peer, Resume
from kiosk.credentials import Credential
from kiosk.desk import Preparing, SavingStep, Wait
from kiosk.errors import Changed, Code, KioskError
from kiosk.journal import Event, VisitRecord
from kiosk.one_time_code import OneTimeCode
from kiosk.preparation import Word, compare_clocks, nothing_came_of_it, preferred_kind, reject, word_of_ca
from kiosk.problems import as_problems
from kiosk.removal import remove_all_of, remove_credential, remove_outdated_certificates, remove_parts
from kiosk.request_keys import request_signer, requesting
from kiosk.services import Services
from kiosk.storing import NO_ROOM, NotStored, check_room, stored
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.inventory import PENDING_LABEL, Inventory
from kiosk.tokens.token import Token, TokenKey
from kiosk.tokens.wire import KeyKind, KeyOrigin

T = TypeVar("T")

_WRONG_CODE = "badMessageCheck"
_PAUSED = "systemUnavail"
"""Nobody looks at codes for this ID for a while, after too many wrong ones."""
_EXPIRED = "notAuthorized"
"""Under the code itself: it is the right one, but no longer good."""
_BOUND = "notAuthorized"
"""By which a request is refused, although the code was taken a moment ago: it belongs to another key."""
_KEY_KNOWN = "duplicateCertReq"
"""By which a key is refused that was certified by another code."""


class Standing(Protocol):
    """What the visit has to know of an enrolment at every instant, also when it is cut."""

    changed: Changed


@dataclass(slots=True)
class Enrolment:
    """電子証明書取得 for one ID on one token; the methods are its steps, called in this order."""

    token: Token
    holder_id: str
    services: Services
    record: VisitRecord
    standing: Standing
    authority: str = field(default="", init=False)
    """Common name of the CA that will issue, once `prepare` was done."""
    _secret: SharedSecret | None = field(default=None, init=False, repr=False)
    _kind: KeyKind | None = field(default=None, init=False)
    _key: TokenKey | None = field(default=None, init=False)
    _made_here: bool = field(default=False, init=False)
    """Whether the new key was made in this visit, so that no earlier request can have gone out for it."""
    _issued: Issued | None = field(default=None, init=False)
    _heard_perhaps: bool = field(default=False, init=False)
    """Whether a certConf has gone out that nobody has acknowledged."""
    _removes: bool = field(default=False, init=False)
    """Whether there are expired credentials to remove in the end."""
    _asking: Asking = field(init=False)

    def __post_init__(self) -> None:
        self._asking = Asking(self.services, self.record, self.token)

    @property
    def steps(self) -> Sequence[SavingStep]:
        """What there is to do, once `prepare` was done."""
        return tuple(each for each in SavingStep if self._removes or each is not SavingStep.RETIRE)

    async def prepare(self, code: OneTimeCode, wait: Preparing) -> None:
        """Ask the CA, by the code, whether all is well; choose the kind of key. Changes nothing on the token.

        A code that the CA does not take costs a try there; which is why slips of the finger never come as far as here.

        Raises:
            GivenUp: the customer does not want to wait any longer.
            KioskError: C-10 or C-11, the CA does not take the code; it cannot be reached, the clocks disagree, or the
                token can make no key the CA takes, or has no room (T-26) or no place (T-27) for one.
        """
        self._secret = secret = self._peer.secret(self.holder_id.encode(), code.secret)
        with as_problems():
            try:
                answer = await self._asking.general(secret, wait, by_code)
            except Refused as refused:
                raise _of_code(refused) from refused
        self.record.holder = self.holder_id
        await compare_clocks(abs(answer.offset), self.record)
        with as_problems():
            of_ca = answer.template.key_kinds if answer.template else self._peer.key_kinds
            possible = await self.token.key_kinds(self._origin)
            self._kind = preferred_kind(self.services.policy.key_kinds, possible, of_ca)
            self.token.warm_up()
            inventory = await self.token.inventory()
            if not inventory.has_key(self._place_in(inventory)):
                check_room(await self.token.room(), self._kind)
        self._removes = bool(self._expired(inventory))
        self.authority = _issuer_name(answer.ca_certificates, self.services)
        await self.record.note(Event.PREPROCESSED)

    async def make_key(self) -> None:
        """Make the key pair inside the token, or take the one that an earlier, cut enrolment made.

        Raises:
            KioskError: the token could not, or does not tell the key that is there already.
        """
        with as_problems():
            inventory = await self.token.inventory()
        key_id = self._place_in(inventory)
        if inventory.has_key(key_id):
            self.standing.changed = Changed.ENROLLING
            if self._peer.resume is Resume.SAME_KEY:
                begun = inventory.public_half_of(key_id)
                if begun is None:
                    raise KioskError(Code.SUCCESSOR_NOT_READABLE)
                self._key = TokenKey(self.token, key_id, begun)
                return
            await self._make_room(key_id)
        await self.record.note(Event.MAKING_KEY, detail=self._chosen_kind())
        self.standing.changed = Changed.ENROLLING
        self._made_here = True
        with as_problems():
            try:
                self._key = await stored(
                    self.token,
                    lambda: self.token.make_key_pair(self._chosen_kind(), key_id, PENDING_LABEL, self._origin),
                    lambda: self._remove_new_key(key_id),
                )
            except TokenError:
                await self._remove_new_key(key_id)
                raise

    async def request(self, wait: Wait) -> Certificate:
        """Have the CA certify the new key. The answer is checked in full, and refused as a whole if anything is wrong.

        After a fault of the way it is asked anew with the same code and key, where the CA promises the same answer.

        Raises:
            KioskError: the CA refused, its answer does not count, or the network failed.
        """
        try:
            self._issued = await self._ask(wait)
        except _KeyOfAnotherCode:
            # The code it was certified by can no longer confirm it, and the CA has decided: it is of no use to anybody.
            await self._make_room(self._new_key().key_id)
            await self.make_key()
            self._issued = await self._ask(wait)
        await self.record.note(Event.ISSUED, serial=self._new().serial)
        return self._new()

    async def write(self) -> None:
        """Write the new certificate beside its key.

        Raises:
            KioskError: T-26 or another code, the token is there and does not take it; then the CA is told, and the new
                key is removed. Or the token failed; then the enrolment can be finished later.
        """
        await self.record.note(Event.WRITING, serial=self._new().serial)
        with as_problems():
            try:
                await stored(
                    self.token,
                    lambda: self.token.write_certificate(self._new(), self._new_key().key_id, PENDING_LABEL),
                    self.token.inventory,
                )
            except NotStored:
                if await self._reject(_needed(self._issued), NO_ROOM):
                    await self._remove_new_key(self._new_key().key_id)
                raise

    async def prove(self) -> None:
        """Read the new credential back in a fresh token process, compare it byte for byte, and sign with it.

        Raises:
            KioskError: T-30, it is not what was written, or its key does not sign.
        """
        with as_problems():
            await self.token.log_in_afresh()
            inventory = await self.token.inventory()
            written = next((each for each in inventory.credentials if each.certificate == self._new()), None)
            proven = written is not None and await self.token.proves(written)
        if not proven:
            raise KioskError(Code.NEW_CREDENTIAL_NOT_PROVEN, "not found" if written is None else "does not sign")
        await self.record.note(Event.PROVEN, serial=self._new().serial)

    async def confirm(self, wait: Wait) -> None:
        """Tell the CA that the new certificate is safely stored; with that the code is used up.

        After a fault of the way nobody knows whether it has heard. If it has, it takes a question by the new
        certificate; if not, the same code and key get the same certificate, and that is confirmed.

        Raises:
            KioskError: the CA did not acknowledge it; the enrolment can be finished later.
        """
        await self.record.note(Event.CONFIRMING, serial=self._new().serial)
        with as_problems():
            await self._asking.patiently(self._confirm, wait, as_promised(self._peer.resume))
        self.standing.changed = Changed.ENROLLED
        await self.record.note(Event.CONFIRMED, serial=self._new().serial)

    async def tidy_up(self) -> tuple[Certificate, ...]:
        """Name the new credential, and remove the ID's expired ones where policy wants that; what was removed.

        Raises:
            KioskError: the token could not; the new credential is not concerned.
        """
        with as_problems():
            inventory = await self.token.inventory()
        new = next((each for each in inventory.credentials if each.certificate == self._new()), None)
        if new is None:
            raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, "the new credential was not found again")
        return await self._finish(new, inventory)

    async def finish_confirmed(self, new: Credential, wait: Preparing) -> tuple[Certificate, ...] | None:
        """Finish an enrolment of which only the CA's acknowledgement was lost, as `tidy_up`; None where it was not.

        The CA takes a message by the new certificate only if it was confirmed. Then no code is needed, nor good for
        anything.

        Raises:
            GivenUp: the customer does not want to wait any longer.
            KioskError: the CA cannot be asked, the clocks disagree, the token failed, or the CA answers nothing that
                would tell (C-09).
        """
        word, apart = await word_of_ca(
            lambda signer: self._asking.general(signer, wait), self.token, new, self.services
        )
        if word in (Word.UNCONFIRMED, Word.REVOKED):
            return None
        if word is Word.NOTHING:
            self.standing.changed = Changed.STORED
            raise KioskError(Code.SUCCESSOR_UNDECIDED, "confirmed or not, nobody here can tell")
        self.standing.changed = Changed.ENROLLED
        await compare_clocks(apart, self.record)
        with as_problems():
            inventory = await self.token.inventory()
        return await self._finish(new, inventory)

    async def _enrol(self) -> Issued:
        """Ask for the certificate. A second time nobody knows any more whether the first request has arrived."""
        try:
            return await self.services.ca.enrol(_needed(self._secret), requesting(self._new_key(), self._peer))
        except TransferError as fault:
            self._made_here = self._made_here and not fault.may_have_arrived
            raise

    async def _confirm(self) -> None:
        if self._heard_perhaps:
            if await self._has_heard():
                return
            again = await self._enrol()
            if again.certificate != self._new():
                raise KioskError(Code.SUCCESSOR_UNDECIDED, "the CA has another certificate for this key by now")
            self._issued = again
        try:
            await self.services.ca.confirm(_needed(self._issued), self._may_be_heard)
        except TransferError as fault:
            self._heard_perhaps = self._heard_perhaps or fault.may_have_arrived
            self.standing.changed = Changed.STORED if self._heard_perhaps else Changed.ENROLLING
            raise

    def _may_be_heard(self) -> None:
        """The certConf goes out now: from here on the code may be used up."""
        self.standing.changed = Changed.STORED

    async def _has_heard(self) -> bool:
        """Whether the CA takes a message by the new certificate, as it does only of a confirmed one."""
        try:
            signer = request_signer(self._new_key(), self._new(), self.services)
            return (await self.services.ca.general(signer)).proven
        except Refused as refused:
            if not refused.proven:
                raise
            return False

    async def _ask(self, wait: Wait) -> Issued:
        await self.record.note(Event.REQUESTING)
        with as_problems():
            try:
                issued = await self._asking.patiently(self._enrol, wait, as_promised(self._peer.resume))
                if self.services.policy.holder_rule.holder_of(issued.certificate).id != self.holder_id:
                    raise WrongCertificate(Distrust.CERTIFICATE_SUBJECT, issued)
            except WrongCertificate as error:
                if await self._reject(error.issued, error.reason.value) and self._made_here:
                    await self._remove_new_key(self._new_key().key_id)
                raise
            except Refused as refused:
                raise await self._refused(refused) from refused
            except CmpError as error:
                await self._take_back_after(error)
                raise
        return issued

    async def _refused(self, refused: Refused) -> KioskError | Refused | _KeyOfAnotherCode:
        """What follows from a refusal of the request."""
        decided = refused.proven and refused.decided
        if decided and not self._made_here and _KEY_KNOWN in refused.fail_info:
            return _KeyOfAnotherCode()
        await self._take_back_after(refused)
        if decided and _BOUND in refused.fail_info:
            return KioskError(Code.CODE_BOUND, str(refused))
        if _WRONG_CODE in refused.fail_info:
            return KioskError(Code.CODE_NOT_ACCEPTED, str(refused))
        return refused

    async def _take_back_after(self, error: CmpError) -> None:
        if self._made_here and nothing_came_of_it(error):
            await self._remove_new_key(self._new_key().key_id)

    def _place_in(self, inventory: Inventory) -> bytes:
        """CKA_ID of the new key; never that of a key that is somebody else's."""
        key_id = inventory.enrolment_key_id(self.holder_id)
        if key_id is None:
            raise KioskError(Code.NO_FREE_SLOT)
        return key_id

    async def _reject(self, issued: Issued, reason: str) -> bool:
        return await reject(self.services.ca, issued, reason, self.record)

    async def _make_room(self, key_id: bytes) -> None:
        """Remove the key of an earlier visit, so that another one can have its ID.

        Raises:
            KioskError: T-05, it could not be removed; two keys with one ID could not be told apart.
        """
        if not await self._remove_new_key(key_id):
            raise KioskError(Code.TOKEN_FAILED, "the earlier key could not be removed")

    async def _remove_new_key(self, key_id: bytes) -> bool:
        """Leave nothing of a key that nobody will certify; what cannot be removed is found at the next visit."""
        await self.record.note(Event.REMOVING_KEY)
        try:
            gone = await remove_all_of(self.token, key_id)
        except (TokenError, TokenHangs, TokenProcessDied) as error:
            await self.record.note(Event.PROBLEM, code=Code.TOKEN_FAILED, detail=f"new key not removed: {error}")
            return False
        if gone:
            self.standing.changed = Changed.NOTHING
        return gone

    async def _finish(self, new: Credential, inventory: Inventory) -> tuple[Certificate, ...]:
        with as_problems():
            await self._name(new, inventory)
            await remove_outdated_certificates(self.token, new)
        return await self._retire_expired(new, inventory)

    async def _name(self, new: Credential, inventory: Inventory) -> None:
        """Give the new credential its label, by a second object where the token does not let labels change."""
        name = new.certificate.common_name
        if await self.token.relabel(new.key_id, name):
            return
        await self.token.write_certificate(new.certificate, new.key_id, name, by_label=True)
        if self._is_named(new, await self.token.inventory()):  # or else the one there is would be lost
            pending = [each for each in inventory.certificates_of(new) if each.label == PENDING_LABEL]
            await remove_parts(self.token, pending)

    def _is_named(self, new: Credential, inventory: Inventory) -> bool:
        return any(each.label != PENDING_LABEL for each in inventory.certificates_of(new))

    async def _retire_expired(self, new: Credential, inventory: Inventory) -> tuple[Certificate, ...]:
        """Remove the ID's expired credentials."""
        retired: list[Certificate] = []
        for old in self._expired(inventory):
            if old.certificate == new.certificate:
                continue
            await self.record.note(Event.RETIRING, serial=old.certificate.serial)
            await remove_credential(self.token, old)
            await self.record.note(Event.RETIRED, serial=old.certificate.serial)
            retired.append(old.certificate)
        return tuple(retired)

    def _expired(self, inventory: Inventory) -> tuple[Credential, ...]:
        """The ID's expired credentials that policy wants removed, the newest last."""
        if self.services.policy.expired_credential == "keep":
            return ()
        return inventory.expired(self.holder_id, self.services.clock())

    @property
    def _origin(self) -> KeyOrigin:
        return self.services.policy.origin_in(self.token.kind)

    @property
    def _peer(self) -> Peer:
        return self.services.peer

    def _chosen_kind(self) -> KeyKind:
        return _needed(self._kind)

    def _new_key(self) -> TokenKey:
        return _needed(self._key)

    def _new(self) -> Certificate:
        return _needed(self._issued).certificate


class _KeyOfAnotherCode(Exception):
    """The key that was found on the token was certified by another code, and is not certified again."""


def _of_code(refused: Refused) -> KioskError | Refused:
    """Why a code is not taken. A CA that cannot prove its no to whoever has only a wrong code says it all the same."""
    detail = str(refused) if refused.proven else f"{refused}, not proven"
    if _WRONG_CODE in refused.fail_info:
        return KioskError(Code.CODE_NOT_ACCEPTED, detail)
    if _PAUSED in refused.fail_info and not refused.by_secret:
        return KioskError(Code.CODE_PAUSED, detail)
    if _EXPIRED in refused.fail_info and refused.by_secret:
        return KioskError(Code.CODE_EXPIRED, detail)
    return refused


def _issuer_name(told: tuple[Certificate, ...], services: Services) -> str:
    """The pinned intermediate that the CA says it issues under; the first one where it does not say."""
    pinned = services.anchors.intermediates or services.anchors.roots
    issuer = next((each for each in told if each in pinned and each in services.anchors.intermediates), pinned[0])
    return issuer.common_name


def _needed(value: T | None) -> T:
    if value is None:
        raise RuntimeError("a step of the enrolment was taken before the one it builds on")
    return value
