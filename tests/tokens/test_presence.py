"""News of cards wakes whoever looks at the slots; whatever becomes of the news, the looks go on."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path

import pytest

from kiosk.tokens.card_events import NO_LIBRARY, News
from kiosk.tokens.presence import NewsSource, Presence, Rhythm
from kiosk.tokens.process import ModuleSettings
from tests.bank import child_processes

NEVER = 100_000.0
"""Seconds that no test takes: whoever waits for so long is woken, or the test ends by its own limit."""
LIMIT = 30.0


RHYTHM = Rhythm(look=0.01, look_beside_news=NEVER, brisk=3.0, pause=0.01)

WITH_LIBRARY = pytest.mark.skipif(find_library("pcsclite") is None, reason="libpcsclite1 is not installed")


class Clock:
    """Goes on only when it is told to."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        return self._seconds

    def pass_by(self, seconds: float) -> None:
        self._seconds += seconds


class Tap:
    """A source of news into which a test lets what it likes."""

    def __init__(self, directory: Path) -> None:
        self._pipe = directory / "news"
        os.mkfifo(self._pipe)
        self.source = NewsSource(("cat", str(self._pipe)), dict(os.environ))
        self._writing = -1

    async def open(self) -> None:
        """Return once somebody listens."""
        self._writing = await asyncio.to_thread(os.open, self._pipe, os.O_WRONLY)

    def tell(self, *news: News) -> None:
        os.write(self._writing, b"".join(each.value for each in news))

    def close(self) -> None:
        """The program ends."""
        os.close(self._writing)


@asynccontextmanager
async def opened(
    source: NewsSource | None, rhythm: Rhythm, now: Callable[[], float] = time.monotonic
) -> AsyncIterator[Presence]:
    presence = Presence(source, rhythm, now)
    try:
        yield presence
    finally:
        await presence.close()


async def until(holds: Callable[[], bool]) -> None:
    """A state that comes by itself."""
    async with asyncio.timeout(LIMIT):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_news_brings_everybody_back_who_looks(tmp_path: Path) -> None:
    tap = Tap(tmp_path)
    async with opened(tap.source, Rhythm(look=NEVER)) as presence:
        looks = [asyncio.create_task(presence.pace().next_look()) for _ in range(2)]
        await tap.open()
        assert not any(each.done() for each in looks)
        tap.tell(News.CARD)
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*looks)
        tap.close()


async def test_news_that_comes_during_a_look_is_not_lost(tmp_path: Path) -> None:
    tap = Tap(tmp_path)
    async with opened(tap.source, Rhythm(look=NEVER)) as presence:
        looking, other = presence.pace(), presence.pace()
        await tap.open()
        tap.tell(News.CARD)
        async with asyncio.timeout(LIMIT):
            await other.next_look()
            await looking.next_look()
        again = asyncio.create_task(looking.next_look())
        await asyncio.sleep(0)
        assert not again.done(), "it was told once"
        again.cancel()
        tap.close()


async def test_without_news_the_clock_tells() -> None:
    async with opened(None, Rhythm(look=0.01)) as presence, asyncio.timeout(LIMIT):
        pace = presence.pace()
        for _ in range(3):
            await pace.next_look()


async def test_looks_slow_down_only_once_news_was_the_first_to_tell(tmp_path: Path) -> None:
    tap, clock = Tap(tmp_path), Clock()
    async with opened(tap.source, RHYTHM, clock) as presence:
        presence.pace()
        presence.saw([])
        await tap.open()
        tap.tell(News.HEARS)
        await until(lambda: presence.is_brisk)
        clock.pass_by(RHYTHM.brisk)
        assert presence.interval == RHYTHM.look, "a pcscd that has said nothing of this module's tokens"
        presence.saw(["one"])
        assert presence.interval == RHYTHM.look, "a token came without news"
        tap.tell(News.CARD)
        await until(lambda: presence.is_brisk)
        presence.saw([])
        assert presence.interval == RHYTHM.look, "a module may see it only some looks later"
        clock.pass_by(RHYTHM.brisk)
        assert presence.interval == RHYTHM.look_beside_news
        presence.saw(["two"])
        assert presence.interval == RHYTHM.look, "one came without news again"
        tap.close()


