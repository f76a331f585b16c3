"""How often, after how long, and how long at most a CA is asked again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from kiosk.cmp.errors import (
    AnswerWaits,
    CmpError,
    Distrust,
    MalformedMessage,
    Refused,
    TransferError,
    TransferFailure,
    UntrustedAnswer,
)
from kiosk.cmp.retry import NEVER, Pause, Retry

F = TransferFailure
MOST_TRIES = 100
"""Many more than any test has time for: no sleep takes time here, and for ever would take the machine's memory."""
PASSING = {F.UNREACHABLE, F.HANDSHAKE, F.TIME_OUT, F.BROKEN_OFF, F.BUSY}


@dataclass
class Way:
    """A CA whose answers are told beforehand, and a clock that only sleeping moves."""

    answers: list[CmpError | str]
    takes: float = 0.0
    now: float = 0.0
    asked_at: list[float] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)

    async def ask(self) -> str:
        assert len(self.asked_at) < MOST_TRIES, "it is asked for ever"
        self.asked_at.append(self.now)
        self.now += self.takes
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, CmpError):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def pausing(self, pause: Pause) -> None:
        self.pauses.append(pause)

    def uniform(self, low: float, high: float) -> float:
        """The longest that may be drawn."""
        self.spans.append((low, high))
        return high

    def retry(self, **rules: float) -> Retry:
        return Retry(uniform=self.uniform, sleep=self.sleep, monotonic=lambda: self.now, **rules)

    async def __call__(self, *, may: bool = True, **rules: float) -> str:
        return await self.retry(**rules)(self.ask, may=lambda _: may, pausing=self.pausing)


def fault(kind: TransferFailure = F.UNREACHABLE, *, arrived: bool = False, after: float | None = None) -> TransferError:
    return TransferError(kind, may_have_arrived=arrived, retry_after=after)


async def test_the_pauses_double_up_to_the_longest_and_any_shorter_one_may_be_drawn() -> None:
    way = Way([*(fault() for _ in range(6)), "yes"])
    assert await way(first=1.0, longest=10.0, total=1000.0) == "yes"
    assert way.spans == [(0.0, 1.0), (0.0, 2.0), (0.0, 4.0), (0.0, 8.0), (0.0, 10.0), (0.0, 10.0)]
    assert [after - before for before, after in pairwise(way.asked_at)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert [pause.tried for pause in way.pauses] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("takes", [0.0, 7.0])
async def test_no_try_begins_after_the_limit(takes: float) -> None:
    way = Way([fault()], takes=takes)
    with pytest.raises(TransferError):
        await way(first=1.0, longest=4.0, total=30.0)
    assert way.asked_at[-1] < 30.0
    assert way.now - takes < 30.0
    assert len(way.asked_at) > 2


async def test_a_server_that_says_when_is_asked_no_earlier() -> None:
    way = Way([fault(F.BUSY, arrived=True, after=20.0), "yes"])
    assert await way(total=60.0) == "yes"
    assert way.pauses[0].seconds == 21.0, "and not with all the others at once"


@pytest.mark.parametrize("after", [60.0, 10.0**9, float("inf")])
async def test_nobody_is_kept_waiting_for_longer_than_the_limit_because_a_server_says_so(after: float) -> None:
    way = Way([fault(F.BUSY, arrived=True, after=after)])
    with pytest.raises(TransferError):
        await way(total=60.0)
    assert (way.now, way.pauses) == (0.0, [])


@pytest.mark.parametrize("kind", list(F))
async def test_what_will_be_the_same_again_is_not_asked_again(kind: TransferFailure) -> None:
    way = Way([fault(kind), "yes"])
    if kind in PASSING:
        assert await way() == "yes"
        return
    with pytest.raises(TransferError):
        await way()
    assert len(way.asked_at) == 1


@pytest.mark.parametrize("proven", [True, False])
async def test_a_ca_that_is_not_available_is_asked_again_as_one_that_answers_503(proven: bool) -> None:
    way = Way([Refused({"systemUnavail"}, proven=proven), "yes"])
    assert await way() == "yes"


async def test_what_was_refused_once_without_a_decision_may_have_arrived() -> None:
    way = Way([Refused({"systemUnavail"}, proven=True), fault()])
    with pytest.raises(TransferError) as caught:
        await way(total=3.0)
    assert caught.value.may_have_arrived


@pytest.mark.parametrize(
    "answer",
    [
        Refused(proven=True),
        Refused({"systemUnavail"}, proven=True, decided=True),
        Refused({"systemFailure"}, proven=True),
        Refused({"systemUnavail", "certRevoked"}, proven=True),
        UntrustedAnswer(Distrust.PROTECTION),
        MalformedMessage("x"),
        AnswerWaits(5),
    ],
    ids=lambda answer: f"{type(answer).__name__} {answer}",
)
async def test_an_answer_is_an_answer(answer: CmpError) -> None:
    way = Way([answer])
    with pytest.raises(type(answer)):
        await way()
    assert len(way.asked_at) == 1


async def test_what_is_not_safe_is_not_asked_again() -> None:
    way = Way([fault()])
    with pytest.raises(TransferError):
        await way(may=False)
    assert len(way.asked_at) == 1


async def test_what_may_have_arrived_once_may_have_arrived() -> None:
    """Whoever takes back what he has made must not be told of the last try alone."""
    way = Way([fault(F.BROKEN_OFF, arrived=True), fault()])
    with pytest.raises(TransferError) as caught:
        await way(total=3.0)
    assert len(way.asked_at) > 1
    assert caught.value.may_have_arrived


async def test_never_is_one_try() -> None:
    way = Way([fault()])
    with pytest.raises(TransferError):
        async with asyncio.timeout(5.0):  # its sleep is a real one
            await NEVER(way.ask, may=lambda _: True, pausing=way.pausing)
    assert (len(way.asked_at), way.pauses) == (1, [])


def test_the_pauses_are_drawn_from_the_system_and_not_from_a_seed() -> None:
    drawn = {Retry().uniform(0.0, 1.0) for _ in range(50)}
    assert len(drawn) == 50
    assert all(0.0 <= each <= 1.0 for each in drawn)
