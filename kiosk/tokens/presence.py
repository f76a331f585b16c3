"""When it is worth looking at the slots again: at news of a card where there is a pcscd, by the clock otherwise.

News only wakes whoever looks; what is in, the module tells (field notes §2). Nobody is sure that a module's tokens are
cards of pcscd: some modules talk to the USB by themselves, and a software token has no reader. So looks by the clock
slow down only once news was the first to tell of a change in the slots, and are as frequent as before as soon as a
change was found without any.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from kiosk.tokens.card_events import News
from kiosk.tokens.process import ModuleSettings, environment_of

LOOK_EVERY = 0.5
"""Seconds between two looks at the slots where nothing else tells of a token."""

_END_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often to look, in seconds."""

    look: float = LOOK_EVERY
    look_beside_news: float = 5.0
    """Where news has proven to tell of them: news can be lost, and each look makes a module talk to its card."""
    brisk: float = 3.0
    """How long looks stay frequent after news: a module may see a new reader only when it is initialised anew, which is
    done every two seconds while there is nothing in (`Cryptoki.find_tokens`)."""
    pause: float = 5.0
    """Until a source of news that has ended is started again; it doubles each time nothing came of that."""
    longest_pause: float = 600.0


@dataclass(frozen=True, slots=True)
class NewsSource:
    """The program that tells of cards, on its standard output, one byte of `News` after another."""

    command: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def pcscd(cls, settings: ModuleSettings) -> NewsSource:
        """The pcscd that the module of these settings would find."""
        command = (sys.executable, "-I", "-m", "kiosk.tokens.card_events", str(os.getpid()))
        return cls(command, environment_of(settings))

    def start(self, channel: socket.socket) -> subprocess.Popen[bytes]:
        """Start the program with `channel` as its output, which is closed here.

        Raises:
            OSError: it cannot be started.
        """
        with channel:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=channel.fileno(),
                stderr=subprocess.DEVNULL,
                env=self.environment,
            )


class Presence:
    """Paces everybody who looks at the slots. Listens from the first `pace` to `close`."""

    def __init__(
        self,
        source: NewsSource | None = None,
        rhythm: Rhythm | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen to `source`, or to nobody; `now` tells the time in seconds."""
        self._now = now
        self.rhythm = rhythm or Rhythm()
        self.readers_changed = 0
        """How often readers have come or gone, or pcscd has; a module may not find its way after that."""
        self._source = source
        self._listening: asyncio.Task[None] | None = None
        self._news = 0
        self._told = asyncio.Event()
        self._brisk_until = -math.inf
        self._hears = False
        self._proven = False
        self._slots: frozenset[str] | None = None

    def pace(self) -> Pace:
        """For one looker, who is about to look for the first time."""
        if self._source and self._listening is None:
            self._listening = asyncio.create_task(self._listen(self._source), name="card events")
        return Pace(self, self._news)

    def saw(self, tokens: Iterable[str]) -> None:
        """Told what somebody has found in the slots, to learn whether news can be relied on."""
        slots = frozenset(tokens)
        if self._slots is not None and slots != self._slots:
            self._proven = self.is_brisk
        self._slots = slots

    async def close(self) -> None:
        """Stop listening; its process is gone when this returns."""
        if self._listening:
            listening, self._listening = self._listening, None
            listening.cancel()
            await asyncio.wait([listening])

    async def news_after(self, count: int, seconds: float | None = None) -> int:
        """Wait for more than `count` pieces of news, or until it is time to look; how many there have been by now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.interval if seconds is None else seconds):
                while self._news == count:
                    await self._told.wait()
        return self._news

    @property
    def interval(self) -> float:
        """Seconds until the next look, as it stands now."""
        relies = self._hears and self._proven and not self.is_brisk
        return self.rhythm.look_beside_news if relies else self.rhythm.look

    @property
    def is_brisk(self) -> bool:
        """Whether there was news just now."""
        return self._now() < self._brisk_until

    async def _listen(self, source: NewsSource) -> None:
        pause = self.rhythm.pause
        while True:
            heard = await self._hear(source)
            pause = self.rhythm.pause if heard else min(2 * pause, self.rhythm.longest_pause)
            await asyncio.sleep(pause)

    async def _hear(self, source: NewsSource) -> bool:
        """Hear one process of `source` out; whether it has ever told of cards."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:
            try:
                process = source.start(theirs)
            except OSError:
                return False
            try:
                return await self._hear_out(ours)
            finally:
                process.kill()
                with suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(process.wait, _END_SECONDS)

    async def _hear_out(self, channel: socket.socket) -> bool:
        heard = False
        try:
            while told := await asyncio.get_running_loop().sock_recv(channel, 1):
                self._take(News(told))
                heard = heard or self._hears
        finally:
            if self._hears:
                self._take(News.DEAF)
        return heard

    def _take(self, news: News) -> None:
        if news is not News.CARD:
            self.readers_changed += 1
        if news in (News.HEARS, News.DEAF):
            self._hears = news is News.HEARS
        self._brisk_until = self._now() + self.rhythm.brisk
        self._news += 1
        told, self._told = self._told, asyncio.Event()
        told.set()


class Pace:
    """One looker's: news that comes while it looks brings it back at once."""

    def __init__(self, presence: Presence, news: int) -> None:
        """Use `Presence.pace`."""
        self._presence = presence
        self._known = news

    async def next_look(self, seconds: float | None = None) -> None:
        """Return when it is time for the next look: at news, or after `seconds`, by default as often as is needed."""
        self._known = await self._presence.news_after(self._known, seconds)