async def test_where_news_ends_looks_are_frequent_again_and_it_is_started_anew(tmp_path: Path) -> None:
    before = child_processes()
    tap, clock = Tap(tmp_path), Clock()
    async with opened(tap.source, RHYTHM, clock) as presence:
        presence.pace()
        for _ in range(2):
            await tap.open()
            presence.saw([])
            tap.tell(News.HEARS)
            await until(lambda: presence.is_brisk)
            presence.saw(["one"])
            clock.pass_by(RHYTHM.brisk)
            assert presence.interval == RHYTHM.look_beside_news
            tap.close()
            await until(lambda: presence.is_brisk)
            clock.pass_by(RHYTHM.brisk)
            assert presence.interval == RHYTHM.look
    assert child_processes() == before, "nobody is left, not even as a zombie"


async def test_news_that_cannot_be_had_is_not_asked_for_all_the_time() -> None:
    @dataclass(frozen=True)
    class Broken(NewsSource):
        starts: list[int]

        def start(self, channel: object) -> subprocess.Popen[bytes]:  # noqa: ARG002
            self.starts.append(1)
            raise OSError

    source = Broken((), {}, [])
    async with opened(source, Rhythm(look=0.001, pause=NEVER)) as presence, asyncio.timeout(LIMIT):
        pace = presence.pace()
        for _ in range(20):
            await pace.next_look()
    assert source.starts == [1]


def without_library(directory: Path) -> tuple[str, ...]:
    return (*NewsSource.pcscd(ModuleSettings("")).command, str(directory / "libpcsclite.so.1"))


def test_a_missing_library_is_told(tmp_path: Path) -> None:
    assert subprocess.run(without_library(tmp_path), capture_output=True, check=False).returncode == NO_LIBRARY


async def test_without_the_library_looks_go_by_the_clock(tmp_path: Path) -> None:
    command = without_library(tmp_path)
    source = NewsSource(command, dict(os.environ))
    before = child_processes()
    async with opened(source, Rhythm(look=0.01, look_beside_news=NEVER, pause=NEVER)) as presence:
        pace = presence.pace()
        await until(lambda: child_processes() > before)
        await until(lambda: child_processes() == before)
        async with asyncio.timeout(LIMIT):
            await pace.next_look()


@WITH_LIBRARY
async def test_a_pcscd_that_is_not_there_is_waited_for_in_peace(tmp_path: Path) -> None:
    source = NewsSource.pcscd(ModuleSettings("", environment={"PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")}))
    before = child_processes()
    async with opened(source, Rhythm(look=0.01, look_beside_news=NEVER)) as presence:
        pace = presence.pace()
        await until(lambda: child_processes() > before)
        (listener,) = child_processes() - before
        await until(lambda: _sleeps(listener))
        async with asyncio.timeout(LIMIT):
            await pace.next_look()
        assert presence.readers_changed == 0, "nothing is told of a pcscd that was never there"
    assert child_processes() == before


def _sleeps(process: int) -> bool:
    """Whether it waits, with everything loaded that it needs."""
    loaded = "libpcsclite" in Path(f"/proc/{process}/maps").read_text()
    return loaded and Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] == "S"


@WITH_LIBRARY
def test_who_hears_of_cards_ends_with_whoever_asked() -> None:
    code = (
        "import subprocess, time;"
        "from kiosk.tokens.presence import NewsSource;"
        "from kiosk.tokens.process import ModuleSettings;"
        "command = NewsSource.pcscd(ModuleSettings('')).command;"
        "print(subprocess.Popen(command, stdout=subprocess.DEVNULL).pid, flush=True);"
        "time.sleep(1000)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as asker:
        assert asker.stdout is not None
        listener = int(asker.stdout.readline())
        process = os.pidfd_open(listener)
        os.kill(asker.pid, signal.SIGKILL)
        assert select.select([process], [], [], LIMIT)[0]
        os.close(process)
