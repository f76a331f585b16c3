"""What earlier visits have left, as the store itself tells it: no kiosk remembers anything (design decision 7).

Three acts follow. A renewal or 電子証明書取得 that has not come to its end is gone on with: the CA is asked again, what
comes is written, proven and confirmed. Of one that the CA has confirmed only the old credential goes. Anything else of
ours is debris, and is removed with the customer's yes. Here it is only told which of them it is; `kiosk.renewal` and
`kiosk.enrolment` act.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kiosk.credentials import Credential, enrolment_key_id
from kiosk.tokens.inventory import PENDING_LABEL, Inventory, ItemKind
from kiosk.tokens.wire import StoredObject


@dataclass(frozen=True, slots=True)
class UnfinishedRenewal:
    """A renewal of `old` has made its key, and `old` is still there.

    Whether the CA has certified the key, waits for its confirmation, has it already, or has given it up, only the CA
    knows; it answers each of them when it is asked (`kiosk.ca.succession`).
    """

    old: Credential
    successor: Credential | None = None
    """Where its certificate has been written; of several the newest, which is the one that the CA has issued last."""
    is_certain: bool = True
    """False where the key may be one of 電子証明書取得 as well: on a card with places no ID tells which."""


@dataclass(frozen=True, slots=True)
class UnfinishedElsewhere:
    """A successor that, as far as the store knows, nobody has confirmed, and whose predecessor is in another store."""

    successor: Credential


@dataclass(frozen=True, slots=True)
class UnfinishedEnrolment:
    """電子証明書取得 has written this one; of the CA's acknowledgement the token knows nothing."""

    credential: Credential


Pending = UnfinishedRenewal | UnfinishedElsewhere | UnfinishedEnrolment


def what_is_pending(inventory: Inventory, credential: Credential) -> Pending | None:
    """What has to come to its end before anything else is done for the holder of `credential`; None where nothing has.

    Args:
        inventory: Of the store, without what others have issued (`Inventory.trusted_or_begun`).
        credential: The one that the holder logs in with (`Inventory.current`).
    """
    if inventory.is_unfinished_enrolment(credential):
        return UnfinishedEnrolment(credential)
    if inventory.has_successor_key(credential):
        return renewal_in(inventory, credential)
    before = inventory.predecessor(credential)
    if before is not None:  # it has ended meanwhile: otherwise the holder would log in with it
        return renewal_in(inventory, before)
    labels = {each.label for each in inventory.certificates_of(credential)}
    if PENDING_LABEL in labels and _is(ItemKind.PENDING_CREDENTIAL, inventory, credential):
        return UnfinishedElsewhere(credential)
    return None


def renewal_in(inventory: Inventory, old: Credential) -> UnfinishedRenewal:
    """The renewal of `old` that has made its key in this store, where `old` itself need not be."""
    wanted = inventory.successor_id(old)
    written = [each for each in inventory.credentials if each.key_id == wanted]
    newest = max(written, key=lambda each: (each.certificate.not_before, each.certificate.not_after), default=None)
    return UnfinishedRenewal(old, newest, is_certain=newest is not None or not inventory.slots)


def left_over(inventory: Inventory, now: datetime, *, keeps_expired: bool) -> tuple[StoredObject, ...]:
    """What is ours and of no use to anybody, in the order in which it can be removed: the debris of cut visits.

    It is what `Inventory.debris` finds, and expired credentials that 電子証明書取得 has replaced and was cut before it
    could remove them. Nothing of a renewal or 電子証明書取得 that can still be gone on with is among it.

    Args:
        inventory: Of the store, with what is not ours left out.
        now: By which it is told what has expired.
        keeps_expired: The bank's policy keeps expired credentials.
    """
    replaced = () if keeps_expired else _replaced(inventory, now)
    parts = [part for each in replaced for part in inventory.removable_parts_of(each)]
    return tuple(dict.fromkeys([*parts, *inventory.debris(now)]))


def _replaced(inventory: Inventory, now: datetime) -> list[Credential]:
    """Expired credentials of holders who have come by another one by 電子証明書取得."""
    replaced: list[Credential] = []
    for holder_id in {each.holder.id for each in inventory.credentials}:
        finished = [each for each in inventory.of_holder(holder_id) if each.certificate.not_after >= now]
        expired = inventory.expired(holder_id, now)
        given = {enrolment_key_id(holder_id, each.certificate) for each in expired}
        if any(each.key_id in given or _is_by_code_in_place(inventory, each) for each in finished):
            replaced += expired
    return replaced


def _is_by_code_in_place(inventory: Inventory, credential: Credential) -> bool:
    """Whether it has come by 電子証明書取得 onto a card with places: it was issued after all before it had ended."""
    return credential.key_id in inventory.slots and inventory.predecessor(credential) is None


def _is(kind: ItemKind, inventory: Inventory, credential: Credential) -> bool:
    return any(each.kind is kind and each.certificate == credential.certificate for each in inventory.items)
