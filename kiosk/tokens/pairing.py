"""Which certificate and which key belong together: by public key, because IDs and labels are only what somebody wrote.

Where a token tells the public half neither with the private key nor in an object of its own, the ID has to do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from kiosk.certificates import Certificate, UnreadableCertificate, read_certificate
from kiosk.tokens.keys import public_key_der
from kiosk.tokens.wire import ObjectKind, StoredObject


@dataclass(slots=True)
class Family:
    """Everything on a token that has one public key."""

    private_keys: list[StoredObject] = field(default_factory=list)
    public_keys: list[StoredObject] = field(default_factory=list)
    certificates: list[tuple[StoredObject, Certificate]] = field(default_factory=list)

    def key_beside(self, certificate: StoredObject) -> StoredObject | None:
        """The private key of a certificate: of several, the one that has its ID as well."""
        same_id = (each for each in self.private_keys if each.key_id == certificate.key_id)
        return next(same_id, self.private_keys[0] if self.private_keys else None)


@dataclass(frozen=True, slots=True)
class Pairing:
    """What lies on a token, each object in one place."""

    families: dict[bytes, Family]
    """By SubjectPublicKeyInfo."""
    damaged: tuple[StoredObject, ...]
    """Certificates that cannot be read, and keys of which nothing tells the public half."""


def pair(objects: Sequence[StoredObject]) -> Pairing:
    """Sort `objects` by public key; each is looked at a fixed number of times, however many there are."""
    read = {each.der: _read(each.der) for each in objects if each.kind is ObjectKind.CERTIFICATE}
    told = {each: public_key_der(each.public) for each in objects if each.kind is not ObjectKind.CERTIFICATE}
    beside = _halves_by_id(objects, told, read)
    families: defaultdict[bytes, Family] = defaultdict(Family)
    damaged: list[StoredObject] = []
    for each in objects:
        certificate = read.get(each.der) if each.kind is ObjectKind.CERTIFICATE else None
        half = certificate.public_key_der if certificate else told.get(each) or _beside(each, beside)
        if half is None:
            damaged.append(each)
        elif certificate:
            families[half].certificates.append((each, certificate))
        elif each.kind is ObjectKind.PRIVATE_KEY:
            families[half].private_keys.append(each)
        else:
            families[half].public_keys.append(each)
    return Pairing(dict(families), tuple(damaged))


def _halves_by_id(
    objects: Sequence[StoredObject], told: dict[StoredObject, bytes | None], read: dict[bytes, Certificate | None]
) -> dict[bytes, bytes]:
    """What public keys, and after them certificates, tell of whatever has their ID. An empty ID is none."""
    halves: dict[bytes, bytes] = {}
    public_keys = [each for each in objects if each.kind is ObjectKind.PUBLIC_KEY]
    certificates = [each for each in objects if each.kind is ObjectKind.CERTIFICATE]
    for each in public_keys + certificates:
        certificate = read.get(each.der)
        half = told.get(each) if each.kind is ObjectKind.PUBLIC_KEY else certificate and certificate.public_key_der
        if each.key_id and half:
            halves.setdefault(each.key_id, half)
    return halves


def _beside(stored: StoredObject, halves: dict[bytes, bytes]) -> bytes | None:
    return None if stored.kind is ObjectKind.CERTIFICATE else halves.get(stored.key_id)


def _read(der: bytes) -> Certificate | None:
    try:
        return read_certificate(der)
    except UnreadableCertificate:
        return None
