"""What lies on a token: which certificates have their key, and which key is whose successor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, count

from kiosk.certificates import Certificate, PublicKey, UnreadableCertificate, public_key_of, read_certificate
from kiosk.credentials import Credential, HolderRule, enrolment_key_id, successor_key_id
from kiosk.tokens.items import PENDING_LABEL, Item, ItemKind, classify
from kiosk.tokens.keys import public_key_der
from kiosk.tokens.pairing import pair
from kiosk.tokens.wire import ObjectKind, StoredObject

__all__ = ["PENDING_LABEL", "Inventory", "Item", "ItemKind", "read_inventory"]

_LONGEST_LABEL = 64
"""Characters; a common name has no more (RFC 5280, upper bound ub-common-name)."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """A token's content, read once."""

    objects: tuple[StoredObject, ...]
    credentials: tuple[Credential, ...]
    unreadable: int
    """How many certificate objects are damaged; they are left alone."""
    rule: HolderRule = field(default_factory=HolderRule)
    """How IDs are told from subjects."""
    ours: frozenset[bytes] | None = None
    """The certificates (DER) that our CA has issued, with or without key; None where nobody has checked."""
    readings: dict[bytes, Certificate | None] = field(default_factory=dict, compare=False, repr=False)
    """What was read of a certificate (DER) before; None where it is damaged."""
    slots: tuple[bytes, ...] = ()
    """The only CKA_IDs that a key can have here, in the order in which they are used; empty where any ID will do."""

    @property
    def items(self) -> tuple[Item, ...]:
        """Everything here, named for what it is; each object is part of one item."""
        return classify(self.objects, self.rule, self.ours)

    def debris(self, now: datetime) -> tuple[StoredObject, ...]:
        """What is surely ours and of no use any more, in the order in which it can be removed.

        Never a private key. Nothing at all where nobody has checked what is ours (`trusted`), or where a private key
        tells so little of itself that it may belong to anything. To be asked with the PIN given only: before, private
        keys are hidden.
        """
        items = self.items
        if any(each.kind is ItemKind.DAMAGED and _may_belong_to_anything(each) for each in items):
            return ()
        useful = [each.certificate for each in items if each.ours and each.kind is ItemKind.CREDENTIAL]
        in_date = [each for each in useful if each and each.valid_at(now)]
        served: dict[str, datetime] = {}
        for each in sorted(in_date, key=lambda each: each.not_after):
            served[self.rule.holder_of(each).id] = each.not_after
        certified = {each.public_key_der for each in in_date}
        once = Counter(self.objects)
        found = (each for item in items if self._is_debris(item, served, certified) for each in item.objects)
        return tuple(each for each in found if once[each] == 1)

    def _is_debris(self, item: Item, served: dict[str, datetime], certified: set[bytes]) -> bool:
        """Whether `item` is; the holders `served` have credentials until then, and the keys `certified` are in date.

        A certificate without its key that ends after all of these has been replaced by none of them: it may be the
        one that the CA has confirmed, and staff may get its key back (`has_lost_successor`).
        """
        certificate = item.certificate
        match item.kind:
            case _ if not item.ours:
                return False
            case ItemKind.PUBLIC_KEY_ALONE:
                return True
            case ItemKind.CERTIFICATE_ALONE:
                until = None if certificate is None else served.get(self.rule.holder_of(certificate).id)
                return certificate is not None and until is not None and certificate.not_after < until
            case ItemKind.PLACEHOLDER:
                return certificate is not None and certificate.public_key_der in certified
            case ItemKind.DUPLICATE:
                return self._is_named_elsewhere(item.objects[0])
            case _:
                return False

    def _is_named_elsewhere(self, stored: StoredObject) -> bool:
        """Whether it is a certificate labelled as pending that is here under its own label as well."""
        return (stored.kind, stored.label) == (ObjectKind.CERTIFICATE, PENDING_LABEL) and any(
            (each.kind, each.key_id, each.der) == (stored.kind, stored.key_id, stored.der)
            for each in self.objects
            if each.label != PENDING_LABEL
        )

    def current(self, now: datetime) -> tuple[Credential, ...]:
        """The credentials one can log in with: one for each ID.

        It is the newest, but not a successor whose predecessor is still there and in date: that renewal has not come
        to its end, whatever the labels say, and the old one works until it has.
        """
        in_date = [each for each in self.credentials if each.certificate.not_after >= now]
        unfinished = {self.successor_id(each) for each in in_date}
        newest: dict[str, Credential] = {}
        for credential in sorted(self.credentials, key=_end):
            if credential.key_id not in unfinished:
                newest[credential.holder.id] = credential
        return tuple(newest.values())

    def trusted(self, trusts: Callable[[Certificate], bool]) -> Inventory:
        """The same without the credentials that other issuers may have put on the token.

        `items` and `debris` then know as well what is ours.
        """
        ours = frozenset(each.der for each in self._read_certificates() if trusts(each))
        return replace(self, credentials=tuple(each for each in self.credentials if _der(each) in ours), ours=ours)

    def trusted_or_begun(self, trusts: Callable[[Certificate], bool]) -> Inventory:
        """As `trusted`, with those besides that an earlier visit has written, whoever has issued them.

        They may be of an intermediate that nobody has pinned yet, and what is not found again is made twice. They are
        told by their label, or by the key's ID, which is none that anybody else would think of.
        """
        trusted = self.trusted(trusts)
        successors = {successor_key_id(each.certificate) for each in trusted.credentials}

        def is_ours_or_begun(each: Credential) -> bool:
            begun = each.key_id in successors or self._is_pending(each)
            return each in trusted.credentials or (begun and _is_issued(each.certificate))

        return replace(trusted, credentials=tuple(filter(is_ours_or_begun, self.credentials)))

    def successor_id(self, credential: Credential) -> bytes | None:
        """CKA_ID of the key that is to succeed `credential`, or does so already; None where no place is free for it."""
        if not self.slots:
            return successor_key_id(credential.certificate)
        return self._begun_in_slot(credential) or self.free_slot()

    def has_successor_key(self, credential: Credential) -> bool:
        """Whether a renewal of `credential` has begun: its successor's private key is there."""
        if self.slots:
            return self._begun_in_slot(credential) is not None
        return self.has_key(successor_key_id(credential.certificate))

    def predecessor(self, credential: Credential) -> Credential | None:
        """Whose successor `credential` is, where that one is here still."""
        return next((each for each in self.credentials if self.successor_id(each) == credential.key_id), None)

    def successor_key(self, credential: Credential) -> PublicKey | None:
        """The public half of that key, from the key, its public key or its certificate; None where nothing tells it."""
        key_id = self.successor_id(credential)
        return None if key_id is None else self.public_half_of(key_id)

    def free_slot(self) -> bytes | None:
        """The first of `slots` in which there is nothing at all."""
        taken = {each.key_id for each in self.objects}
        return next((each for each in self.slots if each not in taken), None)

    def _begun_in_slot(self, credential: Credential) -> bytes | None:
        """Where the successor of `credential` is, on a card that lets no ID tell it.

        It is what ends later for the same ID and was issued before `credential` had ended: once a renewal has ended,
        the old credential is gone, and what has ended is not renewed. A key without certificate is known by its label,
        where the card keeps labels; another one is left alone.
        """
        later = [
            each
            for each in self.credentials
            if each.key_id in self.slots
            and each.key_id != credential.key_id
            and self._may_succeed(each.certificate, credential)
        ]
        return min(later, key=_end).key_id if later else self._pending_slot()

    def _may_succeed(self, certificate: Certificate, old: Credential) -> bool:
        """Whether it can be a renewal of `old`, as far as the dates and IDs of two certificates tell."""
        same = self.rule.holder_of(certificate).id == old.holder.id
        return same and certificate.not_before <= _end(old) < certificate.not_after

    def _is_ours(self, certificate: Certificate, beside: Credential) -> bool:
        """Whether our CA has issued it, as that is known of it, or of `beside`, where both have one issuer."""
        known = self.ours is not None and certificate.der in self.ours
        return known or certificate.issuer_der == beside.certificate.issuer_der

    def _is_pending(self, credential: Credential) -> bool:
        """Whether no certificate object beside it has its own label yet."""
        return {each.label for each in self.certificates_of(credential)} == {PENDING_LABEL}

    def _pending_slot(self) -> bytes | None:
        certified = {each.key_id for each in self.objects if each.kind is ObjectKind.CERTIFICATE}
        pending = {each.key_id for each in self.objects if each.label == PENDING_LABEL} - certified
        return next((each for each in self.slots if each in pending and self.has_key(each)), None)

    def of_holder(self, holder_id: str) -> tuple[Credential, ...]:
        """The credentials of one ID, the newest last; not one that 電子証明書取得 has left unfinished."""
        theirs = [each for each in self.credentials if each.holder.id == holder_id]
        finished = [each for each in theirs if not self.is_unfinished_enrolment(each)]
        return tuple(sorted(finished, key=lambda each: (each.certificate.not_after, each.certificate.fingerprint)))

    def expired(self, holder_id: str, now: datetime) -> tuple[Credential, ...]:
        """The expired credentials of one ID, the newest last; none whose key anybody has a certificate in date for."""
        in_use = {each.public_key_der for each in self._issued_certificates() if now <= each.not_after}
        return tuple(
            each
            for each in self.of_holder(holder_id)
            if each.certificate.not_after < now and each.certificate.public_key_der not in in_use
        )

    def enrolment_key_id(self, holder_id: str) -> bytes | None:
        """The CKA_ID of the key with which 電子証明書取得 for an ID is begun here, or was begun and is to go on.

        None where no place is free for it.
        """
        if self.slots:
            begun = self.unfinished_enrolment(holder_id)
            return begun.key_id if begun else self._pending_slot() or self.free_slot()
        named = (each for each in self._certificates() if each.label != PENDING_LABEL)
        finished = {each.key_id for each in named if _is_issued(self._read(each))}
        before = self.of_holder(holder_id)
        first = enrolment_key_id(holder_id, before[-1].certificate if before else None)
        ids = dict.fromkeys((first, *self._enrolment_key_ids(holder_id)))
        possible = [each for each in ids if each not in finished]
        return next((each for each in possible if self.has_key(each)), next(iter(possible), None))

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
        if not self._is_pending(credential):
            return False
        if self.slots:  # a renewal's looks the same, and only what it succeeds tells it
            return credential.key_id in self.slots and self.predecessor(credential) is None
        return credential.key_id in self._enrolment_key_ids(credential.holder.id)

    def _enrolment_key_ids(self, holder_id: str) -> list[bytes]:
        """Every ID that a key of 電子証明書取得 can have been given.

        It is told by the newest credential there was; when an earlier visit began, another one may have been that, or
        have counted as ours. One of them is always free: there is one for each certificate of the ID, and one more.
        """
        theirs = [each for each in self._read_certificates() if self.rule.holder_of(each).id == holder_id]
        theirs.sort(key=lambda each: each.not_after, reverse=True)
        return [enrolment_key_id(holder_id, each) for each in (*theirs, None)]

    def credential_of(self, certificate: Certificate) -> Credential | None:
        """The credential with exactly this certificate, where its key is here."""
        return next((each for each in self.credentials if each.certificate == certificate), None)

    def certificates_of(self, credential: Credential) -> list[StoredObject]:
        """The objects that hold the certificate of `credential`: one, or one for each label."""
        return [each for each in self.objects if _belongs(each, ObjectKind.CERTIFICATE, credential)]

    def has_key(self, key_id: bytes) -> bool:
        """Whether there is a private key with this ID."""
        return bool(self._keys(key_id))

    def has_lost_successor(self, credential: Credential) -> bool:
        """Whether the certificate of a successor is here, and not the private key that it must have had.

        A card that was pulled while a list of its keys was written over may show a key no longer (PKCS#15).
        """
        theirs = (each for each in self._certificates() if self._is_successors_of(credential, each))
        return any(not self.has_key(each.key_id) for each in theirs)

    def _is_successors_of(self, credential: Credential, stored: StoredObject) -> bool:
        if not self.slots:
            return stored.key_id == successor_key_id(credential.certificate)
        read = self._read(stored)
        return read is not None and self._is_ours(read, credential) and self._may_succeed(read, credential)

    def _certificates(self) -> list[StoredObject]:
        return [each for each in self.objects if each.kind is ObjectKind.CERTIFICATE]

    def _read_certificates(self) -> list[Certificate]:
        """Whoever has issued them, with or without key; what is damaged is passed over."""
        return [each for each in map(self._read, self._certificates()) if each is not None]

    def _read(self, stored: StoredObject) -> Certificate | None:
        if stored.der not in self.readings:
            self.readings[stored.der] = _read(stored)
        return self.readings[stored.der]

    def _issued_certificates(self) -> list[Certificate]:
        """Those that somebody has issued, and no token software as a placeholder."""
        return [each for each in self._read_certificates() if _is_issued(each)]

    def public_half_of(self, key_id: bytes) -> PublicKey | None:
        """The public half of that key, from the key, its public key or its certificate; None where nothing tells it."""
        families = pair(self.objects).families
        told = (half for half, family in families.items() if any(each.key_id == key_id for each in family.private_keys))
        half = next(told, None)
        return None if half is None else public_key_of(half)

    def successor(self, credential: Credential) -> Credential | None:
        """The successor of `credential`, where its certificate has been written already."""
        wanted = self.successor_id(credential)
        return next((each for each in self.credentials if each.key_id == wanted), None)

    def _keys(self, key_id: bytes) -> list[StoredObject]:
        return [each for each in self.objects if each.kind is ObjectKind.PRIVATE_KEY and each.key_id == key_id]

    def parts_of(self, credential: Credential) -> tuple[StoredObject, ...]:
        """Private key, public key and certificate of `credential`, in the order in which they are removed."""
        order = (ObjectKind.PRIVATE_KEY, ObjectKind.PUBLIC_KEY, ObjectKind.CERTIFICATE)
        return tuple(each for kind in order for each in self.objects if _belongs(each, kind, credential))

    def outdated_by(self, new: Credential) -> list[StoredObject]:
        """The certificates that our CA had issued for the key of `new` before."""
        return [each for each in self._certificates() if each.key_id == new.key_id and self._is_outdated(each, new)]

    def _is_outdated(self, stored: StoredObject, new: Credential) -> bool:
        old, certificate = self._read(stored), new.certificate
        if old is None or old == certificate or old.public_key_der != certificate.public_key_der:
            return False
        return self._is_ours(old, new) and old.not_before <= certificate.not_before  # which is told in whole seconds

    def removable_parts_of(self, credential: Credential) -> tuple[StoredObject, ...]:
        """As `parts_of`, without the key where another issuer has certified it as well: that is not ours to remove."""
        own = credential.certificate
        same_key = (each for each in self._issued_certificates() if each.public_key_der == own.public_key_der)
        kinds = (
            (ObjectKind.CERTIFICATE,) if any(not self._is_ours(each, credential) for each in same_key) else ObjectKind
        )
        return tuple(each for each in self.parts_of(credential) if each.kind in kinds)

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


