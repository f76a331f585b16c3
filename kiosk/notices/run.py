"""One run: everybody who is due is told, at most once.

A run goes through all that is due, and after a wait through what has failed for the moment, a few times. What is still
left then is left to the next run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from kiosk.ca.ledger import Ledger, LedgerAway
from kiosk.ca.schema import NoticeState
from kiosk.notices import records
from kiosk.notices.due import Due, Look, every_number
from kiosk.notices.message import NoAddress, compose
from kiosk.notices.post import (
    ConnectionLost,
    MailServerTrouble,
    MailServerUnusable,
    NotTaken,
    Objected,
    Post,
    TakenNever,
)
from kiosk.notices.records import Claim
from kiosk.notices.settings import NoticeSettings

Sleep = Callable[[float], Awaitable[None]]
"""Waits so many seconds."""
Tell = Callable[[Due, NoticeState, str], None]
"""Hears what became of each notice, and why."""

_LONGER = 4
"""Each wait is so many times the one before."""
_MOST_LOST = 3
"""After so many lost connections in a row the server is taken to be out of order."""
_WAITS_FOR_THE_LEDGER = (1, 4, 16)
"""Seconds between tries to record what has been sent."""
_LEASE = 3
"""A claim holds for so many times the time limit of a mail, and until that is on record with some to spare: nobody else
is to take what is still on its way."""


@dataclass
class Summary:
    """What a run has come to."""

    counts: Counter[NoticeState] = field(default_factory=Counter)
    """How many notices of each kind, by what became of them last."""
    trouble: str = ""
    """Why the run ended before its end."""

    @property
    def is_done(self) -> bool:
        """Whether nothing was left for the next run."""
        return not self.trouble and not self.counts[NoticeState.DEFERRED]


class Pace:
    """No more than so many mails a minute."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float], sleep: Sleep) -> None:
        self._gap = 60 / per_minute
        self._monotonic = monotonic
        self._sleep = sleep
        self._next = 0.0

    async def wait(self) -> None:
        """Wait until the next one may go."""
        now = self._monotonic()
        if self._next > now:
            await self._sleep(self._next - now)
        self._next = max(self._next, now) + self._gap


@dataclass
class Run:
    """A run over one ledger through one mail server."""

    book: Ledger
    settings: NoticeSettings
    post: Post
    tell: Tell
    monotonic: Callable[[], float]
    sleep: Sleep = asyncio.sleep

    def __post_init__(self) -> None:
        self.summary = Summary()
        self._pace = Pace(self.settings.smtp.per_minute, self.monotonic, self.sleep)
        self._lost = 0
        self._objected: set[int] = set()

    async def run(self) -> Summary:
        """Tell everybody who is due.

        Raises:
            NoticeSettingsError: a file that the settings name cannot be used.
            LedgerDamaged: the ledger cannot be used, or not at present; everything sent until then is recorded.
        """
        wait = self.settings.smtp.first_wait
        for number in range(self.settings.smtp.tries):
            if number:
                await self.sleep(wait)
                wait *= _LONGER
            self.summary.counts[NoticeState.DEFERRED] = len(self._objected)
            try:
                self.summary.trouble = ""
                await self._pass()
            except MailServerTrouble as error:
                self.summary.trouble = str(error)
                if isinstance(error, MailServerUnusable):
                    break
            if not self.summary.trouble and self.summary.counts[NoticeState.DEFERRED] == len(self._objected):
                break
        return self.summary

    async def _pass(self) -> None:
        """Everything that is due, once."""
        self._lost = 0
        now = await asyncio.to_thread(self.book.now)
        pages = every_number(self.book, Look(self.settings.days, now))
        while page := await asyncio.to_thread(next, pages, None):
            for row in page:
                if row.id in self._objected:
                    continue
                await self._deal_with(row.id, is_reachable=row.is_reachable)

    async def _deal_with(self, number: int, *, is_reachable: bool) -> None:
        if is_reachable:
            await self._pace.wait()
            await self.post.connect()
        claimed = await asyncio.to_thread(self._claim, number)
        if claimed is None:
            return
        if claimed.lease is None:
            self._count(claimed.due, NoticeState.UNREACHABLE, "the holder has no address")
        else:
            await self._send(claimed)

    def _claim(self, number: int) -> Claim | None:
        span = timedelta(seconds=_LEASE * self.settings.smtp.time_limit + 2 * sum(_WAITS_FOR_THE_LEDGER))
        with self.book.begin() as connection:
            look = Look(self.settings.days, self.book.now(connection))
            return records.claim(connection, number, self.settings.mailbox.domain, look, span)

    async def _send(self, claimed: Claim) -> None:
        try:
            await self.post.send(compose(claimed.due.notice, self.settings, claimed.at))
        except (NoAddress, TakenNever) as error:
            await self._failed(claimed, NoticeState.REFUSED, str(error))
        except ConnectionLost as error:
            await self._failed(claimed, NoticeState.DEFERRED, str(error))
            self._lost += 1
            if self._lost >= _MOST_LOST:
                raise MailServerTrouble(str(error)) from error
            return
        except Objected as error:
            await self._objected_to(claimed, str(error))
        except NotTaken as error:
            await self._failed(claimed, NoticeState.DEFERRED, str(error))
        except MailServerUnusable as error:
            await self._failed(claimed, NoticeState.DEFERRED, str(error))
            raise
        else:
            await self._sent(claimed)
        self._lost = 0

    async def _sent(self, claimed: Claim) -> None:
        """Record it, and do not give up at once: what is not on record goes out again."""

        def mark() -> None:
            with self.book.begin() as connection:
                records.mark_sent(connection, claimed, self.book.now(connection))

        for wait in _WAITS_FOR_THE_LEDGER:
            try:
                await asyncio.to_thread(mark)
                break
            except LedgerAway:
                await self.sleep(wait)
        else:
            await asyncio.to_thread(mark)
        self._count(claimed.due, NoticeState.SENT, "")

    async def _failed(self, claimed: Claim, state: NoticeState, error: str) -> None:
        def mark() -> None:
            with self.book.begin() as connection:
                records.mark_failed(connection, claimed, state, error, self.book.now(connection))

        await asyncio.to_thread(mark)
        self._count(claimed.due, state, error)

    async def _objected_to(self, claimed: Claim, error: str) -> None:
        """Leave it to the next run: in this one the server would say the same."""

        def is_for_the_address() -> bool:
            with self.book.read() as connection:
                return records.is_for_the_address(connection, claimed)

        if await asyncio.to_thread(is_for_the_address):
            await self._failed(claimed, NoticeState.REFUSED, error)
        else:
            self._objected.add(claimed.due.id)
            await self._failed(claimed, NoticeState.DEFERRED, error)

    def _count(self, due: Due, state: NoticeState, why: str) -> None:
        self.summary.counts[state] += 1
        self.tell(due, state, why)
