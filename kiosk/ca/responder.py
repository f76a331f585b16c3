"""The CA's side of CMP: the bytes of a request in, the bytes of an answer out (RFC 9483).

Whatever comes in, what goes out is durable before it leaves, and protected: by the CA's signer, or by the one-time code
that has protected the request, once that has been verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Collection, Coroutine

from kiosk.ca import replies
from kiosk.ca.admission import LONGEST_NONCE, Admission, Admitted
from kiosk.ca.authority import Authority
from kiosk.ca.codes import Code
from kiosk.ca.issuing import Issuing
from kiosk.ca.ledger import Ledger, LedgerAway, Overtaken
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.replies import Reply
from kiosk.ca.revoking import Revoking
from kiosk.ca.support import Support
from kiosk.cmp.envelope import Header, Message, Protector, read_message, write_protected
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.vocabulary import NONCE_LENGTH, PVNO, VERSIONS, BodyType, FailInfo

_LOG = logging.getLogger(__name__)
_LEDGER_SECONDS = 2.0
_MOST_ATTEMPTS = 5
"""At one message, where other CA processes come first again and again."""


class Responder:
    """One CA at work over one ledger."""

    def __init__(
        self,
        authority: Authority,
        ledger: Ledger,
        policy: Policy | None = None,
        *,
        random: RandomBytes = secrets.token_bytes,
    ) -> None:
        self.policy = policy or Policy()
        self._signer = authority.signer
        self._ledger = ledger
        self._issuing_der = authority.issuing.der
        self._admission = Admission(ledger, authority.vault, self.policy, authority.issuing.subject_der, random)
        self._issuing = Issuing(authority, ledger, self.policy)
        self._revoking = Revoking(authority, ledger)
        self._support = Support(authority, ledger, self.policy)
        self._random = random

    async def answer(self, request: bytes, accepted: Collection[int] | None = None) -> bytes:
        """Answer one message. A refusal is an answer too.

        Args:
            request: A message, or whatever came in its place.
            accepted: The body types taken where it came in; None for all of them.

        Raises:
            LedgerAway: nothing can be answered now, and the client should ask again.
        """
        return await asyncio.to_thread(self._answer, request, accepted)

    async def is_able(self) -> bool:
        """Whether the ledger answers, and soon."""
        try:
            async with asyncio.timeout(_LEDGER_SECONDS):
                await asyncio.to_thread(self._ledger.check)
        # Whatever it is: who asks wants to know whether, and the log has why.
        except Exception:
            _LOG.exception("the ledger does not answer")
            return False
        return True

    def _answer(self, request: bytes, accepted: Collection[int] | None) -> bytes:
        """All of it, outside the event loop: to verify, to look into the ledger, and to sign takes a while."""
        nonce = self._random(NONCE_LENGTH)
        try:
            message = read_message(request)
        except MalformedMessage:
            unreadable = replies.refused(Refusal(FailInfo.BAD_DATA_FORMAT, "this is no CMP message"))
            return self._write(unreadable, None, nonce, self._signer)
        # Before anything is remembered of it: what HTTP says must not change a transaction (RFC 9811 §5 item 2).
        if accepted is not None and message.body_type not in accepted:
            misplaced = Refusal(FailInfo.BAD_REQUEST, "messages of this type are not answered at this path")
            return self._write(replies.refused(misplaced), message.header, nonce, self._signer)
        reply, protector = self._reply(message, nonce)
        return self._write(reply, message.header, nonce, protector)

    def _reply(self, message: Message, nonce: bytes) -> tuple[Reply, Protector]:
        """What goes back, and by whom: by a code only after the request's own MAC was verified."""
        protector: Protector = self._signer
        try:
            admitted = self._admission.admit(message, self._ledger.now())
            protector = self._protector(admitted)
            return self._decide(admitted, nonce), protector
        except Refusal as refusal:
            return replies.refused(refusal), protector
        except MalformedMessage:
            return replies.refused(Refusal(FailInfo.BAD_DATA_FORMAT, "the body cannot be read")), protector
        # Words of ours would be taken for a decision; HTTP has some that say: again.
        except LedgerAway as error:
            _LOG.warning("a message was not answered: %s", error)
            raise
        # Whatever else goes wrong, a full disk or a fault of ours, the client must hear of it in a message it can
        # believe: anything unprotected proves nothing, and it would have to take the CA for unreachable.
        except Exception:
            _LOG.exception("a message could not be answered")
            return replies.refused(Refusal(FailInfo.SYSTEM_FAILURE, "the CA cannot answer now")), protector

    def _decide(self, admitted: Admitted, nonce: bytes) -> Reply:
        """One transaction, anew where another CA process came first: after that another answer may be right."""
        for _ in range(_MOST_ATTEMPTS - 1):
            with contextlib.suppress(Overtaken):
                return self._dispatch(admitted, nonce)
        return self._dispatch(admitted, nonce)

    def _dispatch(self, admitted: Admitted, nonce: bytes) -> Reply:
        match admitted.message.body_type:
            case BodyType.GENM:
                return self._support.tell(admitted)
            case BodyType.IR | BodyType.CR | BodyType.P10CR | BodyType.KUR as body_type:
                return self._issuing.ask(admitted, BodyType(body_type), nonce)
            case BodyType.POLLREQ:
                return self._issuing.poll(admitted, nonce)
            case BodyType.CERTCONF:
                return self._issuing.close(admitted)
            case BodyType.ERROR:
                return self._issuing.abort(admitted)
            case BodyType.RR:
                return self._revoking.revoke(admitted)
        raise Refusal(FailInfo.BAD_REQUEST, "messages of this type are not answered here")

    def _protector(self, admitted: Admitted) -> Protector:
        kind, code = admitted.mac_kind, admitted.speaker
        if kind is None or not isinstance(code, Code):
            return self._signer
        return SharedSecret(
            reference=code.holder.encode(),
            secret=code.secret,
            kind=kind,
            sender=self._signer.sender,
            salt=self._random(NONCE_LENGTH),
            extra_certificates=(self._issuing_der,),
        )

    def _write(self, reply: Reply, asked: Header | None, nonce: bytes, protector: Protector) -> bytes:
        header = Header(
            pvno=asked.pvno if asked is not None and asked.pvno in VERSIONS else PVNO,
            sender=None,
            recipient=None if asked is None else asked.sender,
            message_time=self._ledger.now(),
            transaction_id=self._transaction_id(asked),
            sender_nonce=nonce,
            recipient_nonce=None if asked is None else _echo(asked.sender_nonce),
            general_info=reply.general_info,
        )
        return _at_once(write_protected(header, reply.body_type, reply.body, protector))

    def _transaction_id(self, asked: Header | None) -> bytes:
        """Theirs, or a new one where they gave none that is worth returning (RFC 9483 §3.6.2)."""
        theirs = None if asked is None else _echo(asked.transaction_id)
        return theirs or self._random(NONCE_LENGTH)


def _at_once(written: Coroutine[None, None, bytes]) -> bytes:
    """What a coroutine comes to that waits for nothing: the CA's keys and codes are in memory."""
    try:
        written.send(None)
    except StopIteration as ended:
        content: bytes = ended.value
        return content
    written.close()
    raise RuntimeError("a key of the CA is not in memory")


def _echo(theirs: bytes | None) -> bytes | None:
    """What anybody sent, unproven, as far as it is returned: nothing that is longer than it may be."""
    return theirs if theirs is not None and len(theirs) <= LONGEST_NONCE else None
