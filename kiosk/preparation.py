"""What a renewal and an enrolment ask and judge alike, before a key is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import Enum

from kiosk.certificates import Certificate
from kiosk.cmp.client import GeneralAnswer
from kiosk.cmp.errors import Refused
from kiosk.cmp.peer import Peer, Resume
from kiosk.cmp.signing import Signer
from kiosk.credentials import Credential
from kiosk.errors import Code, KioskError
from kiosk.journal import Event, VisitRecord
from kiosk.problems import as_problems, status_problem
from kiosk.request_keys import request_signer
from kiosk.revocation.check import RevocationRule
from kiosk.revocation.status import SUPERSEDED, CertStatus, Status, StatusError, StatusNotTold
from kiosk.services import Services
from kiosk.tokens.token import Token
from kiosk.tokens.wire import KeyKind

CLOCK_NOTED = timedelta(seconds=60)
"""How far the kiosk's clock may be from the CA's before the staff is told (design decision 12)."""
CLOCK_REFUSED = timedelta(minutes=5)
"""How far before no key is made."""


async def compare_clocks(offset: timedelta, record: VisitRecord) -> None:
    """Note or refuse a clock that is `offset` away from the CA's.

    Raises:
        KioskError: K-01, it is too far away.
    """
    if offset > CLOCK_REFUSED:
        raise KioskError(Code.CLOCK_WRONG, f"{offset.total_seconds():.0f} s")
    if offset > CLOCK_NOTED:
        await record.note(Event.CLOCK_OFF, detail=f"{offset.total_seconds():.0f} s")


async def check_revocation(
    ask: Callable[[], Awaitable[Status | None]],
    rule: RevocationRule,
    certificate: Certificate,
    record: VisitRecord,
    *,
    accepted: bool,
) -> None:
    """Stop for a certificate that the CA has revoked, or does not know.

    One whose successor has taken its place is on the CRL as well; where the CA itself has just `accepted` it, it may
    finish what it has begun (design decision 7).

    Args:
        ask: Asks whoever tells of revocation.
        rule: What is done where nobody tells anything.
        certificate: The customer's.
        record: Told what came of it.
        accepted: Whether the CA has proven in this visit that it takes the certificate.

    Raises:
        KioskError: C-02, it is revoked; C-14, the CA does not know it; C-15, the answer does not count; N-05, nobody
            told anything, and policy wants to know.
    """
    serial = certificate.serial
    try:
        status = await ask()
    except StatusNotTold as error:
        if rule is RevocationRule.REQUIRED:
            raise status_problem(error) from error
        await record.note(Event.STATUS_NOT_TOLD, serial=serial, detail=str(error))
        return
    except StatusError as error:
        raise status_problem(error) from error
    if status is None:
        return
    if status.cert_status is CertStatus.UNKNOWN:
        raise KioskError(Code.CERTIFICATE_UNKNOWN, str(status))
    if status.cert_status is CertStatus.REVOKED and not (accepted and status.reason == SUPERSEDED):
        raise KioskError(Code.CERTIFICATE_NOT_ACCEPTED, str(status))
    await record.note(Event.STATUS_TOLD, serial=serial, detail=str(status))


class Word(Enum):
    """What the CA says of a certificate that an earlier visit has written."""

    CONFIRMED = "confirmed"
    """It takes a message by it, and promises to do so only of one whose receipt it has acknowledged."""
    TAKEN = "taken"
    """It takes a message by it, or every certificate counts from its issue on; more is not proven."""
    UNCONFIRMED = "unconfirmed"
    REVOKED = "revoked"
    """By somebody, or because nobody confirmed it in time."""
    NOTHING = "nothing"
    """It answers nothing that would tell."""


_WORDS = {"certRevoked": Word.REVOKED, "signerNotTrusted": Word.UNCONFIRMED, "notAuthorized": Word.UNCONFIRMED}
NO_LONGER_TAKEN = frozenset(_WORDS)
"""With which a CA refuses a message because of the certificate that protects it (failInfo, RFC 9810 §5.2.3)."""


async def word_of_ca(
    ask: Callable[[Signer], Awaitable[GeneralAnswer]], store: Token, written: Credential, services: Services
) -> tuple[Word, timedelta]:
    """Ask the CA, with the key of a certificate that an earlier visit has written, what became of it. Changes nothing.

    `ask` sends the question. Answers with how far the clocks are apart as well, which is for the caller to judge.

    Raises:
        KioskError: the CA cannot be asked, or its no is not proven or is about something else.
    """
    signer = request_signer(store.key_of(written), written.certificate, services)
    with as_problems():
        try:
            answer = await ask(signer)
        except Refused as refused:
            told = next((_WORDS[name] for name in sorted(refused.fail_info) if name in _WORDS), None)
            if told is None or not refused.proven:
                raise
            return told, timedelta()
    return _word_by(services.peer, proven=answer.proven), abs(answer.offset)


def _word_by(peer: Peer, *, proven: bool) -> Word:
    if proven and (peer.resume is Resume.SAME_KEY or peer.counts_from_issue):
        return Word.CONFIRMED
    return Word.TAKEN if proven or peer.counts_from_issue else Word.NOTHING


def preferred_kind(wanted: tuple[KeyKind, ...], of_token: list[KeyKind], of_ca: frozenset[str]) -> KeyKind:
    """The first of `wanted` that the token can make and the CA takes; `of_ca` is empty where it does not say.

    Raises:
        KioskError: T-24, there is none.
    """
    kind = next((each for each in wanted if each in of_token and (not of_ca or each in of_ca)), None)
    if kind is None:
        raise KioskError(Code.NO_SUITABLE_KEY_KIND)
    return KeyKind(kind)
