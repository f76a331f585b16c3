"""What the CA promises to a client that asks anew (design decision 7).

There is one row for each asker and new key. Asking again with the same key never harms, whatever became of the answer;
asking with another key starts over, unless a certificate has one confirmed successor, or a code is bound to its key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from kiosk.ca import audit, codes, promises
from kiosk.ca.ledger import REVOKED_STATES, Entry, change_state, get, key_hash, lock_holder, record
from kiosk.ca.policy import Policy
from kiosk.ca.promises import Asker, Promise
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import CERTIFICATES, PROMISES, Act, CertificateState, PromiseKind, PromiseState
from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.vocabulary import FailInfo

_NOT_TAKEN = "cessationOfOperation"
"""The CRLReason of a certificate that nobody ever used."""

Check = Callable[[Sequence[Promise], Promise | None], None]
"""Raises Refusal unless the asker may ask, given all its promises and the one for this key."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A certificate, and until when its confirmation is waited for."""

    promise: int
    certificate_id: int
    certificate: Certificate
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Waits:
    """No certificate before a teller has decided."""

    promise: int


def grant(
    connection: Connection,
    asker: Asker,
    key: PublicKey,
    check: Check,
    issue: Callable[[], Certificate],
    policy: Policy,
    now: datetime,
) -> Grant | Waits:
    """The certificate of this asker for this key: the one there is, or a new one, or none yet.

    Changes nothing where it refuses, so that the refusal may be remembered in the same transaction.

    Raises:
        Refusal: there can be none.
    """
    known = promises.promises_of(connection, asker)
    wanted = key_hash(key)
    mine = next((each for each in known if each.key_hash == wanted), None)
    check(known, mine)
    others = [each for each in known if mine is None or each.id != mine.id]
    if mine is None:
        _check_new_key(connection, asker, wanted, others, policy)
    elif mine.state in (PromiseState.ISSUED, PromiseState.CONFIRMED):
        return _same_again(connection, mine, _deadline(asker, policy, now), now)
    elif mine.state is PromiseState.REFUSED and mine.new is None:
        raise refused_by_teller()
    elif mine.new is not None and (
        mine.state is PromiseState.REFUSED or get(connection, mine.new).reason != _NOT_TAKEN
    ):
        # Somebody has revoked it, perhaps because the key is known: what became of it afterwards gives it no new one.
        raise _revoked()
    if policy.needs_approval(asker.kind) and (mine is None or not mine.approved):
        _withdraw(connection, others, now, why="another key")
        return Waits(_wait(connection, asker, key, mine, now + policy.approval_time, now))
    certificate = issue()
    _withdraw(connection, others, now, why="another key")
    return _issue(connection, asker, mine, certificate, _deadline(asker, policy, now), now)


def confirm(connection: Connection, promise: Promise, certificate: int, policy: Policy, now: datetime) -> None:
    """The client has stored the certificate: it is valid from now on, and what it was given for is used up.

    Saying so again changes nothing. `promise` is as this transaction of the database has read it.

    Raises:
        Refusal: it was revoked meanwhile, or replaced.
    """
    if _close(connection, promise, certificate, PromiseState.CONFIRMED, now):
        audit.enter_certificate(connection, Act.CONFIRMED, certificate, now)
        _use_up(connection, promise, policy, now)
    elif not _is_confirmed(connection, promise, certificate):
        raise Refusal(FailInfo.CERT_REVOKED, "the certificate was revoked, not confirmed in time, or replaced")


def reject(connection: Connection, promise: Promise, certificate: int, now: datetime) -> None:
    """The client does not take the certificate: it is revoked.

    Saying so again changes nothing. `promise` is as this transaction of the database has read it.

    Raises:
        Refusal: it has been confirmed.
    """
    closed = _close(connection, promise, certificate, PromiseState.REVOKED, now)
    if closed:
        audit.enter_certificate(connection, Act.REJECTED, certificate, now)
    if not closed and _is_confirmed(connection, promise, certificate):
        raise Refusal(FailInfo.CERT_CONFIRMED, "the certificate has been confirmed")


def decide(connection: Connection, number: int, *, approve: bool, now: datetime) -> bool:
    """A teller's word on a promise that waits; answers whether it did.

    A certificate is issued when the client asks the next time.
    """
    promise = promises.find(connection, number)
    if promise is None:
        return False
    lock_holder(connection, promises.holder_of(connection, promise))
    promise = promises.get(connection, number)
    if promise.state is not PromiseState.WAITING or promise.approved:
        return False
    if approve:
        decided = promises.move(connection, promise, PromiseState.WAITING, now, approved=True)
    else:
        decided = promises.move(connection, promise, PromiseState.REFUSED, now)
    if decided:
        _enter(connection, Act.APPROVED if approve else Act.REFUSED, promise, now)
    return decided


