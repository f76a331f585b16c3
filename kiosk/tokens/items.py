"""Everything on a token, named for what it is.

Real tokens hold what other issuers and other programs have put there, and what cut renewals have left. Nothing is
touched before it has a name here, and nothing is ever removed that is not ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from kiosk.certificates import Certificate, is_issued_by
from kiosk.credentials import HolderRule, enrolment_key_id, successor_key_id
from kiosk.tokens.pairing import Family, Pairing, pair
from kiosk.tokens.wire import StoredObject

T = TypeVar("T")

PENDING_LABEL = "renewal pending"
"""The label of a new public key and certificate until the CA has acknowledged it (design decision 7); up to 2026-11 of
the private key too, which keeps what it has.

For a renewal it is for people who look at a token; for 電子証明書取得 it tells whether that has come to its end."""

KEY_ID_BYTES = 16
"""How long the IDs are that the kiosk gives."""


class ItemKind(StrEnum):
    """What a thing on a token is."""

    CREDENTIAL = "credential"
    """A certificate with its private key, and nothing that says it were unfinished."""
    SUCCESSOR_KEY = "successor-key"
    """A key pair that a renewal has made; its certificate has not been written."""
    SUCCESSOR = "successor"
    """A renewal's new certificate with its key, beside the credential that it is to replace."""
    PENDING_KEY = "pending-key"
    """A key pair labelled as pending whose certificate has not been written and whose predecessor is not here:
    電子証明書取得, or a renewal out of another store."""
    PENDING_CREDENTIAL = "pending-credential"
    """A certificate with its key, labelled as pending, whose predecessor is not here: a renewal out of another store
    that was cut, or one that has ended on a token that lets no label change."""
    ENROLMENT = "enrolment"
    """A certificate with its key that 電子証明書取得 has written; the token does not know of its acknowledgement."""
    FOREIGN = "foreign"
    """A certificate of another issuer, with its key where that is here."""
    PLACEHOLDER = "placeholder"
    """A certificate signed by its own key, which some programs put beside a key until there is a real one."""
    AUTHORITY = "authority"
    """A CA's certificate, put there for whoever needs the chain."""
    CERTIFICATE_ALONE = "certificate-alone"
    """A certificate without private key; its public key may be here."""
    PRIVATE_KEY_ALONE = "private-key-alone"
    """A private key without certificate that no renewal of ours has made, as far as anything tells."""
    PUBLIC_KEY_ALONE = "public-key-alone"
    """A public key to which there is nothing else."""
    DUPLICATE = "duplicate"
    """One more of what is here already."""
    DAMAGED = "damaged"
    """A certificate that cannot be read, or a key of which nothing tells the public half."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on a token, with all the objects it consists of."""

    kind: ItemKind
    objects: tuple[StoredObject, ...]
    """Private key, public keys, certificate: the order in which they would be removed."""
    ours: bool
    """Whether it certainly comes from our CA or our kiosks; what is not ours is nobody's business here."""
    certificate: Certificate | None = None

    @property
    def key_id(self) -> bytes:
        """CKA_ID of its first object."""
        return self.objects[0].key_id


def classify(
    objects: Sequence[StoredObject], rule: HolderRule, ours: Collection[bytes] | None = None
) -> tuple[Item, ...]:
    """Name every object, each in exactly one item; never raises, whatever lies there.

    Args:
        objects: Everything the token shows, with its PIN given: without it private keys are hidden.
        rule: How IDs are told from subjects.
        ours: The certificates (DER) that our CA has issued; None where nobody has checked, then nothing is ours.
    """
    return tuple(_Classifier(pair(objects), rule, ours).items())


