from __future__ import annotations

import pytest

from kiosk.crashes import Crashes, Patience

SECONDS = Patience(crashes=3, within=60.0, first_pause=30.0, longest_pause=100.0)


class Watch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def pauses(lives: list[float], patience: Patience = SECONDS) -> list[float]:
    """The pauses after kiosks that have lived so many seconds each, one after another."""
    watch = Watch()
    crashes = Crashes(patience, watch)
    told = []
    for life in lives:
        crashes.begin()
        watch.now += life
        told.append(crashes.pause())
        watch.now += told[-1]
    return told


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        ([1.0, 1.0, 1.0], [0.0, 0.0, 30.0]),
        ([25.0, 25.0, 25.0], [0.0, 0.0, 30.0]),
        ([31.0, 31.0, 31.0, 31.0], [0.0] * 4),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 30.0, 60.0, 100.0, 100.0]),
        ([1.0, 1.0, 1.0, 59.0, 61.0, 1.0, 1.0], [0.0, 0.0, 30.0, 60.0, 0.0, 0.0, 30.0]),
    ],
    ids=["three in a moment", "three in a minute", "never three in a minute", "again and again", "trusted again"],
)
def test_when_it_is_started_again(lives: list[float], expected: list[float]) -> None:
    assert pauses(lives) == expected


def test_a_kiosk_that_crashes_for_ever_is_never_tried_more_often_than_the_longest_pause_says() -> None:
    assert set(pauses([0.0] * 5000)[10:]) == {100.0}


def test_time_in_which_it_hung_is_not_time_it_has_stood() -> None:
    """Else kiosks that hang at once, each for half a minute, would never be too many."""
    watch = Watch()
    crashes = Crashes(SECONDS, watch)
    told = []
    for _ in range(4):
        crashes.begin()
        watch.now += 1.0 + 300.0
        told.append(crashes.pause(hung=300.0))
    assert told == [0.0, 0.0, 30.0, 60.0]
