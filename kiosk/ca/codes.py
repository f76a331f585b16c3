"""One-time codes: with one of them a holder gets a certificate without having one (電子証明書取得)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select

from kiosk import one_time_code
from kiosk.ca import tries
from kiosk.ca.ledger import lock_holder
from kiosk.ca.schema import CODES, CodeState
from kiosk.ca.vault import Vault
from kiosk.cmp.randomness import RandomBytes
from kiosk.one_time_code import OneTimeCode


@dataclass(frozen=True, slots=True)
class Code:
    """An open code of the ledger, with the secret that it is."""

    id: int
    holder: str
    expires_at: datetime
    secret: bytes = field(repr=False)


def make(
    connection: Connection, vault: Vault, holder: str, life: timedelta, random: RandomBytes, now: datetime
) -> tuple[OneTimeCode, int | None]:
    """A new code for a known holder; answers with it, and with the number of the one that it replaces, if any."""
    lock_holder(connection, holder)
    replaced = _replace_open(connection, holder, now)
    code = one_time_code.make(random)
    row = {
        "holder": holder,
        "state": CodeState.OPEN,
        "sealed": vault.seal(code.secret, holder, random),
        "expires_at": now + life,
        "made_at": now,
        "changed_at": now,
    }
    connection.execute(insert(CODES).values(row))
    return code, replaced


def find_open(connection: Connection, vault: Vault, holder: str) -> Code | None:
    """The code of this holder that has neither been used nor replaced; it may have expired.

    Raises:
        VaultDamaged: it cannot be decrypted.
    """
    wanted = select(CODES).where(CODES.c.holder == holder, CODES.c.state == CodeState.OPEN)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else Code(row.id, row.holder, row.expires_at, vault.open(row.sealed, row.holder))


def is_open(connection: Connection, number: int) -> bool:
    """Whether it still is: between the check of a MAC and the answer a teller may have replaced it."""
    wanted = select(CODES.c.id).where(CODES.c.id == number, CODES.c.state == CodeState.OPEN)
    return connection.execute(wanted).one_or_none() is not None


def use_up(connection: Connection, number: int, now: datetime) -> bool:
    """Mark a code as used, and forget what was tried in vain before; answers whether it was open."""
    if not _move(connection, number, CodeState.USED, now):
        return False
    holder: str = connection.execute(select(CODES.c.holder).where(CODES.c.id == number)).scalar_one()
    tries.forget(connection, holder.encode())
    return True


def _replace_open(connection: Connection, holder: str, now: datetime) -> int | None:
    wanted = select(CODES.c.id).where(CODES.c.holder == holder, CODES.c.state == CodeState.OPEN)
    number: int | None = connection.execute(wanted).scalar_one_or_none()
    if number is not None:
        _move(connection, number, CodeState.REPLACED, now)
    return number


def _move(connection: Connection, number: int, state: CodeState, now: datetime) -> bool:
    """Out of `open`; what is no longer good is not kept either."""
    still_open = (CODES.c.id == number, CODES.c.state == CodeState.OPEN)
    change = CODES.update().where(*still_open).values(state=state, sealed=b"", changed_at=now)
    return connection.execute(change).rowcount == 1
