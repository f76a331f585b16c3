"""One certificate, one confirmed successor: what the CA promises to a client that asks anew.

There is one row for each old certificate and new key. Asking again with the same key never harms, whatever became of
the answer; asking with another key starts over, unless a successor has been confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from kiosk.ca.ledger import Entry, change_state, get, key_hash, record
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import CERTIFICATES, UPDATES, CertificateState, UpdateState
from kiosk.ca.standing import Update, check_requester, read_update, updates_of
from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.vocabulary import FailInfo

_NOT_TAKEN = "cessationOfOperation"
"""The CRLReason of a successor that nobody ever used."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A successor, and until when its confirmation is waited for."""

    update: int
    certificate_id: int
    certificate: Certificate
    deadline: datetime


def grant(
    connection: Connection,
    old: Entry,
    key: PublicKey,
    issue: Callable[[], Certificate],
    policy: Policy,
    now: datetime,
) -> Grant:
    """The successor of `old` for this key: the one there is, or a new one.

    Changes nothing where it refuses, so that the refusal may be remembered in the same transaction.

    Raises:
        Refusal: there can be none.
    """
    updates = updates_of(connection, old.id)
    wanted = key_hash(key)
    mine = next((each for each in updates if each.key_hash == wanted), None)
    check_requester(old, updates, mine, policy, now)
    _check_key_is_free(connection, wanted, mine)
    if mine is not None and mine.state is not UpdateState.REVOKED:
        return _same_again(connection, mine, _deadline(old, policy, now), now)
    if mine is None and len(updates) >= policy.most_new_keys:
        raise Refusal(FailInfo.BAD_REQUEST, "too many keys have been brought for this certificate")
    certificate = issue()
    for each in updates:
        if each.state is UpdateState.ISSUED:
            _revoke(connection, each, now)
    return _issue(connection, old, mine, certificate, _deadline(old, policy, now), now)


def confirm(connection: Connection, update: int, certificate: int, old: int, now: datetime) -> None:
    """The client has stored the certificate: it is valid from now on, and the old one is superseded.

    Saying so again changes nothing.

    Raises:
        Refusal: it was revoked meanwhile, or replaced.
    """
    if _close(connection, update, certificate, UpdateState.CONFIRMED, now):
        change_state(connection, old, CertificateState.SUPERSEDED, reason="superseded", now=now)
    elif not _is_confirmed(connection, update, certificate):
        raise Refusal(FailInfo.CERT_REVOKED, "the certificate was revoked, not confirmed in time, or replaced")


def reject(connection: Connection, update: int, certificate: int, now: datetime) -> None:
    """The client does not take the certificate: it is revoked.

    Saying so again changes nothing.

    Raises:
        Refusal: it has been confirmed.
    """
    closed = _close(connection, update, certificate, UpdateState.REVOKED, now)
    if not closed and _is_confirmed(connection, update, certificate):
        raise Refusal(FailInfo.CERT_CONFIRMED, "the certificate has been confirmed")


def lapse(connection: Connection, now: datetime) -> None:
    """Revoke every successor whose confirmation did not come in time."""
    overdue = select(UPDATES).where(UPDATES.c.state == UpdateState.ISSUED, UPDATES.c.deadline < now)
    for row in connection.execute(overdue).all():
        _revoke(connection, read_update(row), now)


def _check_key_is_free(connection: Connection, wanted: bytes, mine: Update | None) -> None:
    if mine is not None:
        return
    taken = select(CERTIFICATES.c.id).where(CERTIFICATES.c.key_hash == wanted).limit(1)
    if connection.execute(taken).one_or_none() is not None:
        raise Refusal(FailInfo.DUPLICATE_CERT_REQ, "this key has been certified before")


def _same_again(connection: Connection, mine: Update, deadline: datetime, now: datetime) -> Grant:
    entry = get(connection, mine.new)
    if entry.state is CertificateState.REVOKED:
        raise Refusal(FailInfo.CERT_REVOKED, "the successor is revoked")
    if mine.state is UpdateState.ISSUED:
        values = {"deadline": deadline, "changed_at": now}
        connection.execute(UPDATES.update().where(UPDATES.c.id == mine.id).values(values))
    return Grant(mine.id, mine.new, entry.certificate, deadline)


def _issue(
    connection: Connection,
    old: Entry,
    mine: Update | None,
    certificate: Certificate,
    deadline: datetime,
    now: datetime,
) -> Grant:
    new = record(connection, certificate, holder=old.holder, state=CertificateState.UNCONFIRMED, now=now)
    values = {"new": new, "state": UpdateState.ISSUED, "deadline": deadline, "changed_at": now}
    if mine is None:
        values |= {"old": old.id, "key_hash": key_hash(certificate.public_key), "made_at": now}
        update: int = connection.execute(insert(UPDATES).values(values).returning(UPDATES.c.id)).scalar_one()
    else:
        update = mine.id
        connection.execute(UPDATES.update().where(UPDATES.c.id == update).values(values))
    return Grant(update, new, certificate, deadline)


def _revoke(connection: Connection, update: Update, now: datetime) -> None:
    _close(connection, update.id, update.new, UpdateState.REVOKED, now)


def _close(connection: Connection, update: int, certificate: int, outcome: UpdateState, now: datetime) -> bool:
    """Move a row out of `issued` and its certificate out of `unconfirmed`; the one place where either happens.

    Answers whether the row was still open with this certificate. What is no longer unconfirmed, because it was revoked
    by somebody else meanwhile, keeps its state and its reason.

    Raises:
        Refusal: it is to be confirmed, but is no longer unconfirmed.
    """
    still_open = (UPDATES.c.id == update, UPDATES.c.new == certificate, UPDATES.c.state == UpdateState.ISSUED)
    values = {"state": outcome, "changed_at": now}
    if connection.execute(UPDATES.update().where(*still_open).values(values)).rowcount != 1:
        return False
    confirmed = outcome is UpdateState.CONFIRMED
    state, reason = (CertificateState.VALID, None) if confirmed else (CertificateState.REVOKED, _NOT_TAKEN)
    changed = change_state(
        connection, certificate, state, reason=reason, only_from=CertificateState.UNCONFIRMED, now=now
    )
    if confirmed and not changed:
        raise Refusal(FailInfo.CERT_REVOKED, "the certificate is revoked")
    return True


def _is_confirmed(connection: Connection, update: int, certificate: int) -> bool:
    """Whether this row has this certificate as its confirmed successor, and that has not been revoked since.

    Raises:
        Refusal: the row has another certificate by now.
    """
    row = connection.execute(select(UPDATES).where(UPDATES.c.id == update)).one()
    if row.new != certificate:
        raise Refusal(FailInfo.CERT_REVOKED, "the certificate was replaced")
    confirmed = read_update(row).state is UpdateState.CONFIRMED
    return confirmed and get(connection, certificate).state is not CertificateState.REVOKED


def _deadline(old: Entry, policy: Policy, now: datetime) -> datetime:
    """The policy's time, at most to the old one's end, yet long enough for a renewal begun in the last second."""
    return max(min(now + policy.confirmation, old.certificate.not_after), now + policy.shortest_confirmation)
