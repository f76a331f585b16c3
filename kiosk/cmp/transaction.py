"""One transaction with a CA: messages that share an id and return each other's nonces (RFC 9483 §3.1).

An answer that waits is polled for here, so that whoever asks sees only the answer itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx

from kiosk.clock import Clock
from kiosk.cmp.answers import ProvenAnswer, Question, Trust, check_answer
from kiosk.cmp.envelope import Header, Protector, read_message, write_protected
from kiosk.cmp.errors import AnswerWaits, Distrust, TransferError, UntrustedAnswer
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.peer import Peer, Polling
from kiosk.cmp.polling import PollAnswer, read_poll_answer, write_poll_request
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.responses import read_responses
from kiosk.cmp.signing import Signer
from kiosk.cmp.transfer import Limits, exchange
from kiosk.cmp.vocabulary import ANSWERS, NONCE_LENGTH, PVNO, BodyType, Status

Sleep = Callable[[float], Awaitable[object]]
"""Waits for so many seconds."""
Monotonic = Callable[[], float]
"""Seconds, of a clock that nobody sets."""

_WHOLE_MESSAGE = -1
"""The certReqId with which an answer is polled for that is not about one certificate (RFC 9483 §4.4)."""
_WITH_STATUS_OF_ITS_OWN = frozenset({BodyType.IP, BodyType.CP, BodyType.KUP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The way to one CA, and whose answers count on it."""

    http: httpx.AsyncClient
    trust: Trust
    peer: Peer
    limits: Limits
    clock: Clock
    random: RandomBytes
    sleep: Sleep
    monotonic: Monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One message of ours, and what is particular about it."""

    body_type: BodyType
    body: bytes = field(repr=False)
    infos: tuple[Info, ...] = ()
    """The generalInfo of its header."""
    version: int = PVNO
    request_ids: frozenset[int] = frozenset({0})
    """The certReqId that an answer may say waits."""
    time_window: timedelta | None = None
    """How far the answer's time may be from ours; None where that is only reported."""
    sending: Callable[[], None] | None = None
    """Told when it is signed and about to be sent: until then the CA certainly has not heard it."""


class Transaction:
    """A transaction of one asker at one address."""

    def __init__(
        self,
        channel: Channel,
        address: str,
        protector: Protector,
        *,
        transaction_id: bytes | None = None,
        ca_nonce: bytes | None = None,
    ) -> None:
        """Begin one; or go on with the one that has this id, in which the CA has last sent this nonce."""
        self._channel = channel
        self._address = address
        self._protector = protector
        self._id = channel.random(NONCE_LENGTH) if transaction_id is None else transaction_id
        self._ca_nonce = ca_nonce

    async def ask(self, ask: Ask) -> ProvenAnswer:
        """The proven answer to a message, once it no longer waits.

        Raises:
            AnswerWaits: it does so for longer than the peer's settings have us wait.
            CmpError: each other kind of failure as its own type.
        """
        awaited = ANSWERS[ask.body_type]
        answer = await self._exchange(ask, {awaited})
        waiting = _what_waits(answer, ask.request_ids)
        return answer if waiting is None else await self._poll(ask, waiting, awaited)

    async def _poll(self, ask: Ask, waiting: int, awaited: BodyType) -> ProvenAnswer:
        peer = self._channel.peer
        if not peer.polls:
            raise AnswerWaits
        question = replace(ask, body_type=BodyType.POLLREQ, body=write_poll_request([waiting]), infos=())
        ends = self._channel.monotonic() + peer.polling.total
        while True:
            answer = await self._exchange_again(question, {awaited, BodyType.POLLREP})
            if answer.message.body_type != BodyType.POLLREP:
                if _what_waits(answer, ask.request_ids) is not None:
                    raise AnswerWaits
                return answer
            told = _read_not_yet(answer, waiting)
            seconds = _bounded(told.check_after, peer.polling)
            if self._channel.monotonic() + seconds > ends:
                raise AnswerWaits(told.check_after)
            await self._channel.sleep(seconds)

    async def _exchange_again(self, ask: Ask, answer_types: Iterable[BodyType]) -> ProvenAnswer:
        """The request itself has arrived, whatever becomes of a question about it."""
        try:
            return await self._exchange(ask, answer_types)
        except TransferError as error:
            error.may_have_arrived = True
            raise

    async def _exchange(self, ask: Ask, answer_types: Iterable[BodyType]) -> ProvenAnswer:
        channel, protector = self._channel, self._protector
        nonce = channel.random(NONCE_LENGTH)
        header = Header(
            pvno=ask.version,
            sender=protector.sender,
            recipient=channel.peer.recipient or _issuer(protector),
            message_time=channel.clock(),
            transaction_id=self._id,
            sender_nonce=nonce,
            recipient_nonce=self._ca_nonce,
            general_info=ask.infos,
        )
        request = await write_protected(header, ask.body_type, ask.body, protector)
        if ask.sending:
            ask.sending()
        message = read_message(await exchange(channel.http, self._address, request, channel.limits))
        question = Question(
            transaction_id=self._id,
            nonce=nonce,
            answer_types=frozenset(answer_types),
            time_window=ask.time_window,
            secret=protector if isinstance(protector, SharedSecret) else None,
            protections=channel.peer.protections,
        )
        answer = check_answer(message, question, channel.trust, channel.clock())
        self._ca_nonce = answer.nonce
        return answer


def _issuer(protector: Protector) -> bytes | None:
    return protector.certificate.issuer_der if isinstance(protector, Signer) else None


def _what_waits(answer: ProvenAnswer, request_ids: frozenset[int]) -> int | None:
    """The certReqId to poll for, where the answer is that it waits (RFC 9483 §4.4)."""
    if answer.message.body_type == BodyType.ERROR:
        return _WHOLE_MESSAGE
    if answer.message.body_type not in _WITH_STATUS_OF_ITS_OWN:
        return None
    responses = read_responses(answer.message.body).responses
    if not any(each.status.status == Status.WAITING for each in responses):
        return None
    first = responses[0]
    if len(responses) > 1 or first.request_id not in request_ids:
        raise UntrustedAnswer(Distrust.REQUEST_ID)
    if first.certificate is not None:
        raise UntrustedAnswer(Distrust.STATUS, "waiting, with a certificate")
    return first.request_id


def _read_not_yet(answer: ProvenAnswer, waiting: int) -> PollAnswer:
    told = read_poll_answer(answer.message.body)
    if [each.request_id for each in told] != [waiting]:
        raise UntrustedAnswer(Distrust.REQUEST_ID)
    if told[0].check_after < 0:
        raise UntrustedAnswer(Distrust.CHECK_AFTER, str(told[0].check_after))
    return told[0]


def _bounded(check_after: int, polling: Polling) -> float:
    """What a CA says may be any number."""
    return max(polling.shortest_wait, min(check_after, polling.longest_wait))
