"""Whether an old certificate may still speak: to ask for a successor, or to finish with one it has asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, select

from kiosk.ca.ledger import Entry
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import UPDATES, CertificateState, UpdateState
from kiosk.certificates import Certificate
from kiosk.clock import renewable_from
from kiosk.cmp.vocabulary import FailInfo


@dataclass(frozen=True, slots=True)
class Update:
    """One row: an old certificate, a new key, and how far they have come."""

    id: int
    key_hash: bytes
    new: int
    state: UpdateState
    deadline: datetime
    made_at: datetime


def updates_of(connection: Connection, old: int) -> tuple[Update, ...]:
    """Every row of this old certificate."""
    rows = connection.execute(select(UPDATES).where(UPDATES.c.old == old).order_by(UPDATES.c.id))
    return tuple(read_update(row) for row in rows)


def read_update(row: Row[tuple[object, ...]]) -> Update:
    """A row of the table."""
    return Update(row.id, row.key_hash, row.new, UpdateState(row.state), row.deadline, row.made_at)


def check_speaker(
    old: Entry, updates: Sequence[Update], policy: Policy, now: datetime, *, closes: int | None = None
) -> None:
    """Whether a message by this certificate is taken; `closes` is the row that it would close, if any.

    One that was superseded may still ask after its own successor; one that has expired, for a while, if it had begun
    before its end; and what was granted in the last minutes may be closed as long as its confirmation is waited for.

    Raises:
        Refusal: it is not taken.
    """
    if old.state is CertificateState.REVOKED:
        raise Refusal(FailInfo.CERT_REVOKED, "the signer's certificate is revoked")
    if old.state is CertificateState.UNCONFIRMED:
        raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate was never confirmed")
    certificate = old.certificate
    if now < certificate.not_before:
        raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate is not valid yet")
    awaited = [each.deadline for each in updates if each.id == closes]
    if now > max([_last_moment(certificate, updates, policy), *awaited]):
        raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate has expired")


def check_requester(old: Entry, updates: Sequence[Update], mine: Update | None, policy: Policy, now: datetime) -> None:
    """Whether this certificate may ask for a successor with the key of the row `mine`, or with one yet unknown.

    Raises:
        Refusal: it may not.
    """
    check_speaker(old, updates, policy, now)
    if old.state is CertificateState.SUPERSEDED and (mine is None or mine.state is not UpdateState.CONFIRMED):
        raise Refusal(FailInfo.CERT_REVOKED, "the certificate has a confirmed successor")
    if not updates and now < renewable_from(old.certificate.not_after, policy.window_days):
        raise Refusal(FailInfo.BAD_REQUEST, f"more than {policy.window_days} days are left")


def _last_moment(certificate: Certificate, updates: Sequence[Update], policy: Policy) -> datetime:
    begun = any(each.made_at <= certificate.not_after for each in updates)
    resumable = timedelta(days=policy.resume_days) if begun else timedelta()
    return certificate.not_after + max(policy.expiry_grace, resumable)
