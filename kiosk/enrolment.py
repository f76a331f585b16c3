"""The steps of 電子証明書取得: a certificate for an ID that has none in date, by the one-time code the bank handed out.

They are those of a renewal, with the code in the place of the old key. One that was cut goes on at any kiosk: its key
is found by the ID (`kiosk.credentials.enrolment_key_id`), and the CA answers the same code and key with the same
certificate until it has acknowledged the receipt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kiosk.asking import Asking, by_code
from kiosk.certificates import Certificate
from kiosk.certification import Certification
from kiosk.cmp.errors import Distrust, Refused
from kiosk.cmp.issued import Issued, WrongCertificate
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.peer import Peer, Resume
from kiosk.cmp.signing import SigningKey
from kiosk.credentials import Credential
from kiosk.desk import Preparing, SavingStep, Wait
from kiosk.errors import Changed, Code, KioskError, Standing
from kiosk.journal import Event, VisitRecord
from kiosk.needed import needed
from kiosk.new_credential import NewCredential, Stages
from kiosk.one_time_code import OneTimeCode
from kiosk.preparation import Word, compare_clocks, word_of_ca
from kiosk.problems import as_problems
from kiosk.removal import remove_credential, remove_outdated_certificates, remove_parts
from kiosk.request_keys import request_signer
from kiosk.services import Services
from kiosk.tokens.inventory import PENDING_LABEL, Inventory
from kiosk.tokens.token import Token

_WRONG_CODE = "badMessageCheck"
_PAUSED = "systemUnavail"
"""Nobody looks at codes for this ID for a while, after too many wrong ones."""
_EXPIRED = "notAuthorized"
"""Under the code itself: it is the right one, but no longer good."""
_BOUND = "notAuthorized"
"""By which a request is refused, although the code was taken a moment ago: for another key, or by a teller."""
_KEY_KNOWN = "duplicateCertReq"
"""By which a key is refused that was certified by another code."""


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
    _removes: bool = field(default=False, init=False)
    """Whether there are expired credentials to remove in the end."""
    _asking: Asking = field(init=False)
    _new: NewCredential = field(init=False)
    _certification: Certification = field(init=False)

    def __post_init__(self) -> None:
        self._asking = Asking(self.services, self.record, self.token)
        self._new = NewCredential(
            store=self.token,
            place=lambda inventory: inventory.enrolment_key_id(self.holder_id),
            name=self.holder_id,
            stages=Stages(Changed.ENROLLING, Changed.STORED, Changed.ENROLLED),
            services=self.services,
            record=self.record,
            standing=self.standing,
        )
        self._certification = Certification(self._new, self._asking, self._enrol, self._has_heard)

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
            inventory = await self._new.choose_kind(of_ca)
        self._removes = bool(self._expired(inventory))
        self.authority = _issuer_name(answer.ca_certificates, self.services)
        await self.record.note(Event.PREPROCESSED)

    async def make_key(self) -> None:
        """Make the key pair inside the token, or take the one that an earlier, cut enrolment made.

        One that tells nothing of itself makes room for another: no certificate can be asked for it any more, none lies
        beside it, and the CA has just taken the code, so it has confirmed none by that. Where a code had begun with it
        already the CA says so (C-12), and the way on is another code. On a card with places it may be somebody else's.

        Raises:
            KioskError: the token could not, or does not tell the key that is there already and may be somebody else's.
        """
        new = self._new
        with as_problems():
            inventory = await new.look()
            if inventory.has_key(new.key_id):
                self.standing.changed = new.stages.begun
                if self._peer.resume is Resume.SAME_KEY and new.take(inventory):
                    return
                if self._peer.resume is Resume.SAME_KEY and inventory.slots:
                    raise KioskError(Code.SUCCESSOR_NOT_READABLE)
                await new.make_room("another key takes its place")
            await new.make()

    async def request(self, wait: Wait) -> Certificate:
        """Have the CA certify the new key. The answer is checked in full, and refused as a whole if anything is wrong.

        After a fault of the way it is asked anew with the same code and key, where the CA promises the same answer.

        Raises:
            KioskError: the CA refused, its answer does not count, or the network failed.
        """
        with as_problems():
            try:
                await self._ask(wait)
            except Refused as refused:
                raise _of_request(refused) from refused
        return needed(self._new.certificate)

    async def _ask(self, wait: Wait) -> None:
        try:
            await self._certification.ask(wait)
        except Refused as refused:
            if self._new.is_unheard_of or not _is_useless_now(refused):
                raise
            if (await self._new.look()).slots:  # where it may be another ID's, which its own code still confirms
                raise
            if not _is_of_another_code(refused):
                await self._new.remove("the CA certifies it by no code any more")
                raise
            # The code it was certified by can no longer confirm it, and the CA has decided: it is of no use to anybody.
            await self._new.make_room()
            await self.make_key()
            await self._certification.ask(wait)

    async def write(self) -> None:
        """Write the new certificate beside its key.

        Raises:
            KioskError: T-26 or another code, the token is there and does not take it; then the CA is told, and the new
                key is removed. Or the token failed; then the enrolment can be finished later.
        """
        with as_problems():
            await self._certification.write()

    async def prove(self) -> None:
        """Read the new credential back in a fresh token process, compare it byte for byte, and sign with it.

        Raises:
            KioskError: T-30, it is not what was written, or its key does not sign.
        """
        with as_problems():
            await self._new.prove()

    async def confirm(self, wait: Wait) -> None:
        """Tell the CA that the new certificate is safely stored; with that the code is used up.

        After a fault of the way nobody knows whether it has heard. If it has, it takes a question by the new
        certificate; if not, the same code and key get the same certificate, and that is confirmed.

        Raises:
            KioskError: the CA did not acknowledge it; the enrolment can be finished later.
        """
        with as_problems():
            await self._certification.confirm(wait)

    async def tidy_up(self) -> tuple[Certificate, ...]:
        """Name the new credential, and remove the ID's expired ones where policy wants that; what was removed.

        Raises:
            KioskError: the token could not; the new credential is not concerned.
        """
        with as_problems():
            inventory = await self.services.inventory_of(self.token)
        new = inventory.credential_of(needed(self._new.certificate))
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
            self.standing.changed = self._new.stages.stored
            raise KioskError(Code.SUCCESSOR_UNDECIDED, "confirmed or not, nobody here can tell")
        self.standing.changed = self._new.stages.done
        await compare_clocks(apart, self.record)
        with as_problems():
            inventory = await self.services.inventory_of(self.token)
        return await self._finish(new, inventory)

    async def _enrol(self, key: SigningKey) -> Issued:
        """Ask for the certificate, and look whose it is, which the CA decides."""
        issued = await self.services.ca.enrol(needed(self._secret), key)
        if self.services.policy.holder_rule.holder_of(issued.certificate).id != self.holder_id:
            raise WrongCertificate(Distrust.CERTIFICATE_SUBJECT, issued)
        return issued

    async def _has_heard(self) -> bool:
        """Whether the CA takes a message by the new certificate, as it does only of a confirmed one."""
        try:
            signer = request_signer(self._new.key, needed(self._new.certificate), self.services)
            return (await self.services.ca.general(signer)).proven
        except Refused as refused:
            if not refused.proven or refused.is_passing:
                raise
            return False

    async def _finish(self, new: Credential, inventory: Inventory) -> tuple[Certificate, ...]:
        with as_problems():
            await self._name(new, inventory)
            await remove_outdated_certificates(self.token, new, self.services)
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
            await remove_credential(self.token, old, self.services)
            await self.record.note(Event.RETIRED, serial=old.certificate.serial)
            retired.append(old.certificate)
        return tuple(retired)

    def _expired(self, inventory: Inventory) -> tuple[Credential, ...]:
        """The ID's expired credentials that policy wants removed, the newest last."""
        if self.services.policy.expired_credential == "keep":
            return ()
        return inventory.expired(self.holder_id, self.services.clock())

    @property
    def _peer(self) -> Peer:
        return self.services.peer


