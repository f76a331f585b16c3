"""係員を呼ぶ: into the journal, and to whoever the branch has named."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx

from kiosk.clock import Clock
from kiosk.errors import KioskError
from kiosk.journal import Event, Journal, VisitRecord

TIME_LIMIT = 5.0
"""Seconds from the first byte to the answer; a customer has been told meanwhile that somebody comes."""


class StaffCalls:
    """Tells the staff that a customer waits. Whatever fails is noted and never shown."""

    def __init__(self, http: httpx.AsyncClient, url: str, kiosk: str, journal: Journal, clock: Clock) -> None:
        """Post to `url`, nowhere where it is empty; `kiosk` tells where the customer stands."""
        self._http = http
        self._url = url
        self._kiosk = kiosk
        self._journal = journal
        self._clock = clock

    async def call(self, code: str) -> None:
        """Call somebody; `code` is the problem the customer looks at, empty where there is none."""
        record = self._journal.begin_visit("")
        await _note(record, Event.STAFF_CALLED, code)
        if not self._url:
            return
        message = {"kiosk": self._kiosk, "code": code, "time": self._clock().isoformat(timespec="seconds")}
        try:
            async with asyncio.timeout(TIME_LIMIT), self._http.stream("POST", self._url, json=message) as response:
                response.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            await _note(record, Event.STAFF_NOT_REACHED, code, type(error).__name__)


async def _note(record: VisitRecord, event: Event, code: str, detail: str = "") -> None:
    with suppress(KioskError):  # a journal that cannot be written is told elsewhere
        await record.note(event, code=code, detail=detail)
