"""What kiosk and CA say to each other about one new credential: what a renewal and 電子証明書取得 do alike.

The CA is asked to certify the key, told that the certificate is safely stored, or that it is not taken. After a fault
of the way nobody knows whether it has heard; what may be said again follows from its promises (`kiosk.asking`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kiosk.asking import Asking, as_promised
from kiosk.cmp.errors import CmpError, Refused, TransferError
from kiosk.cmp.issued import Issued, WrongCertificate
from kiosk.cmp.peer import Peer
from kiosk.cmp.signing import SigningKey
from kiosk.desk import Wait
from kiosk.errors import Code, KioskError
from kiosk.journal import Event, VisitRecord
from kiosk.needed import needed
from kiosk.new_credential import NewCredential
from kiosk.problems import ca_problem
from kiosk.request_keys import requesting
from kiosk.storing import NO_ROOM, NotStored


async def _untold() -> bool:
    return False


@dataclass(slots=True)
class Certification:
    """The CA's part in one new credential; what it raises is raised as it is (`kiosk.cmp.errors.CmpError`)."""

    new: NewCredential
    asking: Asking
    request: Callable[[SigningKey], Awaitable[Issued]]
    """Asks the CA to certify a key: by the old certificate, or by a code."""
    is_heard: Callable[[], Awaitable[bool]] = _untold
    """Whether the CA is known to have acknowledged the certificate, after a certConf that it may have heard."""
    _issued: Issued | None = field(default=None, init=False)
    _heard_perhaps: bool = field(default=False, init=False)
    """Whether a certConf has gone out that nobody has acknowledged."""

    async def ask(self, wait: Wait) -> None:
        """Have the key certified. What certainly comes to nothing leaves no key that was made in this visit.

        Raises:
            WrongCertificate: it is not what was asked for; the CA was told so.
            CmpError: each other kind of failure as its own type.
        """
        await self._record.note(Event.REQUESTING, serial=self.new.serial_of_old)
        try:
            self._issued = await self.asking.patiently(self._request, wait, as_promised(self._peer.resume))
        except WrongCertificate as error:
            if await self.reject(error.issued, error.reason.value) and self.new.is_unheard_of:
                await self.new.remove()
            raise
        except CmpError as error:
            if self.new.is_unheard_of and _nothing_came_of_it(error):
                await self.new.remove()
            raise
        self.new.certificate = self._issued.certificate
        await self._record.note(Event.ISSUED, serial=self._issued.certificate.serial)

    async def write(self) -> None:
        """Write the certificate beside its key. Nothing stays pending of what cannot be stored, here or at the CA.

        Where the CA does not agree the key stays: what it was certified for may count.

        Raises:
            NotStored: the store is there, and does not take it.
            StoreFault: the store failed; it can be written later.
        """
        try:
            await self.new.write()
        except NotStored:
            if self._issued and await self.reject(self._issued, NO_ROOM):
                await self.new.remove(NO_ROOM)
            raise

    async def confirm(self, wait: Wait) -> None:
        """Tell the CA that the certificate is safely stored (`certConf`), unless it does not wait for that.

        Raises:
            KioskError: C-09, the CA has another certificate for the key by now.
            CmpError: the CA did not acknowledge it.
        """
        serial = needed(self.new.certificate).serial
        waits = self._issued is not None and self._peer.waits_for(self._issued)
        if waits:
            await self._record.note(Event.CONFIRMING, serial=serial)
            await self.asking.patiently(self._confirm, wait, as_promised(self._peer.resume))
        self.new.standing.changed = self.new.stages.done
        detail = "" if waits else "the CA waits for no confirmation"
        await self._record.note(Event.CONFIRMED, serial=serial, detail=detail)

    async def reject(self, issued: Issued, reason: str) -> bool:
        """Have the CA revoke a certificate that is not taken; whether it has agreed.

        Then the key that it was for is of no use to anybody. A CA that cannot be told is no further problem: its
        certificate lapses when nobody confirms it, or a teller revokes it.
        """
        await self._record.note(Event.REJECTING, serial=issued.certificate.serial, detail=reason)
        try:
            await self.asking.services.ca.reject(issued, reason)
        except CmpError as error:
            await self._record.note(Event.PROBLEM, code=ca_problem(error).problem.code, detail="not rejected")
            return False
        return True

    async def _request(self) -> Issued:
        """Ask for the certificate. A second time nobody knows any more whether the first request has arrived."""
        try:
            return await self.request(requesting(self.new.key, self._peer))
        except (Refused, TransferError) as fault:
            if fault.is_passing and fault.may_have_arrived:
                self.new.is_unheard_of = False
            raise

    async def _confirm(self) -> None:
        if self._heard_perhaps:
            if await self.is_heard():
                return
            try:
                again = await self._request()
            except Refused:
                if await self.is_heard():  # by now: what had gone out was still on its way
                    return
                raise
            if again.certificate != self.new.certificate:
                raise KioskError(Code.SUCCESSOR_UNDECIDED, "the CA has another certificate for this key by now")
            self._issued = again
        stages = self.new.stages
        try:
            await self.asking.services.ca.confirm(needed(self._issued), self._may_be_heard)
        except (Refused, TransferError) as fault:
            self._heard_perhaps = self._heard_perhaps or fault.may_have_arrived
            self.new.standing.changed = stages.stored if self._heard_perhaps else stages.begun
            raise

    def _may_be_heard(self) -> None:
        """The certConf goes out now: from here on either certificate may count, and a code may be used up."""
        self.new.standing.changed = self.new.stages.stored

    @property
    def _peer(self) -> Peer:
        return self.asking.services.peer

    @property
    def _record(self) -> VisitRecord:
        return self.asking.record


def _nothing_came_of_it(error: CmpError) -> bool:
    """Whether the CA certainly has no row for the request that failed so."""
    match error:
        case TransferError():
            return not error.may_have_arrived
        case Refused():
            return error.proven and error.decided
        case _:
            return False
