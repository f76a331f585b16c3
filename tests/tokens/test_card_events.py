"""What the process that hears of cards says, of readers that come and go, and of a real pcscd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.tokens.card_events import News, PcscFault, listen
from kiosk.tokens.presence import NewsSource, Rhythm
from kiosk.tokens.process import ModuleSettings
from tests.bank import child_processes
from tests.tokens.pcsc import PcscDaemon, why_not
from tests.tokens.test_presence import LIMIT, NEVER, opened, until

PRESENT, EMPTY = 0x20, 0x10
NEW_READER = rb"\\?PnP?\Notification"


class ScriptedReaders:
    """A pcscd in which one thing after another happens; then it is gone."""

    def __init__(self, *states: dict[bytes, int]) -> None:
        self._left = list(states)
        self._now: dict[bytes, int] = self._left.pop(0)
        self.asked: list[dict[bytes, int]] = []

    def readers(self) -> tuple[bytes, ...]:
        return tuple(self._now)

    def next_states(self, known: dict[bytes, int]) -> dict[bytes, int]:
        self.asked.append(known)
        if all(known.get(name) == state for name, state in self._now.items()):
            if not self._left:
                raise PcscFault
            self._now = self._left.pop(0)
        return {name: self._now.get(name, 0) for name in known}


def heard(pcscd: ScriptedReaders) -> list[News]:
    told: list[News] = []
    rests: list[float] = []
    with pytest.raises(PcscFault):
        listen(pcscd, told.append, rests.append)
    assert len(rests) == len(told) - 1, "a rest after each piece of news"
    return told


def test_a_card_comes_and_goes() -> None:
    pcscd = ScriptedReaders({b"one": EMPTY}, {b"one": PRESENT}, {b"one": EMPTY})
    assert heard(pcscd) == [News.HEARS, News.CARD, News.CARD]


def test_a_usb_with_a_reader_of_its_own_comes_and_goes() -> None:
    """Before, there is no reader at all."""
    pcscd = ScriptedReaders({}, {b"usb": PRESENT}, {})
    assert heard(pcscd)[:2] == [News.HEARS, News.READER]
    assert all(NEW_READER in each for each in pcscd.asked), "new readers are asked for every time"


def test_a_hub_with_two_readers_is_unplugged() -> None:
    pcscd = ScriptedReaders({b"one": EMPTY, b"two": PRESENT}, {}, {b"one": EMPTY, b"two": EMPTY})
    told = heard(pcscd)
    assert told[:2] == [News.HEARS, News.READER]
    assert News.READER in told[2:]
    assert set(pcscd.asked[-1]) == {b"one", b"two", NEW_READER}


@pytest.fixture
def pcscd(tmp_path: Path) -> Iterator[PcscDaemon]:
    missing = why_not()
    if missing:
        pytest.skip(missing)
    daemon = PcscDaemon(tmp_path / "pcscd")
    yield daemon
    daemon.kill()


def source_of(pcscd: PcscDaemon) -> NewsSource:
    return NewsSource.pcscd(ModuleSettings("", environment=pcscd.environment))


async def woken(looking: asyncio.Task[None]) -> None:
    async with asyncio.timeout(LIMIT):
        await looking


@pytest.mark.tokens
async def test_insertion_and_removal_wake_whoever_looks(pcscd: PcscDaemon) -> None:
    pcscd.start()
    async with opened(source_of(pcscd), Rhythm(look=NEVER, look_beside_news=NEVER)) as presence:
        pace = presence.pace()
        await until(lambda: presence.readers_changed == 1)
        await pace.next_look()
        for _ in range(5):
            for change in (pcscd.put_card_in, pcscd.take_card_out):
                looking = asyncio.create_task(pace.next_look())
                await asyncio.to_thread(change)
                await woken(looking)
        assert presence.readers_changed == 1


@pytest.mark.tokens
async def test_nothing_is_done_while_nothing_changes(pcscd: PcscDaemon) -> None:
    pcscd.start()
    await asyncio.to_thread(pcscd.put_card_in)
    before = child_processes()
    async with opened(source_of(pcscd), Rhythm(look=NEVER)) as presence:
        presence.pace()
        await until(lambda: presence.readers_changed == 1)
        (listener,) = child_processes() - before
        await calmed_down(listener)


@pytest.mark.tokens
async def test_pcscd_goes_and_comes_back(pcscd: PcscDaemon) -> None:
    before = child_processes()
    async with opened(source_of(pcscd), Rhythm(look=NEVER)) as presence:
        pace = presence.pace()
        await until(lambda: len(child_processes() - before) == 1)
        (listener,) = child_processes() - before
        for times in (1, 3):
            looking = asyncio.create_task(pace.next_look())
            pcscd.start()
            await woken(looking)
            assert presence.readers_changed == times
            looking = asyncio.create_task(pace.next_look())
            await asyncio.to_thread(pcscd.put_card_in)
            await woken(looking)
            looking = asyncio.create_task(pace.next_look())
            await asyncio.to_thread(pcscd.kill)
            await woken(looking)
            await until(lambda at_least=times: presence.readers_changed == at_least + 1)  # type: ignore[misc]
            await pace.next_look(0)
        assert child_processes() == before | {listener}, "the same process has waited for it"
    assert child_processes() == before


async def calmed_down(process: int) -> None:
    """Return once it has not run at all for a while; whoever asks again and again never gets there."""
    async with asyncio.timeout(LIMIT):
        before = ""
        while before != (now := times_run(process)):
            before = now
            await asyncio.sleep(2.0)


def times_run(process: int) -> str:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("voluntary_ctxt_switches"))
