"""What lies on a token: which certificates have their key, and which key is whose successor.

Certificates and keys are paired by public key, because IDs and labels are only what somebody wrote there. Where a
token tells the public half neither with the private key nor in an object of its own, the ID has to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, count

from kiosk.certificates import Certificate, PublicKey, UnreadableCertificate, public_key_of, read_certificate
from kiosk.credentials import Credential, HolderRule, enrolment_key_id, successor_key_id
from kiosk.tokens.keys import public_key_der
from kiosk.tokens.wire import ObjectKind, StoredObject

PENDING_LABEL = "renewal pending"
"""The label of a new key pair and certificate until the CA has acknowledged it (design decision 7).

For a renewal it is for people who look at a token; for 電子証明書取得 it tells whether that has come to its end."""


_LONGEST_LABEL = 64
"""Characters; a common name has no more (RFC 5280, upper bound ub-common-name)."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """A token's content, read once."""

    objects: tuple[StoredObject, ...]
    credentials: tuple[Credential, ...]
    unreadable: int
    """How many certificate objects are damaged; they are left alone."""

    def current(self, now: datetime) -> tuple[Credential, ...]:
        """The credentials one can log in with: one for each ID.

        It is the newest, but not a successor whose predecessor is still there and in date: that renewal has not come
        to its end, whatever the labels say, and the old one works until it has.
        """
        newest: dict[str, Credential] = {}
        for credential in sorted(self.credentials, key=lambda each: each.certificate.not_after):
            if not self._is_unfinished(credential, now):
                newest[credential.holder.id] = credential
        return tuple(newest.values())

    def trusted(self, trusts: Callable[[Certificate], bool]) -> Inventory:
        """The same without the credentials that other issuers may have put on the token."""
        return replace(self, credentials=tuple(each for each in self.credentials if trusts(each.certificate)))

    def has_successor_key(self, credential: Credential) -> bool:
        """Whether a renewal of `credential` has begun: a private key with the successor's ID is there."""
        return self.has_key(successor_key_id(credential.certificate))

    def successor_key(self, credential: Credential) -> PublicKey | None:
        """The public half of that key, from the key, its public key or its certificate; None where nothing tells it."""
        return self.public_half_of(successor_key_id(credential.certificate))

    def of_holder(self, holder_id: str) -> tuple[Credential, ...]:
        """The credentials of one ID, the newest last; not one that 電子証明書取得 has left unfinished."""
        theirs = [each for each in self.credentials if each.holder.id == holder_id]
        finished = [each for each in theirs if not self.is_unfinished_enrolment(each)]
        return tuple(sorted(finished, key=lambda each: (each.certificate.not_after, each.certificate.fingerprint)))

    def expired(self, holder_id: str, now: datetime) -> tuple[Credential, ...]:
        """The expired credentials of one ID, the newest last; none whose key has a certificate in date as well."""
        in_use = {each.certificate.public_key_der for each in self.credentials if now <= each.certificate.not_after}
        return tuple(
            each
            for each in self.of_holder(holder_id)
            if each.certificate.not_after < now and each.certificate.public_key_der not in in_use
        )

    def enrolment_key_id(self, holder_id: str) -> bytes:
        """The CKA_ID of the key with which 電子証明書取得 for an ID is begun here, or was begun and is to go on."""
        before = self.of_holder(holder_id)
        return enrolment_key_id(holder_id, before[-1].certificate if before else None)

    def unfinished_enrolment(self, holder_id: str) -> Credential | None:
        """The newest credential of an ID that 電子証明書取得 has left unfinished."""
        theirs = (each for each in self.credentials if each.holder.id == holder_id)
        left = [each for each in theirs if self.is_unfinished_enrolment(each)]
        return max(left, key=lambda each: each.certificate.not_after, default=None)

    def is_unfinished_enrolment(self, credential: Credential) -> bool:
        """Whether 電子証明書取得 was cut before the CA's acknowledgement was known.

        The key has an ID that only 電子証明書取得 gives, and no certificate object beside it has its own label yet.
        Here the label decides, because there is no predecessor that could tell; it is written with a new object where
        a token does not let labels change.
        """
        labels = {each.label for each in self._certificate_objects(credential)}
        return labels == {PENDING_LABEL} and credential.key_id in self._enrolment_key_ids(credential.holder.id)

    def _enrolment_key_ids(self, holder_id: str) -> set[bytes]:
        before = [each.certificate for each in self.credentials if each.holder.id == holder_id]
        return {enrolment_key_id(holder_id, each) for each in (None, *before)}

    def _certificate_objects(self, credential: Credential) -> list[StoredObject]:
        return [each for each in self.objects if _belongs(each, ObjectKind.CERTIFICATE, credential)]

    def has_key(self, key_id: bytes) -> bool:
        """Whether there is a private key with this ID."""
        return bool(self._keys(key_id))

    def public_half_of(self, key_id: bytes) -> PublicKey | None:
        """The public half of that key, from the key, its public key or its certificate; None where nothing tells it."""
        halves = (_public_half(each, self.objects) for each in self._keys(key_id))
        told = next((half for half in halves if half is not None), None)
        return None if told is None else public_key_of(told)

    def successor(self, credential: Credential) -> Credential | None:
        """The successor of `credential`, where its certificate has been written already."""
        wanted = successor_key_id(credential.certificate)
        return next((each for each in self.credentials if each.key_id == wanted), None)

    def _keys(self, key_id: bytes) -> list[StoredObject]:
        return [each for each in self.objects if each.kind is ObjectKind.PRIVATE_KEY and each.key_id == key_id]

    def parts_of(self, credential: Credential) -> tuple[StoredObject, ...]:
        """Private key, public key and certificate of `credential`, in the order in which they are removed."""
        order = (ObjectKind.PRIVATE_KEY, ObjectKind.PUBLIC_KEY, ObjectKind.CERTIFICATE)
        return tuple(each for kind in order for each in self.objects if _belongs(each, kind, credential))

    def free_label(self, certificate: Certificate) -> str:
        """A label for `certificate` that no certificate of another subject bears: its common name, and a number.

        Certificate databases let a label (there: nickname) belong to one subject only. A colon would part a token's
        name from a certificate's.
        """
        printable = "".join(each for each in certificate.common_name if each.isprintable()).replace(":", "-")
        name = printable[:_LONGEST_LABEL] or certificate.serial
        taken = {
            each.label for each in self.objects if each.kind is ObjectKind.CERTIFICATE and _is_others(each, certificate)
        }
        numbered = (f"{name} #{number}" for number in count(2))
        return next(each for each in chain((name,), numbered) if each not in taken)

    def _is_unfinished(self, credential: Credential, now: datetime) -> bool:
        predecessors = (each for each in self.credentials if successor_key_id(each.certificate) == credential.key_id)
        return any(each.certificate.not_after >= now for each in predecessors)


