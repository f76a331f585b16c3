"""What a renewal and an enrolment judge alike before a key is made, and after a request has failed."""

from __future__ import annotations

from datetime import timedelta

from kiosk.cmp.errors import CmpError, Refused, TransferError
from kiosk.errors import Code, KioskError
from kiosk.journal import Event, VisitRecord
from kiosk.tokens.wire import KeyKind

CLOCK_NOTED = timedelta(seconds=60)
"""How far the kiosk's clock may be from the CA's before the staff is told (design decision 12)."""
CLOCK_REFUSED = timedelta(minutes=5)
"""How far before no key is made."""


async def compare_clocks(offset: timedelta, record: VisitRecord) -> None:
    """Note or refuse a clock that is `offset` away from the CA's.

    Raises:
        KioskError: K-01, it is too far away.
    """
    if offset > CLOCK_REFUSED:
        raise KioskError(Code.CLOCK_WRONG, f"{offset.total_seconds():.0f} s")
    if offset > CLOCK_NOTED:
        await record.note(Event.CLOCK_OFF, detail=f"{offset.total_seconds():.0f} s")


def preferred_kind(wanted: tuple[KeyKind, ...], of_token: list[KeyKind], of_ca: frozenset[str]) -> KeyKind:
    """The first of `wanted` that the token can make and the CA takes; `of_ca` is empty where it does not say.

    Raises:
        KioskError: T-24, there is none.
    """
    kind = next((each for each in wanted if each in of_token and (not of_ca or each in of_ca)), None)
    if kind is None:
        raise KioskError(Code.NO_SUITABLE_KEY_KIND)
    return KeyKind(kind)


def nothing_came_of_it(error: CmpError) -> bool:
    """Whether the CA certainly has no row for the request that failed so."""
    match error:
        case TransferError():
            return not error.may_have_arrived
        case Refused():
            return error.proven and error.decided
        case _:
            return False