def refused_by_teller() -> Refusal:
    """What whoever asks for a certificate that a teller has refused is told, by poll or anew: it counts for the key."""
    return Refusal(FailInfo.NOT_AUTHORIZED, "a teller has refused the request")


def lapse(connection: Connection, now: datetime) -> None:
    """End every promise whose confirmation, or a teller's word on it, did not come in time."""
    _withdraw(connection, promises.overdue(connection, now), now, why="not in time", by=audit.SCHEDULE)


def disown(connection: Connection, revoked: Entry, now: datetime) -> None:
    """Somebody has revoked a certificate whose confirmation was waited for: its key is not certified again.

    For whatever reason: the one that the CA gives to what nobody took is a teller's as well.
    """
    promise = promises.of_key(connection, key_hash(revoked.certificate.public_key))
    if promise is not None and promise.state is PromiseState.ISSUED and promise.new == revoked.id:
        promises.move(connection, promise, PromiseState.REFUSED, now)


def replaced_since(connection: Connection, moment: datetime, now: datetime, most: int) -> Sequence[Entry]:
    """Certificates in date that are still valid though their successors were confirmed at this moment or before."""
    wanted = (
        select(CERTIFICATES.c.id)
        .join(PROMISES, PROMISES.c.by_certificate == CERTIFICATES.c.id)
        .where(
            PROMISES.c.kind == PromiseKind.UPDATE,
            PROMISES.c.state == PromiseState.CONFIRMED,
            PROMISES.c.changed_at <= moment,
            CERTIFICATES.c.state == CertificateState.VALID,
            CERTIFICATES.c.not_after >= now,
        )
        .order_by(CERTIFICATES.c.id)
        .limit(most)
    )
    return [get(connection, number) for number in connection.execute(wanted).scalars()]


def supersede(connection: Connection, old: Entry, now: datetime) -> None:
    """Revoke as superseded what a confirmed successor has replaced, unless somebody has revoked it meanwhile."""
    lock_holder(connection, old.holder)
    _supersede(connection, old.id, now)


def withdraw_code(connection: Connection, code: int, now: datetime) -> None:
    """A code is replaced: what it had begun, and was not confirmed, comes to nothing."""
    begun = promises.of_code(connection, code)
    _withdraw(connection, [] if begun is None else [begun], now, why="a new code")


def _check_new_key(
    connection: Connection, asker: Asker, wanted: bytes, others: Sequence[Promise], policy: Policy
) -> None:
    if promises.is_known(connection, wanted):
        raise Refusal(FailInfo.DUPLICATE_CERT_REQ, "this key has been brought before")
    if asker.kind is PromiseKind.CODE and others:
        raise Refusal(FailInfo.NOT_AUTHORIZED, "the one-time code is bound to another key")
    if len(others) >= policy.most_new_keys:
        raise Refusal(FailInfo.BAD_REQUEST, "too many keys have been brought for this certificate")


def _same_again(connection: Connection, mine: Promise, deadline: datetime, now: datetime) -> Grant:
    number = _issued(mine)
    entry = get(connection, number)
    if entry.state in REVOKED_STATES:
        raise _revoked()
    if mine.state is PromiseState.ISSUED:
        promises.move(connection, mine, PromiseState.ISSUED, now, deadline=deadline)
    return Grant(mine.id, number, entry.certificate, deadline)


def _revoked() -> Refusal:
    return Refusal(FailInfo.CERT_REVOKED, "the certificate issued for this key is revoked or superseded")


def _wait(
    connection: Connection, asker: Asker, key: PublicKey, mine: Promise | None, deadline: datetime, now: datetime
) -> int:
    if mine is None:
        number = promises.enter(connection, asker, key, state=PromiseState.WAITING, deadline=deadline, now=now)
        _enter(connection, Act.ASKED, promises.get(connection, number), now)
        return number
    # Who asks again and again waits no longer for that.
    if mine.state is not PromiseState.WAITING:
        promises.move(connection, mine, PromiseState.WAITING, now, deadline=deadline)
        _enter(connection, Act.ASKED, mine, now)
    return mine.id


def _issue(
    connection: Connection,
    asker: Asker,
    mine: Promise | None,
    certificate: Certificate,
    deadline: datetime,
    now: datetime,
) -> Grant:
    new = record(connection, certificate, holder=asker.holder, state=CertificateState.UNCONFIRMED, now=now)
    audit.enter_certificate(connection, Act.ISSUED, new, now, detail=asker.kind)
    if mine is None:
        number = promises.enter(
            connection, asker, certificate.public_key, state=PromiseState.ISSUED, deadline=deadline, now=now, new=new
        )
    else:
        number = mine.id
        promises.move(connection, mine, PromiseState.ISSUED, now, new=new, deadline=deadline)
    return Grant(number, new, certificate, deadline)


