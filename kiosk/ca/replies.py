"""What goes back, before header and protection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from kiosk.ca.refusals import Refusal
from kiosk.ca.succession import Grant
from kiosk.ca.transactions import Transaction
from kiosk.certificates import Certificate
from kiosk.cmp.algorithms import NULL
from kiosk.cmp.der import write_time
from kiosk.cmp.infos import Info
from kiosk.cmp.polling import PollAnswer, write_poll_answer
from kiosk.cmp.responses import PKICONF_BODY, CertificateResponse, CertificateResponses, write_responses
from kiosk.cmp.revocations import write_revocation_answer
from kiosk.cmp.status import StatusInfo, rejection, write_error
from kiosk.cmp.vocabulary import (
    ANSWERS,
    CONFIRM_WAIT_TIME,
    IMPLICIT_CONFIRM,
    PKCS10_REQUEST_ID,
    BodyType,
    Status,
)

_WAITING_TEXT = "a teller has to approve the request"


@dataclass(frozen=True, slots=True)
class Reply:
    """A body, and remarks for the header."""

    body_type: BodyType
    body: bytes
    general_info: tuple[Info, ...] = ()


CONFIRMED = Reply(BodyType.PKICONF, PKICONF_BODY)


def refused(refusal: Refusal) -> Reply:
    """`error` (RFC 9483 §3.6.2)."""
    return Reply(BodyType.ERROR, write_error(rejection((refusal.failure,), refusal.text)))


def rejected(asked: BodyType, refusal: Refusal) -> Reply:
    """`ip`, `cp` or `kup` that grants nothing, in answer to `asked`."""
    request_id = PKCS10_REQUEST_ID if asked is BodyType.P10CR else 0
    return _certificate_reply(asked, request_id, rejection((refusal.failure,), refusal.text))


def waits(transaction: Transaction) -> Reply:
    """`ip`, `cp` or `kup` that says: not yet, ask again by `pollReq` (RFC 9483 §4.4)."""
    return _certificate_reply(
        transaction.body_type, transaction.request_id, StatusInfo(Status.WAITING, (_WAITING_TEXT,))
    )


def waits_still(transaction: Transaction, check_after: timedelta) -> Reply:
    """`pollRep`."""
    seconds = max(1, round(check_after.total_seconds()))
    answer = PollAnswer(transaction.request_id, seconds, (_WAITING_TEXT,))
    return Reply(BodyType.POLLREP, write_poll_answer([answer]))


def granted(transaction: Transaction, grant: Grant, ca_pubs: Iterable[Certificate]) -> Reply:
    """`ip`, `cp` or `kup` with a certificate: one that is confirmed already, or until when that is waited for.

    RFC 9810 §5.1.1.1, §5.1.1.2.
    """
    status = StatusInfo(Status.GRANTED_WITH_MODS if transaction.modified else Status.ACCEPTED)
    deadline = Info(CONFIRM_WAIT_TIME, write_time(grant.deadline))
    return _certificate_reply(
        transaction.body_type,
        transaction.request_id,
        status,
        grant.certificate.der,
        Info(IMPLICIT_CONFIRM, NULL) if transaction.implicit else deadline,
        ca_pubs=tuple(each.der for each in ca_pubs),
    )


def revoked(certificate: Certificate) -> Reply:
    """`rp` that says yes, and which certificate it was (RFC 9483 §4.2)."""
    return Reply(BodyType.RP, write_revocation_answer([StatusInfo(Status.ACCEPTED)], [certificate]))


def not_revoked(refusal: Refusal) -> Reply:
    """`rp` that says no."""
    return Reply(BodyType.RP, write_revocation_answer([rejection((refusal.failure,), refusal.text)]))


def _certificate_reply(
    asked: BodyType,
    request_id: int,
    status: StatusInfo,
    certificate: bytes | None = None,
    *infos: Info,
    ca_pubs: tuple[bytes, ...] = (),
) -> Reply:
    response = CertificateResponse(request_id=request_id, status=status, certificate=certificate)
    content = CertificateResponses(responses=(response,), ca_pubs=ca_pubs)
    return Reply(ANSWERS[asked], write_responses(content), infos)
