"""What lies on a token: which certificates have their key, and which key is whose successor.

Certificates and keys are paired by public key, because IDs and labels are only what somebody wrote there; by ID only
where a token does not tell the public half of a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kiosk.certificates import Certificate, PublicKey, UnreadableCertificate, public_key_of, read_certificate
from kiosk.credentials import Credential, HolderRule, successor_key_id
from kiosk.tokens.keys import public_key_der
from kiosk.tokens.wire import ObjectKind, StoredObject

PENDING_LABEL = "renewal pending"
"""The label of a successor's key pair and certificate until the CA has acknowledged it (design decision 7)."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """A token's content, read once."""

    objects: tuple[StoredObject, ...]
    credentials: tuple[Credential, ...]
    unreadable: int
    """How many certificate objects are damaged; they are left alone."""

    def current(self) -> tuple[Credential, ...]:
        """The credentials one can log in with: one for each ID, the newest that is not an unfinished successor."""
        newest: dict[str, Credential] = {}
        for credential in sorted(self.credentials, key=lambda each: each.certificate.not_after):
            if not self._is_pending(credential):
                newest[credential.holder.id] = credential
        return tuple(newest.values())

    def successor_key(self, credential: Credential) -> PublicKey | None:
        """The public half of the key pair that a renewal of `credential` has begun with; None where there is none."""
        wanted = successor_key_id(credential.certificate)
        keys = (each for each in self.objects if each.kind is ObjectKind.PRIVATE_KEY and each.key_id == wanted)
        halves = (_public_half(each, self.objects) for each in keys)
        return next((public_key_of(half) for half in halves if half is not None), None)

    def parts_of(self, credential: Credential) -> tuple[StoredObject, ...]:
        """Private key, public key and certificate of `credential`, in the order in which they are removed."""
        order = (ObjectKind.PRIVATE_KEY, ObjectKind.PUBLIC_KEY, ObjectKind.CERTIFICATE)
        return tuple(each for kind in order for each in self.objects if _belongs(each, kind, credential))

    def _is_pending(self, credential: Credential) -> bool:
        others = (each.certificate for each in self.credentials if each is not credential)
        succeeds = any(successor_key_id(other) == credential.key_id for other in others)
        labels = {each.label for each in self.objects if each.key_id == credential.key_id}
        return succeeds and PENDING_LABEL in labels


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
        key = _key_of(certificate, stored, objects)
        if key is not None:
            credentials.append(Credential(certificate, key.key_id, rule.holder_of(certificate)))
    return Inventory(tuple(objects), tuple(credentials), unreadable)


def _key_of(certificate: Certificate, stored: StoredObject, objects: Sequence[StoredObject]) -> StoredObject | None:
    keys = [each for each in objects if each.kind is ObjectKind.PRIVATE_KEY]
    for key in keys:
        if _public_half(key, objects) == certificate.public_key_der:
            return key
    silent = (key for key in keys if _public_half(key, objects) is None)
    return next((key for key in silent if key.key_id == stored.key_id), None)


def _public_half(key: StoredObject, objects: Sequence[StoredObject]) -> bytes | None:
    told = public_key_der(key.public)
    if told is not None:
        return told
    beside = (each for each in objects if each.kind is ObjectKind.PUBLIC_KEY and each.key_id == key.key_id)
    return next((der for each in beside if (der := public_key_der(each.public))), None)


def _belongs(stored: StoredObject, kind: ObjectKind, credential: Credential) -> bool:
    if stored.kind is not kind:
        return False
    if kind is ObjectKind.CERTIFICATE:
        return stored.der == credential.certificate.der
    told = public_key_der(stored.public)
    same_key = told is None or told == credential.certificate.public_key_der
    return stored.key_id == credential.key_id and same_key
