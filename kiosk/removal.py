"""Taking away what nobody needs any more. Nothing comes back from there, so each part is read again just before."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.credentials import Credential
from kiosk.errors import Code, KioskError
from kiosk.services import Services
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.token import Token
from kiosk.tokens.wire import FailureKind, ObjectKind, StoredObject


async def remove_credential(store: Token, old: Credential, services: Services) -> None:
    """Remove private key, public key and certificate of `old`, in this order.

    A cut leaves a certificate without key, which is debris; never a key without certificate, which would look like an
    unfinished renewal. A key that another issuer has certified as well is not ours to remove.

    Raises:
        KioskError: T-31, the store could not, or shows no private key at all: a card that another program has reset
            hides them, and what is hidden then would stay for ever.
    """
    try:
        inventory = await services.inventory_of(store)
        if all(each.kind is not ObjectKind.PRIVATE_KEY for each in inventory.objects):
            raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, "no private key is shown")
        for part in inventory.removable_parts_of(old):
            if not await store.remove(part):
                raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, f"{part.kind} not found again")
    except (TokenError, TokenHangs, TokenProcessDied) as error:
        raise KioskError(Code.OLD_CREDENTIAL_NOT_REMOVED, str(error)) from error


async def remove_outdated_certificates(store: Token, new: Credential, services: Services) -> None:
    """Remove the certificates that our CA had issued for the key of `new` before: it has revoked them.

    Raises:
        TokenError, TokenHangs, TokenProcessDied
    """
    await remove_parts(store, (await services.inventory_of(store)).outdated_by(new))


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
