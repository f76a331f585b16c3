"""Taking away what nobody needs any more. Nothing comes back from there, so each part is read again just before."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.credentials import Credential
from kiosk.errors import Code, KioskError
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.token import Token
from kiosk.tokens.wire import ObjectKind, StoredObject


async def remove_credential(store: Token, old: Credential) -> None:
    """Remove private key, public key and certificate of `old`, in this order.

    A cut leaves a certificate without key, which is debris; never a key without certificate, which would look like an
    unfinished renewal.

    Raises:
        KioskError: T-31, the store could not, or shows no private key: a card that another program has reset hides
            them, and what is hidden then would stay for ever.
    """
    try:
        parts = (await store.inventory()).parts_of(old)
        if all(each.kind is not ObjectKind.PRIVATE_KEY for each in parts):
            raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, "its private key is not shown")
        for part in parts:
            if not await store.remove(part):
                raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, f"{part.kind} not found again")
    except (TokenError, TokenHangs, TokenProcessDied) as error:
        raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, str(error)) from error


async def remove_outdated_certificates(store: Token, inventory: Inventory, new: Credential) -> None:
    """Remove the certificates that our CA had issued for the key of `new` before: it has revoked them.

    Args:
        store: Where they are.
        inventory: Of the store as it is now, with what is not ours left out (`Services.inventory_of`).
        new: The one that counts.

    Raises:
        TokenError, TokenHangs, TokenProcessDied
    """
    for each in inventory.credentials:
        same_key = each.certificate.public_key_der == new.certificate.public_key_der and each.key_id == new.key_id
        outdated = each.certificate.not_before <= new.certificate.not_before  # which is told in whole seconds
        if same_key and outdated and each.certificate != new.certificate:
            await remove_parts(store, [p for p in inventory.parts_of(each) if p.kind is ObjectKind.CERTIFICATE])


async def remove_all_of(store: Token, key_id: bytes) -> bool:
    """Remove everything that has this ID; answers whether nothing is left.

    Raises:
        TokenError, TokenHangs, TokenProcessDied
    """
    await remove_parts(store, [each for each in (await store.inventory()).objects if each.key_id == key_id])
    return not any(each.key_id == key_id for each in (await store.inventory()).objects)


async def remove_debris(store: Token, parts: Sequence[StoredObject]) -> None:
    """As `remove_parts`; a module that dies or hangs of one is replaced, and the rest goes all the same.

    What a cut has torn can kill: OpenSC 0.23 crashes on an object that a card lists and whose file is gone.

    Raises:
        TokenError, TokenHangs, TokenProcessDied: one of them was not removed; after the last two the store can be asked
            again, unless its PIN is typed at a reader.
    """
    left = list(parts)
    try:
        async with store.understudied():
            while left:
                await store.remove(left.pop(0))
    except (TokenHangs, TokenProcessDied):
        if 0 < len(left) < len(parts):
            await remove_debris(store, left)
        raise


async def remove_parts(store: Token, parts: Sequence[StoredObject]) -> None:
    """Remove exactly these; what is not there any more is passed over.

    Raises:
        TokenError, TokenHangs, TokenProcessDied
    """
    for each in parts:
        await store.remove(each)
