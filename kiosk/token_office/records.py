"""What there is to tell of tokens and of what lies on them: for programs as it is, for people in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from kiosk.certificates import Certificate
from kiosk.clock import days_left
from kiosk.credentials import Holder, HolderKind
from kiosk.literal import literal
from kiosk.moments import days_words, until_words
from kiosk.settings import Policy
from kiosk.text_keys import TextKey
from kiosk.texts import Texts
from kiosk.tokens.inventory import Inventory, Item, ItemKind
from kiosk.tokens.wire import KeyKind, ObjectKind, Room, StoredObject, TokenFacts
from kiosk.words import holder_words


class PinState(msgspec.Struct, frozen=True):
    """What the token says of its PIN: hints, and no more."""

    wanted: bool
    set: bool
    few_tries: bool
    last_try: bool
    locked: bool
    to_be_changed: bool


class TokenRecord(msgspec.Struct, frozen=True):
    """A token that is in."""

    reader: str
    label: str
    serial: str
    manufacturer: str
    model: str
    removable: bool
    initialised: bool
    """Where not, it is blank: `kiosk token initialise`."""
    pin: PinState
    key_kinds: tuple[KeyKind, ...]
    """What it says that it can make."""
    key_ids: tuple[str, ...]
    """Of a card with places for keys: which there are, as CKA_ID in hexadecimal."""
    known: tuple[str, ...]
    """What else is known of it beforehand (docs/tokens.md)."""


class CertificateRecord(msgspec.Struct, frozen=True):
    """A certificate on a token."""

    serial: str
    common_name: str
    id: str
    kind: str
    """administrator or user."""
    begins: datetime
    ends: datetime
    days_left: int
    """Calendar days in the bank's zone; negative where it is over."""


class ItemRecord(msgspec.Struct, frozen=True):
    """One thing on a token."""

    kind: str
    """One of the names of `ItemKind`, or `certificate` and `public-key` where the PIN was not given."""
    ours: bool
    key_id: str
    """CKA_ID, hexadecimal."""
    label: str
    objects: tuple[ObjectKind, ...]
    debris: bool
    """Whether it is surely ours and of no use any more."""
    certificate: CertificateRecord | None


class ContentRecord(msgspec.Struct, frozen=True):
    """A token with what lies on it."""

    token: TokenRecord
    room: Room
    pin_given: bool
    """Where not, private keys are hidden, and nothing is told by what goes with which."""
    items: tuple[ItemRecord, ...]


_PIN_WORDS: tuple[tuple[str, TextKey], ...] = (
    ("locked", "token.pin.locked"),
    ("last_try", "token.pin.last-try"),
    ("few_tries", "token.pin.few-tries"),
    ("to_be_changed", "token.pin.to-be-changed"),
)

_ITEMS: dict[ItemKind, TextKey] = {
    ItemKind.CREDENTIAL: "token.item.credential",
    ItemKind.SUCCESSOR_KEY: "token.item.successor-key",
    ItemKind.SUCCESSOR: "token.item.successor",
    ItemKind.PENDING_KEY: "token.item.pending-key",
    ItemKind.PENDING_CREDENTIAL: "token.item.pending-credential",
    ItemKind.ENROLMENT: "token.item.enrolment",
    ItemKind.FOREIGN: "token.item.foreign",
    ItemKind.PLACEHOLDER: "token.item.placeholder",
    ItemKind.AUTHORITY: "token.item.authority",
    ItemKind.CERTIFICATE_ALONE: "token.item.certificate-alone",
    ItemKind.PRIVATE_KEY_ALONE: "token.item.private-key-alone",
    ItemKind.PUBLIC_KEY_ALONE: "token.item.public-key-alone",
    ItemKind.DUPLICATE: "token.item.duplicate",
    ItemKind.DAMAGED: "token.item.damaged",
}
_HIDDEN: dict[str, TextKey] = {
    ObjectKind.CERTIFICATE: "token.item.certificate",
    ObjectKind.PUBLIC_KEY: "token.item.public-key",
    ObjectKind.PRIVATE_KEY: "token.item.private-key",
}
"""Where the PIN was not given."""


@dataclass(frozen=True, slots=True)
class Eyes:
    """Who looks, and when."""

    policy: Policy
    now: datetime


def token_record(facts: TokenFacts, kinds: Sequence[KeyKind], *, initialised: bool = True) -> TokenRecord:
    """What a token says of itself, and what is known of it."""
    traits = facts.traits
    known = [name for name in ("so_login_to_write", "fresh_session_after_removal") if getattr(traits, name)]
    return TokenRecord(
        reader=facts.reader,
        label=facts.label,
        serial=facts.serial,
        manufacturer=facts.manufacturer,
        model=facts.model,
        removable=facts.removable,
        initialised=initialised,
        pin=PinState(
            wanted=facts.needs_pin,
            set=facts.pin_set,
            few_tries=facts.pin_few_tries,
            last_try=facts.pin_last_try,
            locked=facts.pin_locked,
            to_be_changed=facts.pin_to_be_changed,
        ),
        key_kinds=tuple(kinds),
        key_ids=traits.key_ids,
        known=(*known, f"after_change={traits.after_change.value}"),
    )


