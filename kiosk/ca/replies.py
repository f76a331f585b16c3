"""What goes back, before header and protection."""

from __future__ import annotations

from dataclasses import dataclass

from kiosk.ca.refusals import Refusal
from kiosk.ca.succession import Grant
from kiosk.cmp.der import write_time
from kiosk.cmp.infos import Info
from kiosk.cmp.responses import PKICONF_BODY, CertificateResponse, CertificateResponses, write_responses
from kiosk.cmp.status import StatusInfo, rejection, write_error
from kiosk.cmp.vocabulary import CONFIRM_WAIT_TIME, BodyType, Status


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


def rejected(refusal: Refusal) -> Reply:
    """`kup` that grants nothing."""
    return _certificate_reply(rejection((refusal.failure,), refusal.text), None)


def granted(grant: Grant, *, modified: bool) -> Reply:
    """`kup` with a certificate, and until when its confirmation is waited for (RFC 9810 §5.1.1.2)."""
    status = StatusInfo(Status.GRANTED_WITH_MODS if modified else Status.ACCEPTED)
    deadline = Info(CONFIRM_WAIT_TIME, write_time(grant.deadline))
    return _certificate_reply(status, grant.certificate.der, deadline)


def _certificate_reply(status: StatusInfo, certificate: bytes | None, *infos: Info) -> Reply:
    response = CertificateResponse(request_id=0, status=status, certificate=certificate)
    return Reply(BodyType.KUP, write_responses(CertificateResponses(responses=(response,))), infos)