def read_inventory(objects: Sequence[StoredObject], rule: HolderRule, slots: tuple[bytes, ...] = ()) -> Inventory:
    """Pair what lies on a token; `rule` tells whose certificate it is, `slots` where alone keys can be."""
    pairing = pair(objects)
    found: dict[StoredObject, Credential] = {}
    for family in pairing.families.values():
        for stored, certificate in family.certificates:
            key = family.key_beside(stored)
            if key is not None:
                found[stored] = Credential(certificate, key.key_id, rule.holder_of(certificate))
    in_order = (found[each] for each in objects if each in found)
    unreadable = sum(each.kind is ObjectKind.CERTIFICATE for each in pairing.damaged)
    return Inventory(tuple(objects), tuple(dict.fromkeys(in_order)), unreadable, rule, slots=slots)


def _is_issued(certificate: Certificate | None) -> bool:
    """Whether somebody has issued it; token software signs its placeholders itself."""
    return certificate is not None and certificate.issuer_der != certificate.subject_der


def _der(credential: Credential) -> bytes:
    return credential.certificate.der


def _end(credential: Credential) -> datetime:
    return credential.certificate.not_after


def _is_others(stored: StoredObject, certificate: Certificate) -> bool:
    """Whether it is of another subject, as far as it can be read."""
    read = _read(stored)
    return read is None or read.subject_der != certificate.subject_der


def _may_belong_to_anything(item: Item) -> bool:
    """Whether a private key is among it that somebody can still find, by its ID or label.

    What a process has left that was killed while it made a key (SoftHSM) has neither, and would otherwise keep
    everything else there for ever.
    """
    return any(each.kind is ObjectKind.PRIVATE_KEY and (each.key_id or each.label) for each in item.objects)


def _read(stored: StoredObject) -> Certificate | None:
    try:
        return read_certificate(stored.der)
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
