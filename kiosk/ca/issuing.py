"""How somebody comes by a certificate: asks, perhaps waits for a teller, and confirms (RFC 9483 §4.1, §4.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from cryptography.hazmat.primitives.constant_time import bytes_eq
from sqlalchemy import Connection

from kiosk.ca import askers, holders, ledger, promises, replies, succession, transactions
from kiosk.ca.admission import Admitted
from kiosk.ca.askers import Request
from kiosk.ca.authority import Authority
from kiosk.ca.codes import Code
from kiosk.ca.ledger import Entry, Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.promises import Asker, Promise
from kiosk.ca.refusals import Refusal
from kiosk.ca.replies import Reply
from kiosk.ca.schema import PromiseKind, PromiseState
from kiosk.ca.succession import Grant, Waits
from kiosk.ca.template import check_enrolment, check_update, is_modified, the_one
from kiosk.ca.transactions import Transaction
from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.algorithms import UnsupportedSignature
from kiosk.cmp.polling import read_poll_request
from kiosk.cmp.requests import CertificateRequest, read_pkcs10, read_requests
from kiosk.cmp.responses import Confirmation, certificate_hash, read_confirmations
from kiosk.cmp.status import read_error
from kiosk.cmp.vocabulary import PVNO_2021, BodyType, FailInfo, Status


class Issuing:
    """What one authority issues, in one ledger, under one policy."""

    def __init__(self, authority: Authority, book: Ledger, policy: Policy) -> None:
        self._authority = authority
        self._issuer_hash = ledger.issuer_hash(authority.issuing.subject_der)
        self._book = book
        self._policy = policy
        self._forgotten_at: datetime | None = None

    def ask(self, admitted: Admitted, body_type: BodyType, nonce: bytes) -> Reply:
        """Answer `ir`, `cr`, `p10cr` or `kur`. What is wrong with the request itself is said in `ip`, `cp` or `kup`.

        Raises:
            Refusal: the transaction id has been used.
            MalformedMessage: the body cannot be read.
        """
        body = admitted.message.body
        requests = (read_pkcs10(body),) if body_type is BodyType.P10CR else read_requests(body)
        with self._up_to_date(admitted) as (connection, now):
            self._forget(connection, now)
            transactions.check_unused(connection, admitted.transaction_id)
            try:
                request = askers.request_of(connection, admitted.speaker, body_type)
                wanted = the_one(requests, body_type)
                key = self._check_template(connection, wanted, request)
                outcome = self._grant(connection, request, key, now)
            except Refusal as refusal:
                transactions.remember_ended(connection, admitted.transaction_id, now)
                return replies.rejected(body_type, refusal)
            transaction = Transaction(
                id=admitted.transaction_id,
                promise=outcome.promise,
                certificate=outcome.certificate_id if isinstance(outcome, Grant) else None,
                body_type=body_type,
                modified=is_modified(wanted, request.asker.subject.public_bytes()),
                implicit=admitted.asks_implicit_confirm and self._policy.implicit_confirm,
                nonce=nonce,
            )
            transactions.enter(connection, transaction, now)
            return self._tell(connection, transaction, admitted, outcome, now)

    def issue(self, connection: Connection, code: Code, wanted: CertificateRequest, now: datetime) -> Certificate:
        """What `p10cr` by this code would bring, confirmed at once: for a teller who has the request in a file.

        The policy must let no request by a code wait: the teller is here.

        Raises:
            Refusal: there can be none; the transaction has to be undone.
            TypeError: the policy lets it wait.
        """
        request = askers.request_of(connection, code, BodyType.P10CR)
        key = self._check_template(connection, the_one((wanted,), BodyType.P10CR), request)
        outcome = self._grant(connection, request, key, now)
        if isinstance(outcome, Waits):
            raise TypeError("a request from a file cannot wait for a teller")
        succession.confirm(
            connection, promises.get(connection, outcome.promise), outcome.certificate_id, self._policy, now
        )
        return outcome.certificate

    def poll(self, admitted: Admitted, nonce: bytes) -> Reply:
        """Answer `pollReq`: not yet, or what the first message would have been answered with.

        Raises:
            Refusal: it does not go with what waits.
            MalformedMessage: the body cannot be read.
        """
        asked = read_poll_request(admitted.message.body)
        with self._up_to_date(admitted) as (connection, now):
            transaction, promise = self._go_on(connection, admitted, now)
            if transaction.certificate is not None:
                raise Refusal(FailInfo.BAD_REQUEST, "nothing is waited for in this transaction")
            if len(asked) != 1 or asked[0] not in transaction.request_ids:
                raise Refusal(FailInfo.BAD_REQUEST, "one certReqId, that of the request")
            if promise.state in (PromiseState.REFUSED, PromiseState.REVOKED):
                transactions.close(connection, transaction.id)
                return replies.rejected(transaction.body_type, _told_to_wait_in_vain(promise))
            request = askers.request_of(connection, admitted.speaker, transaction.body_type)
            outcome = self._grant(connection, request, promise.key, now, closes=promise.id)
            certificate = outcome.certificate_id if isinstance(outcome, Grant) else None
            transactions.go_on(connection, transaction.id, nonce, certificate)
            if isinstance(outcome, Waits):
                return replies.waits_still(transaction, self._policy.check_after)
            return self._tell(connection, transaction, admitted, outcome, now)

    def close(self, admitted: Admitted) -> Reply:
        """Answer a `certConf`: the client has stored the certificate, or does not take it.

        Raises:
            Refusal: it does not go with what was granted, or comes too late.
            MalformedMessage: the body cannot be read.
        """
        confirmations = read_confirmations(admitted.message.body)
        with self._up_to_date(admitted) as (connection, now):
            transaction, promise = self._go_on(connection, admitted, now)
            if transaction.certificate is None:
                raise Refusal(FailInfo.BAD_REQUEST, "nothing has been issued in this transaction")
            certificate = ledger.get(connection, transaction.certificate).certificate
            if _accepts(confirmations, certificate, transaction, admitted.message.header.pvno):
                succession.confirm(connection, promise, transaction.certificate, self._policy, now)
            else:
                succession.reject(connection, promise, transaction.certificate, now)
            transactions.close(connection, transaction.id)
        return replies.CONFIRMED

    def abort(self, admitted: Admitted) -> Reply:
        """Answer an `error`: the client cannot go on, and does not take what was issued (RFC 9483 §3.6).

        A request that waits for a teller goes on waiting for whoever asks anew.

        Raises:
            Refusal: it does not go with what was asked, or comes after the certificate was confirmed.
            MalformedMessage: the body cannot be read.
        """
        read_error(admitted.message.body)
        with self._up_to_date(admitted) as (connection, now):
            transaction, promise = self._go_on(connection, admitted, now)
            if transaction.certificate is not None:
                succession.reject(connection, promise, transaction.certificate, now)
            transactions.close(connection, transaction.id)
        return replies.CONFIRMED

    def _tell(
        self,
        connection: Connection,
        transaction: Transaction,
        admitted: Admitted,
        outcome: Grant | Waits,
        now: datetime,
    ) -> Reply:
        """What goes out; what needs no confirmation is confirmed at once, in the same transaction of the database."""
        if isinstance(outcome, Waits):
            return replies.waits(transaction)
        if transaction.implicit:
            succession.confirm(
                connection, promises.get(connection, outcome.promise), outcome.certificate_id, self._policy, now
            )
            transactions.close(connection, transaction.id)
        # To whoever has only a code the root may be news; a signed answer must not carry any (RFC 9483 §4.1.1).
        ca_pubs = () if isinstance(admitted.speaker, Entry) else (self._authority.root,)
        return replies.granted(transaction, outcome, ca_pubs)

    def _check_template(self, connection: Connection, wanted: CertificateRequest, request: Request) -> PublicKey:
        speaker = request.speaker
        if request.asker.kind is PromiseKind.UPDATE and isinstance(speaker, Entry):
            return check_update(wanted, speaker.certificate, self._policy)
        holder = holders.get(connection, request.asker.holder)
        return check_enrolment(wanted, holder, self._authority.issuing.subject_der, self._policy)

    def _grant(
        self,
        connection: Connection,
        request: Request,
        key: PublicKey,
        now: datetime,
        *,
        closes: int | None = None,
    ) -> Grant | Waits:
        def check(known: Sequence[Promise], mine: Promise | None) -> None:
            request.check(known, mine, self._policy, now, closes=closes)

        issue = self._issuer(connection, request.asker, key, now)
        return succession.grant(connection, request.asker, key, check, issue, self._policy, now)

    def _issuer(self, connection: Connection, asker: Asker, key: PublicKey, now: datetime) -> Callable[[], Certificate]:
        def issue() -> Certificate:
            issued = ledger.count_in_date(connection, self._issuer_hash, asker.holder, now)
            if issued >= self._policy.most_certificates:
                raise Refusal(FailInfo.BAD_REQUEST, "too many certificates have been issued to this holder")
            if now > self._authority.issuing.not_after:
                raise Refusal(FailInfo.SYSTEM_UNAVAIL, "the CA's own certificate has expired")
            email = holders.get(connection, asker.holder).email if self._policy.email_in_certificate else None
            certificate = self._authority.issue_by(self._policy, asker.subject, key, now, email)
            is_cut = certificate.not_after >= self._authority.issuing.not_after
            if is_cut and asker.last_second is not None and certificate.not_after <= asker.last_second:
                raise Refusal(FailInfo.SYSTEM_UNAVAIL, "the CA's own certificate ends too soon")
            return certificate

        return issue

    def _go_on(self, connection: Connection, admitted: Admitted, now: datetime) -> tuple[Transaction, Promise]:
        """The open transaction a further message belongs to, and what it is about.

        Raises:
            Refusal: there is none, it is another's, or the message does not follow the last one.
        """
        transaction = transactions.find(connection, admitted.transaction_id)
        if transaction is None:
            raise Refusal(FailInfo.BAD_REQUEST, "there is no such transaction")
        promise = promises.get(connection, transaction.promise)
        speaker = askers.read_again(connection, admitted.speaker)
        askers.check_goes_on(connection, speaker, promise, self._policy, now)
        if transaction.closed:
            raise _over(transaction, promise)
        if admitted.message.header.recipient_nonce != transaction.nonce:
            raise Refusal(FailInfo.BAD_RECIPIENT_NONCE, "the recipient nonce is not the last sender nonce")
        return transaction, promise

    @contextmanager
    def _up_to_date(self, admitted: Admitted) -> Iterator[tuple[Connection, datetime]]:
        """One transaction and its time, alone with the holder, in which whatever has run out has ended.

        That holds even where the rest is undone.
        """
        try:
            with self._book.begin(by=admitted.actor) as connection:
                ledger.lock_holder(connection, admitted.speaker.holder)
                now = self._book.now(connection)
                succession.lapse(connection, now)
                yield connection, now
        except Refusal:
            with self._book.begin() as connection:
                succession.lapse(connection, self._book.now(connection))
            raise

    def _forget(self, connection: Connection, now: datetime) -> None:
        """Forget what is over, once in a while: for as long as that it is told by its time anyway."""
        if self._forgotten_at is None or abs(now - self._forgotten_at) >= self._policy.time_window:
            transactions.forget(connection, self._policy, now)
            self._forgotten_at = now


def _over(transaction: Transaction, promise: Promise) -> Refusal:
    """Why nothing more belongs to a transaction (RFC 9810 §5.2.3)."""
    if promise.state is PromiseState.CONFIRMED and promise.new == transaction.certificate:
        return Refusal(FailInfo.CERT_CONFIRMED, "the certificate has been confirmed")
    return Refusal(FailInfo.BAD_REQUEST, "the transaction has ended")


def _told_to_wait_in_vain(promise: Promise) -> Refusal:
    if promise.state is PromiseState.REFUSED:
        return succession.refused_by_teller()
    return Refusal(FailInfo.BAD_REQUEST, "the request was replaced, or not decided in time")


def _accepts(
    confirmations: tuple[Confirmation, ...], certificate: Certificate, transaction: Transaction, version: int
) -> bool:
    """Whether the certificate is taken. Saying nothing about it means no (RFC 9810 §5.3.18)."""
    if not confirmations:
        return False
    if len(confirmations) > 1 or confirmations[0].request_id not in transaction.request_ids:
        raise Refusal(FailInfo.BAD_REQUEST, "one confirmation, for the certReqId of the request")
    confirmation = confirmations[0]
    if confirmation.hash_algorithm is not None and version < PVNO_2021:
        raise Refusal(FailInfo.BAD_REQUEST, "a hash is named in messages of version 3 only")
    if not bytes_eq(confirmation.cert_hash, _hash(certificate, confirmation)):
        raise Refusal(FailInfo.BAD_CERT_ID, "the hash is not that of the certificate issued")
    status = Status.ACCEPTED if confirmation.status is None else confirmation.status.status
    if status not in (Status.ACCEPTED, Status.GRANTED_WITH_MODS, Status.REJECTION):
        raise Refusal(FailInfo.BAD_REQUEST, "a certificate is accepted or rejected")
    if status != Status.REJECTION and confirmation.status is not None and confirmation.status.failures:
        raise Refusal(FailInfo.BAD_REQUEST, "a certificate that is accepted has no failInfo")
    return status != Status.REJECTION


def _hash(certificate: Certificate, confirmation: Confirmation) -> bytes:
    try:
        return certificate_hash(certificate, confirmation.hash_algorithm)
    except UnsupportedSignature as error:
        raise Refusal(FailInfo.BAD_ALG, "this hash is not accepted") from error
