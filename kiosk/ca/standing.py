"""Whether whoever protected a message may still speak, ask for a certificate, or finish what was begun."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from kiosk.ca.codes import Code
from kiosk.ca.ledger import Entry
from kiosk.ca.policy import Policy
from kiosk.ca.promises import Promise
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import CertificateState, PromiseState
from kiosk.certificates import Certificate
from kiosk.clock import renewable_from
from kiosk.cmp.vocabulary import FailInfo


def check_speaker(
    old: Entry, updates: Sequence[Promise], policy: Policy, now: datetime, *, closes: int | None = None
) -> None:
    """Whether a message by this certificate is taken; `closes` is the promise that it would close, if any.

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


def check_valid(entry: Entry, now: datetime) -> None:
    """Whether this certificate is good for everything: in date, not superseded, not revoked.

    Raises:
        Refusal: it is not.
    """
    if entry.state is CertificateState.UNCONFIRMED:
        raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate was never confirmed")
    if entry.state is not CertificateState.VALID:
        raise Refusal(FailInfo.CERT_REVOKED, "the signer's certificate is revoked or superseded")
    if not entry.certificate.valid_at(now):
        raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate is out of date")


def check_code(code: Code, promise: Promise | None, now: datetime, *, closes: int | None = None) -> None:
    """Whether a message by this code is taken; `closes` is the promise that it would close or ask after, if any.

    Raises:
        Refusal: it has expired, and nothing that it began in time is still waited for.
    """
    awaited = promise is not None and promise.id == closes and promise.is_pending and now <= promise.deadline
    if now > code.expires_at and not awaited:
        raise Refusal(FailInfo.NOT_AUTHORIZED, "the one-time code has expired")


def check_update(
    old: Entry,
    updates: Sequence[Promise],
    mine: Promise | None,
    policy: Policy,
    now: datetime,
    *,
    closes: int | None = None,
) -> None:
    """Whether this certificate may be replaced by one for the key of the promise `mine`, or for one yet unknown.

    `closes` is the promise after which it asks again, if it does.

    Raises:
        Refusal: it may not.
    """
    check_speaker(old, updates, policy, now, closes=closes)
    # It may have stayed valid beside its successor.
    succeeded = old.state is CertificateState.SUPERSEDED or any(
        each.state is PromiseState.CONFIRMED for each in updates
    )
    if succeeded and (mine is None or mine.state is not PromiseState.CONFIRMED):
        raise Refusal(FailInfo.CERT_REVOKED, "the certificate has a confirmed successor")
    if not updates and now < renewable_from(old.certificate.not_after, policy.window_days):
        raise Refusal(FailInfo.BAD_REQUEST, f"more than {policy.window_days} days are left")


def _last_moment(certificate: Certificate, updates: Sequence[Promise], policy: Policy) -> datetime:
    begun = any(each.made_at <= certificate.not_after for each in updates)
    resumable = timedelta(days=policy.resume_days) if begun else timedelta()
    return certificate.not_after + max(policy.expiry_grace, resumable)
