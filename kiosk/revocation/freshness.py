"""Whether an answer or a list is of now, by the CA's time (design decision 12)."""

from __future__ import annotations

from datetime import datetime, timedelta

from kiosk.revocation.status import StatusFault, StatusNotTrusted

TOLERANCE = timedelta(seconds=60)
"""How far the clock of whoever answers may be from the CA's, which is the one that counts."""
LONGEST_WITHOUT_END = timedelta(days=1)
"""How old may be what does not say when something newer will be there."""


def check_times(source: str, begin: datetime, end: datetime | None, now: datetime) -> None:
    """Check thisUpdate and nextUpdate.

    Raises:
        StatusNotTrusted: it is of a time to come, or there should be a newer one.
    """
    if begin > now + TOLERANCE:
        raise StatusNotTrusted(source, StatusFault.NOT_YET)
    if (begin + LONGEST_WITHOUT_END if end is None else end) < now - TOLERANCE:
        raise StatusNotTrusted(source, StatusFault.STALE)