def _withdraw(
    connection: Connection, pending: Sequence[Promise], now: datetime, *, why: str, by: str | None = None
) -> None:
    for promise in pending:
        if promise.state is PromiseState.ISSUED:
            if _close(connection, promise, _issued(promise), PromiseState.REVOKED, now):
                audit.enter_certificate(connection, Act.GIVEN_UP, _issued(promise), now, detail=why, by=by)
        elif promise.state is PromiseState.WAITING and promises.move(connection, promise, PromiseState.REVOKED, now):
            _enter(connection, Act.WITHDRAWN, promise, now, why=why, by=by)


def _enter(
    connection: Connection, act: Act, promise: Promise, now: datetime, *, why: str | None = None, by: str | None = None
) -> None:
    """An act upon a request, in the audit."""
    detail = f"request {promise.id}" if why is None else f"request {promise.id}: {why}"
    if promise.by_certificate is not None:
        audit.enter_certificate(connection, act, promise.by_certificate, now, detail=detail, by=by)
    elif promise.by_code is not None:
        audit.enter_code(connection, act, promise.by_code, now, detail=detail, by=by)


def _close(connection: Connection, promise: Promise, certificate: int, outcome: PromiseState, now: datetime) -> bool:
    """Move a row out of `issued` and its certificate out of `unconfirmed`; the one place where either happens.

    Answers whether the row was still open with this certificate. What is no longer unconfirmed, because it was revoked
    by somebody else meanwhile, keeps its state and its reason.

    Raises:
        Refusal: it is to be confirmed, but is no longer unconfirmed.
    """
    if promise.state is not PromiseState.ISSUED or promise.new != certificate:
        return False
    if not promises.move(connection, promise, outcome, now):
        return False
    confirmed = outcome is PromiseState.CONFIRMED
    state, reason = (CertificateState.VALID, None) if confirmed else (CertificateState.REVOKED, _NOT_TAKEN)
    changed = change_state(
        connection, certificate, state, reason=reason, only_from=CertificateState.UNCONFIRMED, now=now
    )
    if confirmed and not changed:
        raise Refusal(FailInfo.CERT_REVOKED, "the certificate is revoked")
    return True


def _use_up(connection: Connection, promise: Promise, policy: Policy, now: datetime) -> None:
    """What a promise was given for: an old certificate is superseded, a code used; a certificate that stays, stays.

    Raises:
        Refusal: the certificate or the code is no longer good.
    """
    old = promise.by_certificate
    if promise.kind is PromiseKind.UPDATE and old is not None:
        at_once = policy.supersedes_at_once
        is_good = _supersede(connection, old, now) if at_once else get(connection, old).state is CertificateState.VALID
        if not is_good:
            raise Refusal(FailInfo.CERT_REVOKED, "the old certificate is revoked")
    elif promise.by_code is not None and not codes.use_up(connection, promise.by_code, now):
        raise Refusal(FailInfo.NOT_AUTHORIZED, "the one-time code is no longer good")


def _supersede(connection: Connection, old: int, now: datetime) -> bool:
    """Answers whether it was valid until now."""
    state, only_from = CertificateState.SUPERSEDED, CertificateState.VALID
    superseded = change_state(connection, old, state, reason="superseded", only_from=only_from, now=now)
    if superseded:
        audit.enter_certificate(connection, Act.SUPERSEDED, old, now)
    return superseded


def _is_confirmed(connection: Connection, promise: Promise, certificate: int) -> bool:
    """Whether this row has this certificate as its confirmed one, and that has not been revoked since.

    Raises:
        Refusal: the row has another certificate by now.
    """
    if promise.new != certificate:
        raise Refusal(FailInfo.CERT_REVOKED, "the certificate was replaced")
    confirmed = promise.state is PromiseState.CONFIRMED
    return confirmed and get(connection, certificate).state is not CertificateState.REVOKED


def _issued(promise: Promise) -> int:
    """The certificate of a promise in a state in which the database lets none be without."""
    if promise.new is None:
        raise LookupError("a promise without its certificate")
    return promise.new


def _deadline(asker: Asker, policy: Policy, now: datetime) -> datetime:
    """The policy's time, at most to the old one's end, yet long enough for a renewal begun in the last second.

    Where that end is past, the rule for what has expired tells how long the old one may still speak.
    """
    latest = now + policy.confirmation
    if asker.last_second is not None:
        is_past = now > asker.last_second
        latest = min(latest, asker.last_second + (policy.expiry_grace if is_past else timedelta()))
    return max(latest, now + policy.shortest_confirmation)
