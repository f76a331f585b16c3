"""How often somebody may try a one-time code: counted before the MAC is computed, so that no crash gives a try back.

References that nobody has are counted like those that somebody has: who is known here cannot be found out by trying.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, case, delete, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from kiosk.ca.database import is_postgres
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import TRIES, Moment
from kiosk.cmp.vocabulary import FailInfo


def count(connection: Connection, reference: bytes, policy: Policy, now: datetime) -> None:
    """Count one try as failed; `forgive` takes it back. The last one that is allowed begins the pause.

    Raises:
        Refusal: the reference pauses; nothing was counted.
    """
    _forget_old(connection, policy, now)
    # One statement, so that of many who try at once each counts. A pause that is over begins the count anew.
    failures = case((TRIES.c.paused_until.is_not(None), 1), else_=TRIES.c.failures + 1)
    end = literal(now + policy.pause, Moment)
    row = {"reference": reference, "failures": 1, "paused_until": end if policy.most_tries == 1 else None}
    entered = postgresql.insert(TRIES) if is_postgres(connection) else sqlite.insert(TRIES)
    counted = entered.values(**row, tried_at=now).on_conflict_do_update(
        index_elements=[TRIES.c.reference],
        set_={"failures": failures, "paused_until": case((failures >= policy.most_tries, end)), "tried_at": now},
        where=or_(TRIES.c.paused_until.is_(None), TRIES.c.paused_until <= now),
    )
    if connection.execute(counted.returning(TRIES.c.failures)).one_or_none() is None:
        minutes = int(policy.pause.total_seconds() // 60)
        raise Refusal(FailInfo.SYSTEM_UNAVAIL, f"too many failed tries: this reference pauses for {minutes} minutes")


def forgive(connection: Connection, reference: bytes) -> None:
    """A good MAC: take back its own try, and no other, since it may be a recording that somebody sends again."""
    mine = TRIES.c.reference == reference
    change = TRIES.update().where(mine).values(failures=TRIES.c.failures - 1, paused_until=None)
    connection.execute(change)
    connection.execute(delete(TRIES).where(mine, TRIES.c.failures <= 0))


def forget(connection: Connection, reference: bytes) -> None:
    """Its code has been used: what was tried before has been in vain."""
    connection.execute(delete(TRIES).where(TRIES.c.reference == reference))


def _forget_old(connection: Connection, policy: Policy, now: datetime) -> None:
    """What has been counted for nobody in particular does not stay: a day after the last try it is forgotten.

    Sooner where so many others have been tried since that they would fill the disk. Whether somebody has the reference
    makes no difference, and no pause ends sooner.
    """
    over = or_(TRIES.c.paused_until.is_(None), TRIES.c.paused_until < now)
    newest_first = select(TRIES.c.tried_at).order_by(TRIES.c.tried_at.desc())
    too_many = newest_first.offset(policy.most_references).limit(1).scalar_subquery()
    old = or_(TRIES.c.tried_at < now - policy.tries_kept, TRIES.c.tried_at <= too_many)
    # But for those that somebody counts just now: two who forget must not wait for each other.
    forgotten = select(TRIES.c.reference).where(old, over).with_for_update(skip_locked=True)
    connection.execute(delete(TRIES).where(TRIES.c.reference.in_(forgotten)))
