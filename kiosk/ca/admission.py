"""Which messages get as far as being read: header and protection (RFC 9483 §3.1, §3.5).

Whatever costs work or tells something comes last: the header first, then what the protection asks for, then the try is
counted, and only then a MAC is computed.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from kiosk.ca import codes, ledger, transactions, tries
from kiosk.ca.codes import Code
from kiosk.ca.ledger import Entry, Ledger
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.vault import Vault
from kiosk.cmp import der
from kiosk.cmp.algorithms import NULL, Algorithm, UnsupportedSignature, WrongSignature, family_of
from kiosk.cmp.envelope import Message
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind, UnsupportedMac, WrongMac, is_mac, read_mac_parameters
from kiosk.cmp.randomness import RandomBytes
from kiosk.cmp.vocabulary import (
    CONFIRM_WAIT_TIME,
    IMPLICIT_CONFIRM,
    NONCE_LENGTH,
    VERSIONS,
    BodyType,
    FailInfo,
)

LONGEST_NONCE = 64
"""Bytes of a nonce or a transaction id; nobody needs more, and they are stored."""
_LONGEST_REFERENCE = 64
"""Bytes of a reference; stored too, also where nobody has it."""

_MOST_REMEMBERED = 512
"""Certificates, of a few thousand bytes each."""

_FOLLOWING = frozenset({BodyType.CERTCONF, BodyType.POLLREQ, BodyType.ERROR})
"""Messages that go on with a transaction; all others begin one."""
_BY_CODE = frozenset({BodyType.IR, BodyType.P10CR, BodyType.GENM, *_FOLLOWING})
"""What a one-time code may protect; the rest is for certificates (RFC 9483 §4.1.2, §4.1.3, §4.2)."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message by a certificate or a code of our own ledger, whatever that may still be good for."""

    message: Message
    speaker: Entry | Code
    transaction_id: bytes
    nonce: bytes

    @property
    def actor(self) -> str:
        """Who asks, as the audit tells it."""
        if isinstance(self.speaker, Entry):
            return f"cmp certificate {self.speaker.certificate.serial}"
        return f"cmp code {self.speaker.holder}"

    @property
    def asks_implicit_confirm(self) -> bool:
        """Whether the certificate is to count as confirmed as soon as it is issued (RFC 9810 §5.1.1.1)."""
        return any(info.kind == IMPLICIT_CONFIRM for info in self.message.header.general_info)

    @property
    def mac_kind(self) -> MacKind | None:
        """How the message was protected by a secret; None where it was signed."""
        algorithm = self.message.header.protection_algorithm
        return read_mac_parameters(algorithm).kind if algorithm is not None and is_mac(algorithm) else None


class Admission:
    """The gate of one ledger, under one policy."""

    def __init__(self, book: Ledger, vault: Vault, policy: Policy, issuer_der: bytes, random: RandomBytes) -> None:
        self._book = book
        self._vault = vault
        self._policy = policy
        self._issuer_der = issuer_der
        self._decoy = random(32)
        # Whoever confirms has asked a moment ago. What the ledger has of a certificate stays, but for its state, and
        # that is looked up again by whoever decides.
        self._remembered = lru_cache(maxsize=_MOST_REMEMBERED)(self._find)

    def admit(self, message: Message, now: datetime) -> Admitted:
        """Check that a holder's certificate, or a one-time code, of this ledger protected the message.

        Raises:
            Refusal: it did not, or the header is not as it must be.
        """
        transaction_id, nonce = check_header(message, self._policy, now)
        algorithm = message.header.protection_algorithm
        if message.protection is None or algorithm is None:
            raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the message is not protected")
        if family_of(algorithm) not in self._policy.protections:
            raise Refusal(FailInfo.BAD_ALG, "the protection algorithm is not accepted")
        if is_mac(algorithm):
            speaker: Entry | Code = self._check_mac(message, algorithm, now)
        else:
            speaker = self._check_signature(message, transaction_id)
        return Admitted(message, speaker, transaction_id, nonce)

    def _check_signature(self, message: Message, transaction_id: bytes) -> Entry:
        signer = self._signer(message, transaction_id)
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
        return signer

    def _signer(self, message: Message, transaction_id: bytes) -> Entry:
        """The first of extraCerts, if it is ours; without any, the signer of the transaction (RFC 9483 §3.3)."""
        if message.extra_certificates:
            # Found by its hash, so that nobody's certificate but our own is ever read.
            entry = self._known(hashlib.sha256(message.extra_certificates[0]).digest())
        else:
            with self._book.read() as connection:
                number = transactions.signer_of(connection, transaction_id)
                entry = None if number is None else ledger.get(connection, number)
        # What was issued elsewhere is in the ledger for notices and lists only.
        if entry is None or entry.certificate.issuer_der != self._issuer_der:
            raise Refusal(FailInfo.SIGNER_NOT_TRUSTED, "the signer's certificate is not one of this CA")
        return entry

    def _known(self, fingerprint: bytes) -> Entry | None:
        with contextlib.suppress(LookupError):
            return self._remembered(fingerprint)
        return None

    def _find(self, fingerprint: bytes) -> Entry:
        """Raises LookupError where there is none, which is not remembered, since there may be one soon."""
        with self._book.read() as connection:
            entry = ledger.find(connection, fingerprint)
        if entry is None:
            raise LookupError
        return entry

    def _check_mac(self, message: Message, algorithm: Algorithm, now: datetime) -> Code:
        """Whether anybody has this ID, whether it has a code, and whether that is the right one, are one answer."""
        self._check_parameters(algorithm)
        if message.body_type not in _BY_CODE:
            raise Refusal(FailInfo.WRONG_INTEGRITY, "messages of this type are to be signed")
        reference = message.header.sender_key_id or b""
        holder = _holder_of(reference)
        if not _may_be_sent_by(message.header.sender, holder):
            raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the sender is neither empty nor the one of the sender key id")
        with self._book.begin() as connection:
            tries.count(connection, reference, self._policy, now)
            code = codes.find_open(connection, self._vault, holder)
        try:
            message.verify_mac(self._decoy if code is None else code.secret)
        except WrongMac as error:
            raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the protection does not verify") from error
        if code is None:
            raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the protection does not verify")
        with self._book.begin() as connection:
            tries.forgive(connection, reference)
        return code

    def _check_parameters(self, algorithm: Algorithm) -> None:
        refusal = Refusal(FailInfo.BAD_ALG, "the MAC's parameters are not accepted")
        try:
            parameters = read_mac_parameters(algorithm)
        except UnsupportedMac as error:
            raise refusal from error
        if parameters.iterations > self._policy.most_iterations:
            raise refusal


