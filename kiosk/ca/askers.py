"""From a message to whoever asks by it, and whether they may (RFC 9483 §4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from kiosk.ca import codes, holders, ledger, promises, standing
from kiosk.ca.codes import Code
from kiosk.ca.ledger import Entry
from kiosk.ca.policy import Policy
from kiosk.ca.promises import Asker, Promise
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import PromiseKind
from kiosk.cmp.vocabulary import BodyType, FailInfo


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for a certificate, and on what grounds."""

    asker: Asker
    speaker: Entry | Code = field(repr=False)
    """As the ledger has it within the transaction in which it is used."""

    def check(
        self, known: Sequence[Promise], mine: Promise | None, policy: Policy, now: datetime, *, closes: int | None
    ) -> None:
        """Whether that is allowed; `closes` is the promise after which the client asks again, if it does.

        Raises:
            Refusal: it is not.
        """
        if isinstance(self.speaker, Code):
            standing.check_code(self.speaker, mine, now, closes=closes)
        elif self.asker.kind is PromiseKind.UPDATE:
            standing.check_update(self.speaker, known, mine, policy, now, closes=closes)
        else:
            if not policy.additional_certificates:
                raise Refusal(FailInfo.NOT_AUTHORIZED, "a certificate does not entitle to an additional one here")
            standing.check_valid(self.speaker, now)


def request_of(connection: Connection, known: Entry | Code, body_type: BodyType) -> Request:
    """Who asks, where the first message of the transaction was of this type, by this certificate or code.

    Raises:
        Refusal: the code was used or replaced a moment ago.
    """
    speaker = read_again(connection, known)
    if body_type is BodyType.KUR and isinstance(speaker, Entry):
        certificate = speaker.certificate
        subject, end = certificate.x509.subject, certificate.not_after
        return Request(Asker(PromiseKind.UPDATE, speaker.id, speaker.holder, subject, last_second=end), speaker)
    kind = PromiseKind.CODE if isinstance(speaker, Code) else PromiseKind.ADDITIONAL
    holder = holders.get(connection, speaker.holder)
    return Request(Asker(kind, speaker.id, holder.id, holder.subject), speaker)


def read_again(connection: Connection, speaker: Entry | Code) -> Entry | Code:
    """The speaker as this transaction sees it: its state may have changed since the protection was verified.

    Raises:
        Refusal: the code was used or replaced a moment ago.
    """
    if not isinstance(speaker, Code):
        return ledger.look_again(connection, speaker)
    if not codes.is_open(connection, speaker.id):
        raise Refusal(FailInfo.NOT_AUTHORIZED, "the one-time code is no longer good")
    return speaker


def check_speaker(connection: Connection, speaker: Entry | Code, policy: Policy, now: datetime) -> None:
    """Whether a question by this speaker, outside any transaction, is answered.

    Raises:
        Refusal: it is not.
    """
    if isinstance(speaker, Code):
        standing.check_code(speaker, None, now)
    else:
        standing.check_speaker(speaker, promises.updates_of(connection, speaker.id), policy, now)


def check_goes_on(
    connection: Connection, speaker: Entry | Code, promise: Promise, policy: Policy, now: datetime
) -> None:
    """Whether a further message by this speaker, in the transaction about this promise, is taken.

    Raises:
        Refusal: it began another one, or is no longer good.
    """
    if speaker.id != (promise.by_code if isinstance(speaker, Code) else promise.by_certificate):
        raise Refusal(FailInfo.NOT_AUTHORIZED, "the signer is not the one who began the transaction")
    if isinstance(speaker, Code):
        standing.check_code(speaker, promise, now, closes=promise.id)
    elif promise.kind is PromiseKind.UPDATE:
        # What it has begun matters for one that has ended only.
        ended = now > speaker.certificate.not_after
        updates = promises.updates_of(connection, speaker.id) if ended else ()
        standing.check_speaker(speaker, updates, policy, now, closes=promise.id)
    else:
        standing.check_valid(speaker, now)
