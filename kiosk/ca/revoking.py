"""Revoking: on a holder's own word (`rr`, RFC 9483 §4.2), or on a teller's."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from kiosk.ca import askers, audit, ledger, replies, standing, succession, transactions
from kiosk.ca.admission import Admitted
from kiosk.ca.authority import Authority
from kiosk.ca.codes import Code
from kiosk.ca.ledger import Entry, Ledger
from kiosk.ca.refusals import Refusal
from kiosk.ca.replies import Reply
from kiosk.ca.schema import Act, CertificateState
from kiosk.cmp.revocations import RevocationRequest, read_revocations
from kiosk.cmp.vocabulary import FailInfo

REASONS = {
    0: "unspecified",
    1: "keyCompromise",
    2: "cACompromise",
    3: "affiliationChanged",
    4: "superseded",
    5: "cessationOfOperation",
    6: "certificateHold",
    9: "privilegeWithdrawn",
    10: "aACompromise",
}
"""CRLReason by number (RFC 5280 §5.3.1). removeFromCRL is not among them: what is revoked stays so."""


class Revoking:
    """Revocations by holders, at one authority, in one ledger."""

    def __init__(self, authority: Authority, book: Ledger) -> None:
        self._authority = authority
        self._book = book

    def revoke(self, admitted: Admitted) -> Reply:
        """Answer an `rr` by a valid certificate of the same holder.

        Raises:
            Refusal: the signer is not good for that, or the transaction id has been used.
            MalformedMessage: the body cannot be read.
        """
        requests = read_revocations(admitted.message.body)
        with self._book.begin(by=admitted.actor) as connection:
            ledger.lock_holder(connection, admitted.speaker.holder)
            now = self._book.now(connection)
            transactions.check_unused(connection, admitted.transaction_id)
            signer = askers.read_again(connection, admitted.speaker)
            if isinstance(signer, Code):
                raise Refusal(FailInfo.WRONG_INTEGRITY, "messages of this type are to be signed")
            standing.check_valid(signer, now)
            transactions.remember_ended(connection, admitted.transaction_id, now)
            try:
                entry = self._find(connection, requests, signer, now)
            except Refusal as refusal:
                return replies.not_revoked(refusal)
            put_on_crl(connection, entry, _reason(requests[0]), now)
        return replies.revoked(entry.certificate)

    def _find(
        self, connection: Connection, requests: tuple[RevocationRequest, ...], signer: Entry, now: datetime
    ) -> Entry:
        if len(requests) != 1:
            raise Refusal(FailInfo.BAD_REQUEST, "one certificate at a time")
        request = requests[0]
        if request.issuer_der is None or request.serial_number is None:
            raise Refusal(FailInfo.ADD_INFO_NOT_AVAILABLE, "issuer and serial number of the certificate are needed")
        _reason(request)
        entry = None
        if request.issuer_der == self._authority.issuing.subject_der:
            entry = ledger.find_serial(
                connection, ledger.issuer_hash(request.issuer_der), ledger.serial_text(request.serial_number)
            )
        # Whether somebody else has it is not told.
        if entry is None or entry.holder != signer.holder:
            raise Refusal(FailInfo.BAD_CERT_ID, "the signer's holder has no such certificate")
        if entry.state is CertificateState.REVOKED:
            raise Refusal(FailInfo.CERT_REVOKED, "the certificate is revoked already")
        if now > entry.certificate.not_after:
            raise Refusal(FailInfo.CERT_REVOKED, "the certificate has expired already")
        return entry


def put_on_crl(connection: Connection, entry: Entry, reason: str, now: datetime) -> bool:
    """Revoke a certificate for one of `REASONS`; answers whether it was not so already.

    One that was superseded can be revoked for a graver reason.
    """
    ledger.lock_holder(connection, entry.holder)
    entry = ledger.get(connection, entry.id)
    if entry.state is CertificateState.REVOKED:
        return False
    revoked = ledger.change_state(
        connection, entry.id, CertificateState.REVOKED, reason=reason, only_from=entry.state, now=now
    )
    if revoked and entry.state is CertificateState.UNCONFIRMED:
        succession.disown(connection, entry, now)
    if revoked:
        audit.enter_certificate(connection, Act.REVOKED, entry.id, now, detail=reason)
    return revoked


def _reason(request: RevocationRequest) -> str:
    number = 0 if request.reason is None else request.reason
    reason = REASONS.get(number)
    if reason is None:
        raise Refusal(FailInfo.BAD_REQUEST, "this reason revokes nothing")
    return reason