def check_header(message: Message, policy: Policy, now: datetime) -> tuple[bytes, bytes]:
    """Version, time, transaction id, nonces and general information; answers with the id and the sender's nonce.

    Raises:
        Refusal: one of them is missing or wrong.
    """
    header = message.header
    if header.pvno not in VERSIONS:
        raise Refusal(FailInfo.UNSUPPORTED_VERSION, "protocol versions 2 and 3 are spoken here")
    if not _is_random(header.transaction_id):
        raise Refusal(FailInfo.BAD_DATA_FORMAT, "a transaction id of 16 to 64 bytes is needed")
    if not _is_random(header.sender_nonce):
        raise Refusal(FailInfo.BAD_SENDER_NONCE, "a sender nonce of 16 to 64 bytes is needed")
    if header.recipient_nonce is not None and message.body_type not in _FOLLOWING:
        raise Refusal(FailInfo.BAD_RECIPIENT_NONCE, "a first message has no recipient nonce")
    if header.message_time is None:
        raise Refusal(FailInfo.MISSING_TIME_STAMP, "the message time is missing")
    if abs(header.message_time - now) > policy.time_window:
        raise Refusal(FailInfo.BAD_TIME, "the message time is too far from the time here")
    _check_general_info(header.general_info)
    return header.transaction_id or b"", header.sender_nonce or b""


def _check_general_info(infos: tuple[Info, ...]) -> None:
    kinds = [info.kind for info in infos]
    if IMPLICIT_CONFIRM in kinds and CONFIRM_WAIT_TIME in kinds:
        raise Refusal(FailInfo.BAD_REQUEST, "implicitConfirm and confirmWaitTime exclude each other")
    for info in infos:
        if info.kind == IMPLICIT_CONFIRM and info.value != NULL:
            raise Refusal(FailInfo.BAD_REQUEST, "the value of implicitConfirm is NULL")
        if info.kind == CONFIRM_WAIT_TIME:
            _check_time(info.value)


def _check_time(value: bytes | None) -> None:
    try:
        der.read_time(value or b"")
    except MalformedMessage as error:
        raise Refusal(FailInfo.BAD_DATA_FORMAT, "the value of confirmWaitTime is a GeneralizedTime") from error


def _holder_of(reference: bytes) -> str:
    try:
        holder = reference.decode()
    except UnicodeDecodeError:
        holder = ""
    # PostgreSQL takes no NUL in a text.
    if not holder or "\0" in holder or len(reference) > _LONGEST_REFERENCE:
        raise Refusal(FailInfo.BAD_MESSAGE_CHECK, "the sender key id has to be the ID that the code was made for")
    return holder


def _may_be_sent_by(sender: bytes | None, holder: str) -> bool:
    """Whether the sender is the empty name, or one whose common name begins with the ID (RFC 9483 §3.1)."""
    if sender is None:
        return False
    if sender == der.EMPTY_SEQUENCE:
        return True
    names = der.decode(x509.Name, sender).get_attributes_for_oid(NameOID.COMMON_NAME)
    return any(str(each.value).split(" ")[0] == holder for each in names)


def _is_random(value: bytes | None) -> bool:
    return value is not None and NONCE_LENGTH <= len(value) <= LONGEST_NONCE
