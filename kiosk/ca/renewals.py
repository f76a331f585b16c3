"""The two messages of a renewal: `kur`, which asks, and `certConf`, which closes (RFC 9483 §4.1.1, §4.1.3)."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.constant_time import bytes_eq
from sqlalchemy import Connection

from kiosk.ca import ledger, replies, standing, succession, transactions
from kiosk.ca.admission import Admitted
from kiosk.ca.authority import Authority
from kiosk.ca.ledger import Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.replies import Reply
from kiosk.ca.succession import Grant
from kiosk.ca.template import check_request, is_modified
from kiosk.ca.transactions import Transaction
from kiosk.certificates import Certificate, PublicKey
from kiosk.cmp.requests import read_requests
from kiosk.cmp.responses import Confirmation, certificate_hash, read_confirmations
from kiosk.cmp.vocabulary import FailInfo, Status


class Renewals:
    """Renewals at one authority, in one ledger, under one policy."""

    def __init__(self, authority: Authority, book: Ledger, policy: Policy) -> None:
        self._authority = authority
        self._book = book
        self._policy = policy

    def update(self, admitted: Admitted, nonce: bytes, now: datetime) -> Reply:
        """Answer a `kur`. What is wrong with the request itself is said in a `kup`.

        Raises:
            Refusal: the transaction id has been used.
            MalformedMessage: the body cannot be read.
        """
        requests = read_requests(admitted.message.body)
        self._tidy(now)
        with self._book.begin() as connection:
            transactions.check_unused(connection, admitted.transaction_id)
            try:
                key = check_request(requests, admitted.signer.certificate, self._policy)
                grant = self._grant(connection, admitted.signer.id, key, now)
            except Refusal as refusal:
                transactions.remember_refused(connection, admitted.transaction_id, now)
                return replies.rejected(refusal)
            transactions.open_transaction(connection, admitted.transaction_id, admitted.signer.id, grant, nonce, now)
        return replies.granted(grant, modified=is_modified(requests[0]))

    def close(self, admitted: Admitted, now: datetime) -> Reply:
        """Answer a `certConf`: the client has stored the certificate, or does not take it.

        Raises:
            Refusal: it does not go with what was granted, or comes too late.
            MalformedMessage: the body cannot be read.
        """
        confirmations = read_confirmations(admitted.message.body)
        self._lapse(now)
        with self._book.begin() as connection:
            transaction = _open_transaction(connection, admitted)
            signer = ledger.get(connection, transaction.signer)
            updates = standing.updates_of(connection, signer.id)
            standing.check_speaker(signer, updates, self._policy, now, closes=transaction.update)
            certificate = ledger.get(connection, transaction.certificate).certificate
            if _accepts(confirmations, certificate):
                succession.confirm(connection, transaction.update, transaction.certificate, signer.id, now)
            else:
                succession.reject(connection, transaction.update, transaction.certificate, now)
            transactions.close(connection, transaction.id)
        return replies.CONFIRMED

    def _grant(self, connection: Connection, signer: int, key: PublicKey, now: datetime) -> Grant:
        old = ledger.get(connection, signer)

        def issue() -> Certificate:
            if now > self._authority.issuing.not_after:
                raise Refusal(FailInfo.SYSTEM_UNAVAIL, "the CA's own certificate has expired")
            successor = self._authority.renew(old.certificate, key, now, self._policy.back_dating)
            if successor.not_after <= old.certificate.not_after:
                raise Refusal(FailInfo.SYSTEM_UNAVAIL, "the CA's own certificate ends too soon")
            return successor

        return succession.grant(connection, old, key, issue, self._policy, now)

    def _lapse(self, now: datetime) -> None:
        # On its own, since a refusal that follows from it undoes what else was done in its transaction.
        with self._book.begin() as connection:
            succession.lapse(connection, now)

    def _tidy(self, now: datetime) -> None:
        with self._book.begin() as connection:
            succession.lapse(connection, now)
            transactions.forget(connection, now - 2 * self._policy.time_window)


def _open_transaction(connection: Connection, admitted: Admitted) -> Transaction:
    transaction = transactions.find(connection, admitted.transaction_id)
    if transaction is None:
        raise Refusal(FailInfo.BAD_REQUEST, "there is no such transaction")
    if transaction.signer != admitted.signer.id:
        raise Refusal(FailInfo.NOT_AUTHORIZED, "the signer is not the one who began the transaction")
    if transaction.closed:
        raise Refusal(FailInfo.BAD_REQUEST, "the transaction has ended")
    if admitted.message.header.recipient_nonce != transaction.nonce:
        raise Refusal(FailInfo.BAD_RECIPIENT_NONCE, "the recipient nonce is not the last sender nonce")
    return transaction


def _accepts(confirmations: tuple[Confirmation, ...], certificate: Certificate) -> bool:
    """Whether the certificate is taken. Saying nothing about it means no (RFC 9810 §5.3.18)."""
    if not confirmations:
        return False
    if len(confirmations) > 1 or confirmations[0].request_id != 0:
        raise Refusal(FailInfo.BAD_REQUEST, "one confirmation, for the certReqId 0")
    confirmation = confirmations[0]
    if not bytes_eq(confirmation.cert_hash, certificate_hash(certificate)):
        raise Refusal(FailInfo.BAD_CERT_ID, "the hash is not that of the certificate issued")
    status = Status.ACCEPTED if confirmation.status is None else confirmation.status.status
    if status not in (Status.ACCEPTED, Status.GRANTED_WITH_MODS, Status.REJECTION):
        raise Refusal(FailInfo.BAD_REQUEST, "a certificate is accepted or rejected")
    return status != Status.REJECTION