class _Classifier:
    def __init__(self, pairing: Pairing, rule: HolderRule, ours: Collection[bytes] | None) -> None:
        self._pairing = pairing
        self._checked = ours is not None
        self._ours = frozenset(ours or ())
        self._successor_ids: dict[bytes, bool] = {}
        """CKA_ID of the key that would succeed each certificate here, and whether that one has its key."""
        self._enrolment_ids: set[bytes] = set()
        self._learn_ids(rule)

    def _learn_ids(self, rule: HolderRule) -> None:
        for family in self._pairing.families.values():
            for _, certificate in family.certificates:
                if not self._is_candidate(certificate):
                    continue
                self._successor_ids[successor_key_id(certificate)] = bool(family.private_keys)
                holder = rule.holder_of(certificate).id
                self._enrolment_ids |= {enrolment_key_id(holder, None), enrolment_key_id(holder, certificate)}

    def items(self) -> Iterator[Item]:
        for family in self._pairing.families.values():
            yield from self._of_family(family)
        for each in self._pairing.damaged:
            yield Item(ItemKind.DAMAGED, (each,), self._checked and self._is_marked(each))

    def _of_family(self, family: Family) -> Iterator[Item]:
        if not family.certificates:
            yield from self._keys_alone(family)
            return
        main = self._main_certificate(family)
        keys = self._keys_of(family, main[0])
        yield from self._main_items(family, main, keys)
        seen = {main[0].der}
        for stored, certificate in _without(family.certificates, (main,)):
            if stored.der in seen:
                yield Item(ItemKind.DUPLICATE, (stored,), stored.der in self._ours)
            else:
                seen.add(stored.der)
                yield self._certified(family, (stored, certificate), ())
        yield from self._more_keys(family, keys)

    def _main_items(
        self, family: Family, main: tuple[StoredObject, Certificate], keys: tuple[StoredObject, ...]
    ) -> Iterator[Item]:
        """The certificate with its keys; a placeholder beside a key that we have begun with is a thing apart."""
        placeholder = self._kind_of(family, *main) is ItemKind.PLACEHOLDER
        if placeholder and family.private_keys and self._is_begun(keys):
            yield self._begun_key(keys)
            keys = ()
        yield self._certified(family, main, keys)

    def _certified(
        self, family: Family, certified: tuple[StoredObject, Certificate], keys: tuple[StoredObject, ...]
    ) -> Item:
        stored, certificate = certified
        kind = self._kind_of(family, stored, certificate)
        ours = certificate.der in self._ours or (kind is ItemKind.PLACEHOLDER and self._is_marked(stored))
        return Item(kind, (*keys, stored), self._checked and ours, certificate)

    def _main_certificate(self, family: Family) -> tuple[StoredObject, Certificate]:
        """The one that the keys go with: ours before others, real before placeholder, of these the newest.

        Of the same certificate written twice it is the object with its own label: that one has come to its end.
        """

        def rank(certified: tuple[StoredObject, Certificate]) -> tuple[bool, bool, object, bool]:
            stored, certificate = certified
            real = not _is_self_signed(certificate)
            return certificate.der in self._ours, real, certificate.not_after, stored.label != PENDING_LABEL

        return max(family.certificates, key=rank)

    def _keys_of(self, family: Family, certificate: StoredObject) -> tuple[StoredObject, ...]:
        """The private key of a certificate and one public key: of several, those that have one ID."""
        private = family.key_beside(certificate)
        wanted = private or certificate
        same_id = (each for each in family.public_keys if each.key_id == wanted.key_id)
        public = next(same_id, family.public_keys[0] if family.public_keys else None)
        return tuple(each for each in (private, public) if each is not None)

    def _kind_of(self, family: Family, stored: StoredObject, certificate: Certificate) -> ItemKind:
        has_key = bool(family.private_keys)
        if certificate.is_authority and not has_key:
            return ItemKind.AUTHORITY
        if certificate.der not in self._ours:
            if _is_self_signed(certificate):
                return ItemKind.PLACEHOLDER
            if self._checked:
                return ItemKind.FOREIGN
        if not has_key:
            return ItemKind.CERTIFICATE_ALONE
        key = family.key_beside(stored) or stored
        if self._successor_ids.get(key.key_id):
            return ItemKind.SUCCESSOR
        labels = {each.label for each, same in family.certificates if same.der == certificate.der}
        if labels != {PENDING_LABEL}:
            return ItemKind.CREDENTIAL
        if key.key_id in self._enrolment_ids:
            return ItemKind.ENROLMENT
        return ItemKind.CREDENTIAL if key.key_id in self._successor_ids else ItemKind.PENDING_CREDENTIAL

    def _keys_alone(self, family: Family) -> Iterator[Item]:
        key = family.private_keys[0] if family.private_keys else family.public_keys[0]
        keys = self._keys_of(family, key)
        marked = self._is_begun(keys)
        if family.private_keys and marked:
            yield self._begun_key(keys)
        else:
            kind = ItemKind.PRIVATE_KEY_ALONE if family.private_keys else ItemKind.PUBLIC_KEY_ALONE
            yield Item(kind, keys, self._checked and marked)
        yield from self._more_keys(family, keys)

    def _more_keys(self, family: Family, keys: tuple[StoredObject, ...]) -> Iterator[Item]:
        for each in _without(family.private_keys + family.public_keys, keys):
            yield Item(ItemKind.DUPLICATE, (each,), self._checked and self._is_marked(each))

    def _begun_key(self, keys: tuple[StoredObject, ...]) -> Item:
        kind = ItemKind.SUCCESSOR_KEY if keys[0].key_id in self._successor_ids else ItemKind.PENDING_KEY
        return Item(kind, keys, self._checked)

    def _is_begun(self, keys: tuple[StoredObject, ...]) -> bool:
        """Whether our kiosks have begun with this key, by its own mark or by that of its public half."""
        return any(self._is_marked(each) for each in keys if each.key_id == keys[0].key_id)

    def _is_marked(self, stored: StoredObject) -> bool:
        """Whether its ID or its label is one that only our kiosks give.

        The label alone is not enough: somebody else's program may call a key so.
        """
        if stored.key_id in self._successor_ids or stored.key_id in self._enrolment_ids:
            return True
        return stored.label == PENDING_LABEL and len(stored.key_id) == KEY_ID_BYTES

    def _is_candidate(self, certificate: Certificate) -> bool:
        """Whether our kiosks can have renewed it."""
        return certificate.der in self._ours if self._checked else not _is_self_signed(certificate)


def _is_self_signed(certificate: Certificate) -> bool:
    return certificate.issuer_der == certificate.subject_der and is_issued_by(certificate, certificate)


def _without(everything: Sequence[T], taken: Sequence[T]) -> list[T]:
    """`everything` less one of each in `taken`."""
    left = list(everything)
    for each in taken:
        left.remove(each)
    return left
