"""Asking again for an answer that waits: `pollReq` and `pollRep` (RFC 9810 §5.3.22, RFC 9483 §4.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kiosk.cmp import der
from kiosk.cmp.messages import PollReply, PollRequest


@dataclass(frozen=True, slots=True)
class PollAnswer:
    """Not yet: ask again after so many seconds."""

    request_id: int
    check_after: int
    """Seconds; what a peer says may be any number."""
    reason: tuple[str, ...] = ()


def write_poll_request(request_ids: Iterable[int]) -> bytes:
    """The content of a `pollReq` after these requests."""
    return der.sequence_of(der.encode(PollRequest(request_id=each)) for each in request_ids)


def read_poll_request(body: bytes) -> tuple[int, ...]:
    """The content of `pollReq`: the certReqIds.

    Raises:
        MalformedMessage: it is none.
    """
    return tuple(der.decode(PollRequest, der.value_bytes(each)).request_id for each in der.read_items(body))


def write_poll_answer(answers: Iterable[PollAnswer]) -> bytes:
    """The content of a `pollRep`."""
    return der.sequence_of(der.encode(_structure(each)) for each in answers)


def read_poll_answer(body: bytes) -> tuple[PollAnswer, ...]:
    """The content of `pollRep`.

    Raises:
        MalformedMessage: it is none.
    """
    raw = (der.decode(PollReply, der.value_bytes(each)) for each in der.read_items(body))
    return tuple(PollAnswer(each.request_id, each.check_after, tuple(each.reason or ())) for each in raw)


def _structure(answer: PollAnswer) -> PollReply:
    return PollReply(request_id=answer.request_id, check_after=answer.check_after, reason=list(answer.reason) or None)
