"""What counts as silence, and what only looks like it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from kiosk.heartbeat import Silence, beat_for_ever

FIRST_SIGN, TOO_LONG = 120.0, 30.0


class Watch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Heard:
    """A pipe between somebody who beats and somebody who looks."""

    def __init__(self, process: int) -> None:
        self.read, self.write = os.pipe()
        os.set_blocking(self.read, False)
        self.watch = Watch()
        self.silence = Silence(self.read, process, FIRST_SIGN, TOO_LONG, self.watch)

    def beat(self) -> None:
        os.write(self.write, b".")

    def look_after(self, seconds: float) -> bool:
        self.watch.now += seconds
        return self.silence.is_too_long()

    def looks_until_too_long(self) -> int:
        return next(count for count in range(1, 1000) if self.look_after(self.silence.look_every))

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Of this very process, which runs."""
    heard = Heard(os.getpid())
    yield heard
    heard.close()


def test_silence_is_too_long_after_its_time(heard: Heard) -> None:
    assert heard.looks_until_too_long() * heard.silence.look_every == FIRST_SIGN
    heard.beat()
    assert not heard.look_after(heard.silence.look_every)
    assert heard.looks_until_too_long() * heard.silence.look_every == TOO_LONG
    assert heard.silence.seconds == TOO_LONG


def test_one_beat_ends_a_silence(heard: Heard) -> None:
    heard.beat()
    for _ in range(100):
        heard.look_after(heard.silence.look_every)
        if heard.silence.seconds > TOO_LONG / 2:
            heard.beat()
        assert heard.silence.seconds < TOO_LONG


def test_a_look_that_comes_late_counts_as_one(heard: Heard) -> None:
    """Whoever looks has been stopped, with the one that is silent or alone."""
    heard.beat()
    heard.look_after(1.0)
    assert not heard.look_after(24 * 3600.0)
    assert heard.silence.seconds == heard.silence.look_every


def test_looks_that_come_early_count_for_what_has_passed(heard: Heard) -> None:
    heard.beat()
    heard.look_after(0.0)
    assert not any(heard.look_after(0.01) for _ in range(1000))
    assert heard.silence.seconds == pytest.approx(10.0)


def test_a_process_that_is_stopped_is_not_silent() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    heard = Heard(process.pid)
    try:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert not any(heard.look_after(heard.silence.look_every) for _ in range(100))
        process.send_signal(signal.SIGCONT)
        os.waitid(os.P_PID, process.pid, os.WCONTINUED)
        assert heard.looks_until_too_long() * heard.silence.look_every == FIRST_SIGN
    finally:
        process.kill()
        process.wait()
        heard.close()


async def test_it_beats_by_way_of_a_queue(heard: Heard) -> None:
    queue: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
    beating = asyncio.create_task(beat_for_ever(heard.write, queue.put_nowait))
    turn = await queue.get()
    heard.look_after(1.0)
    assert heard.silence.seconds == 1.0, "nothing is heard of what only waits in the queue"
    turn()
    heard.look_after(1.0)
    assert heard.silence.seconds == 0.0
    beating.cancel()


async def test_a_launcher_that_does_not_read_is_not_waited_for(heard: Heard) -> None:
    def more_than_fits(beat: Callable[[], None]) -> None:
        for _ in range(1 << 17):
            beat()

    beating = asyncio.create_task(beat_for_ever(heard.write, more_than_fits))
    await asyncio.sleep(0)
    assert not beating.done()
    heard.look_after(1.0)
    assert heard.silence.seconds == 0.0
    beating.cancel()