def _of_code(refused: Refused) -> KioskError | Refused:
    """Why a code is not taken. A CA that cannot prove its no to whoever has only a wrong code says it all the same."""
    detail = str(refused) if refused.proven else f"{refused}, not proven"
    if _WRONG_CODE in refused.fail_info:
        return KioskError(Code.CODE_NOT_ACCEPTED, detail)
    if _PAUSED in refused.fail_info and not refused.by_secret:
        return KioskError(Code.CODE_PAUSED, detail)
    if _EXPIRED in refused.fail_info and refused.proven:
        # Signed, it says nothing of this code; nor of a certificate, which nobody has shown (C-02).
        return KioskError(Code.CODE_EXPIRED if refused.by_secret else Code.REFUSED_BY_CA, detail)
    return refused


def _is_of_another_code(refused: Refused) -> bool:
    """Whether the CA has decided, with proof, that it certifies this key no more: another code has had it certified."""
    return refused.proven and refused.decided and _KEY_KNOWN in refused.fail_info


def _is_useless_now(refused: Refused) -> bool:
    """Whether the CA has decided, with proof, that it certifies this key no more.

    Another code has had it certified, or a teller has said no to it, or this code is good for no key that is here.
    """
    return refused.proven and refused.decided and bool({_KEY_KNOWN, _BOUND} & refused.fail_info)


def _of_request(refused: Refused) -> KioskError | Refused:
    """Why a request is refused, although the code was taken a moment ago."""
    if refused.proven and refused.decided and _BOUND in refused.fail_info:
        return KioskError(Code.CODE_BOUND, str(refused))
    if _WRONG_CODE in refused.fail_info:
        return KioskError(Code.CODE_NOT_ACCEPTED, str(refused))
    return refused


def _issuer_name(told: tuple[Certificate, ...], services: Services) -> str:
    """The pinned intermediate that the CA says it issues under; the first one where it does not say."""
    pinned = services.anchors.intermediates or services.anchors.roots
    issuer = next((each for each in told if each in pinned and each in services.anchors.intermediates), pinned[0])
    return issuer.common_name