def read_inventory(objects: Sequence[StoredObject], rule: HolderRule) -> Inventory:
    """Pair what lies on a token; `rule` tells whose certificate it is."""
    credentials: list[Credential] = []
    unreadable = 0
    for stored in objects:
        if stored.kind is not ObjectKind.CERTIFICATE:
            continue
        try:
            certificate = read_certificate(stored.der)
        except UnreadableCertificate:
            unreadable += 1
            continue
        key = _key_of(certificate, objects)
        if key is not None:
            credentials.append(Credential(certificate, key.key_id, rule.holder_of(certificate)))
    return Inventory(tuple(objects), tuple(credentials), unreadable)


def _key_of(certificate: Certificate, objects: Sequence[StoredObject]) -> StoredObject | None:
    keys = [each for each in objects if each.kind is ObjectKind.PRIVATE_KEY]
    for key in keys:
        if _public_half(key, objects) == certificate.public_key_der:
            return key
    return None


def _public_half(key: StoredObject, objects: Sequence[StoredObject]) -> bytes | None:
    told = public_key_der(key.public)
    if told is not None:
        return told
    beside = [each for each in objects if each.key_id == key.key_id]
    public = (public_key_der(each.public) for each in beside if each.kind is ObjectKind.PUBLIC_KEY)
    certified = (_certified_key(each) for each in beside if each.kind is ObjectKind.CERTIFICATE)
    return next((half for half in (*public, *certified) if half is not None), None)


def _is_others(stored: StoredObject, certificate: Certificate) -> bool:
    """Whether it is of another subject, as far as it can be read."""
    try:
        return read_certificate(stored.der).subject_der != certificate.subject_der
    except UnreadableCertificate:
        return True


def _certified_key(stored: StoredObject) -> bytes | None:
    try:
        return read_certificate(stored.der).public_key_der
    except UnreadableCertificate:
        return None


def _belongs(stored: StoredObject, kind: ObjectKind, credential: Credential) -> bool:
    if stored.kind is not kind:
        return False
    if kind is ObjectKind.CERTIFICATE:
        return stored.der == credential.certificate.der
    told = public_key_der(stored.public)
    same_key = told is None or told == credential.certificate.public_key_der
    return stored.key_id == credential.key_id and same_key