def content_record(
    token: TokenRecord, room: Room, inventory: Inventory, eyes: Eyes, *, pin_given: bool
) -> ContentRecord:
    """What lies on a token."""
    if not pin_given:
        bare = tuple(_bare(each, inventory, eyes) for each in inventory.objects)
        return ContentRecord(token, room, pin_given=False, items=bare)
    debris = set(inventory.debris(eyes.now))
    items = (_item(each, debris, inventory, eyes) for each in inventory.items)
    return ContentRecord(token, room, pin_given=True, items=tuple(items))


def token_words(record: TokenRecord, texts: Texts) -> Iterator[str]:
    """The lines in which a teller reads what a token is."""
    yield texts("token.heading", label=literal(record.label) or "-", serial=literal(record.serial) or "-")
    if record.reader:
        yield "  " + texts("token.reader", reader=literal(record.reader))
    yield "  " + texts("token.model", model=literal(record.model), manufacturer=literal(record.manufacturer))
    if not record.initialised:
        yield "  " + texts("token.blank")
        return
    yield "  " + texts("token.pin", state=pin_words(record.pin, texts))
    kinds = texts("journal.and").join(each.upper() for each in record.key_kinds)
    yield "  " + (texts("token.kinds", kinds=kinds) if kinds else texts("token.no-kinds"))
    if record.key_ids:
        yield "  " + texts("token.places", ids=" ".join(record.key_ids))


def content_words(record: ContentRecord, texts: Texts) -> Iterator[str]:
    """The same, and a line or two for each thing that lies on it."""
    yield from token_words(record.token, texts)
    public, private = (
        texts("token.room-unknown") if each is None else str(each) for each in msgspec.structs.astuple(record.room)
    )
    yield "  " + texts("token.room", public=public, private=private)
    if not record.pin_given:
        yield "  " + texts("token.without-pin")
    if not record.items:
        yield "  " + texts("token.empty")
    for number, item in enumerate(record.items, start=1):
        yield from _item_words(number, item, texts)


def pin_words(pin: PinState, texts: Texts) -> str:
    """The worst of what the token says of its PIN."""
    if not pin.wanted:
        return texts("token.pin.not-wanted")
    if not pin.set:
        return texts("token.pin.not-set")
    worst = next((key for name, key in _PIN_WORDS if getattr(pin, name)), None)
    return texts(worst) if worst else texts("token.pin.set")


def _item_words(number: int, item: ItemRecord, texts: Texts) -> Iterator[str]:
    key = _ITEMS[ItemKind(item.kind)] if item.kind in set(ItemKind) else _HIDDEN[item.kind]
    yield f"  {number}. {texts(key)}" + (texts("token.debris") if item.debris else "")
    if item.certificate is not None:
        certificate = item.certificate
        whose = holder_words(Holder(literal(certificate.id), HolderKind(certificate.kind)), texts)
        until = f"{until_words(certificate.ends, texts)}　{days_words(certificate.days_left, texts)}"
        yield f"     {whose}　{literal(certificate.common_name)}　{until}"
        yield "     " + texts("token.serial-of", serial=certificate.serial)
    yield "     " + texts("token.object", id=item.key_id or "-", label=literal(item.label) or "-")


def _item(item: Item, debris: set[StoredObject], inventory: Inventory, eyes: Eyes) -> ItemRecord:
    return ItemRecord(
        kind=item.kind.value,
        ours=item.ours,
        key_id=item.key_id.hex(),
        label=item.objects[-1].label,
        objects=tuple(each.kind for each in item.objects),
        debris=debris.issuperset(item.objects),
        certificate=_certificate(item.certificate, inventory, eyes),
    )


def _bare(stored: StoredObject, inventory: Inventory, eyes: Eyes) -> ItemRecord:
    found = next((each.certificate for each in inventory.items if stored in each.objects), None)
    certificate = found if stored.kind is ObjectKind.CERTIFICATE else None
    return ItemRecord(
        kind=stored.kind.value,
        ours=False,
        key_id=stored.key_id.hex(),
        label=stored.label,
        objects=(stored.kind,),
        debris=False,
        certificate=_certificate(certificate, inventory, eyes),
    )


def _certificate(certificate: Certificate | None, inventory: Inventory, eyes: Eyes) -> CertificateRecord | None:
    if certificate is None:
        return None
    holder = inventory.rule.holder_of(certificate)
    return CertificateRecord(
        serial=certificate.serial,
        common_name=certificate.common_name,
        id=holder.id,
        kind=holder.kind.value,
        begins=certificate.not_before.astimezone(UTC),
        ends=certificate.not_after.astimezone(UTC),
        days_left=days_left(certificate.not_after, eyes.now, eyes.policy.time_zone),
    )
