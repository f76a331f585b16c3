"""Taking away what nobody needs any more. Nothing comes back from there, so each part is read again just before."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.credentials import Credential
from kiosk.errors import Code, KioskError
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.inventory import Inventory
from kiosk.tokens.token import Token
from kiosk.tokens.wire import FailureKind, ObjectKind, StoredObject


async def remove_credential(store: Token, old: Credential, *, key_has_gone: bool = False) -> None:
    """Remove private key, public key and certificate of `old`, in this order.

    A cut leaves a certificate without key, which is debris; never a key without certificate, which would look like an
    unfinished renewal. A key that another issuer has certified as well is not ours to remove.

    Args:
        store: Where it is.
        old: What nobody needs any more.
        key_has_gone: With another certificate of the same key, just before.

    Raises:
        KioskError: T-31, the store could not, or shows no private key: a card that another program has reset hides
            them, and what is hidden then would stay for ever.
    """
    try:
        inventory = await store.inventory()
        parts = inventory.parts_of(old)
        if key_has_gone or inventory.is_certified_elsewhere(old):
            parts = tuple(each for each in parts if each.kind is ObjectKind.CERTIFICATE)
        elif all(each.kind is not ObjectKind.PRIVATE_KEY for each in parts):
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
        inventory: Of the store as it is now, which knows what is ours (`Services.inventory_of`).
        new: The one that counts.

    Raises:
        TokenError, TokenHangs, TokenProcessDied
    """
    for each in inventory.credentials:
        same_key = each.certificate.public_key_der == new.certificate.public_key_der and each.key_id == new.key_id
        outdated = each.certificate.not_before <= new.certificate.not_before  # which is told in whole seconds
        another = each.certificate != new.certificate and inventory.is_ours_beside(each.certificate, new)
        if same_key and outdated and another:
            await remove_parts(store, [p for p in inventory.parts_of(each) if p.kind is ObjectKind.CERTIFICATE])


async def remove_all_of(store: Token, key_id: bytes) -> bool:
    """Remove everything that has this ID; answers whether nothing that the store shows is left.

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
                part = left.pop(0)
                if not await store.remove(part) and part.kind is ObjectKind.PRIVATE_KEY:
                    raise TokenError(FailureKind.NOT_FOUND, "a private key is not shown any more")
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
