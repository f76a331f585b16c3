"""Which messages get as far as being read: header, signer and protection (RFC 9483 §3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kiosk.ca import ledger, transactions
from kiosk.ca.ledger import Entry, Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.certificates import UnreadableCertificate, read_certificate
from kiosk.cmp.algorithms import UnsupportedSignature, WrongSignature
from kiosk.cmp.envelope import Message
from kiosk.cmp.vocabulary import NONCE_LENGTH, PVNO, FailInfo

LONGEST_NONCE = 64
"""Bytes of a nonce or a transaction id; nobody needs more, and they are stored."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message by a certificate of our own ledger, whatever that may still be good for."""

    message: Message
    signer: Entry
    transaction_id: bytes
    nonce: bytes


def check_header(message: Message, policy: Policy, now: datetime) -> tuple[bytes, bytes]:
    """Version, time, transaction id and nonce; answers with the last two.

    Raises:
        Refusal: one of them is missing or wrong.
    """
    header = message.header
    if header.pvno != PVNO:
        raise Refusal(FailInfo.UNSUPPORTED_VERSION, "protocol version 2 is spoken here")
    if not _is_random(header.transaction_id):
        raise Refusal(FailInfo.BAD_REQUEST, "a transaction id of 16 to 64 bytes is needed")
    if not _is_random(header.sender_nonce):
        raise Refusal(FailInfo.BAD_SENDER_NONCE, "a sender nonce of 16 to 64 bytes is needed")
    if header.message_time is None:
        raise Refusal(FailInfo.MISSING_TIME_STAMP, "the message time is missing")
    if abs(header.message_time - now) > policy.time_window:
        raise Refusal(FailInfo.BAD_TIME, "the message time is too far from the time here")
    return header.transaction_id or b"", header.sender_nonce or b""


def admit(message: Message, book: Ledger, policy: Policy, now: datetime) -> Admitted:
    """Check that a holder's certificate of this ledger protected the message.

    Raises:
        Refusal: it did not, or the header is not as it must be.
    """
    transaction_id, nonce = check_header(message, policy, now)
    if message.protection is None:
        raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the message is not protected")
    signer = _signer(message, book, transaction_id)
    header, certificate = message.header, signer.certificate
    if header.sender != certificate.subject_der:
        raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the sender is not the subject of the signer's certificate")
    if header.sender_key_id not in (None, certificate.subject_key_identifier):
        raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the sender key id is not that of the signer's certificate")
    if not certificate.signs:
        raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate is not for signatures")
    try:
        message.verify_protection(certificate.public_key)
    except UnsupportedSignature as error:
        raise Refusal(FailInfo.BAD_ALG, "the protection algorithm is not accepted") from error
    except WrongSignature as error:
        raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the protection does not verify") from error
    return Admitted(message, signer, transaction_id, nonce)


def _signer(message: Message, book: Ledger, transaction_id: bytes) -> Entry:
    """The first of extraCerts, if it is ours; without any, the signer of the transaction (RFC 9483 §3.3)."""
    with book.read() as connection:
        if message.extra_certificates:
            entry = ledger.find(connection, _fingerprint(message.extra_certificates[0]))
        else:
            transaction = transactions.find(connection, transaction_id)
            entry = None if transaction is None else ledger.get(connection, transaction.signer)
    if entry is None:
        raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate is not one of this CA")
    return entry


def _fingerprint(der: bytes) -> bytes:
    try:
        return read_certificate(der).fingerprint
    except UnreadableCertificate as error:
        raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate cannot be read") from error


def _is_random(value: bytes | None) -> bool:
    return value is not None and NONCE_LENGTH <= len(value) <= LONGEST_NONCE
