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
from kiosk.credentials import Credential, HolderRule, successor_key_id
from kiosk.tokens.keys import public_key_der
from kiosk.tokens.wire import ObjectKind, StoredObject

PENDING_LABEL = "renewal pending"
"""The label of a successor's key pair and certificate until the CA has acknowledged it (design decision 7).

It is for people who look at a token; nothing is decided by it."""


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
        return bool(self._successor_keys(credential))

    def successor_key(self, credential: Credential) -> PublicKey | None:
        """The public half of that key, from the key, its public key or its certificate; None where nothing tells it."""
        halves = (_public_half(each, self.objects) for each in self._successor_keys(credential))
        told = next((half for half in halves if half is not None), None)
        return None if told is None else public_key_of(told)

    def successor(self, credential: Credential) -> Credential | None:
        """The successor of `credential`, where its certificate has been written already."""
        wanted = successor_key_id(credential.certificate)
        return next((each for each in self.credentials if each.key_id == wanted), None)

    def _successor_keys(self, credential: Credential) -> list[StoredObject]:
        wanted = successor_key_id(credential.certificate)
        return [each for each in self.objects if each.kind is ObjectKind.PRIVATE_KEY and each.key_id == wanted]

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
