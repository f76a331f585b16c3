"""The CA's side of CMP: the bytes of a request in, the bytes of an answer out (RFC 9483).

Whatever comes in, what goes out is a message protected by the CA's signer, and durable before it leaves.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import UTC, datetime

from kiosk.ca import replies
from kiosk.ca.admission import LONGEST_NONCE, admit
from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.renewals import Renewals
from kiosk.ca.replies import Reply
from kiosk.ca.support import Support
from kiosk.clock import Clock, system_clock
from kiosk.cmp.envelope import Header, Message, read_message, write_protected
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.vocabulary import NONCE_LENGTH, BodyType, FailInfo

_LOG = logging.getLogger(__name__)


class Responder:
    """One CA at work over one ledger."""

    def __init__(
        self,
        authority: Authority,
        ledger: Ledger,
        policy: Policy | None = None,
        *,
        clock: Clock = system_clock,
        random: RandomBytes = secrets.token_bytes,
    ) -> None:
        self.policy = policy or Policy()
        self._signer = authority.signer
        self._ledger = ledger
        self._renewals = Renewals(authority, ledger, self.policy)
        self._support = Support(authority, ledger, self.policy)
        self._clock = clock
        self._random = random

    async def answer(self, request: bytes) -> bytes:
        """Answer one message. A refusal is an answer too."""
        nonce = self._random(NONCE_LENGTH)
        try:
            message = read_message(request)
        except MalformedMessage:
            unreadable = replies.refused(Refusal(FailInfo.BAD_DATA_FORMAT, "this is no CMP message"))
            return await self._write(unreadable, None, nonce)
        reply = await asyncio.to_thread(self._reply, message, nonce, self._now())
        return await self._write(reply, message.header, nonce)

    def _reply(self, message: Message, nonce: bytes, now: datetime) -> Reply:
        try:
            return self._dispatch(message, nonce, now)
        except Refusal as refusal:
            return replies.refused(refusal)
        except MalformedMessage:
            return replies.refused(Refusal(FailInfo.BAD_DATA_FORMAT, "the body cannot be read"))
        # Whatever else goes wrong, a full disk or a fault of ours, the client must hear of it in a message it can
        # believe: anything unprotected proves nothing, and it would have to take the CA for unreachable.
        except Exception:
            _LOG.exception("a message could not be answered")
            return replies.refused(Refusal(FailInfo.SYSTEM_FAILURE, "the CA cannot answer now"))

    def _dispatch(self, message: Message, nonce: bytes, now: datetime) -> Reply:
        admitted = admit(message, self._ledger, self.policy, now)
        match message.body_type:
            case BodyType.GENM:
                return self._support.tell(admitted, now)
            case BodyType.KUR:
                return self._renewals.update(admitted, nonce, now)
            case BodyType.CERTCONF:
                return self._renewals.close(admitted, now)
        raise Refusal(FailInfo.BAD_REQUEST, "messages of this type are not answered here")

    async def _write(self, reply: Reply, asked: Header | None, nonce: bytes) -> bytes:
        header = Header(
            sender=self._signer.certificate.subject_der,
            recipient=None if asked is None else asked.sender,
            message_time=self._now(),
            transaction_id=self._transaction_id(asked),
            sender_nonce=nonce,
            recipient_nonce=None if asked is None else _echo(asked.sender_nonce),
            general_info=reply.general_info,
        )
        return await write_protected(header, reply.body_type, reply.body, self._signer)

    def _transaction_id(self, asked: Header | None) -> bytes:
        """Theirs, or a new one where they gave none that is worth returning (RFC 9483 §3.6.2)."""
        theirs = None if asked is None else _echo(asked.transaction_id)
        return theirs or self._random(NONCE_LENGTH)

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)


def _echo(theirs: bytes | None) -> bytes | None:
    """What anybody sent, unproven, as far as it is returned: nothing that is longer than it may be."""
    return theirs if theirs is not None and len(theirs) <= LONGEST_NONCE else None
