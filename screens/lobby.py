"""The place a screen stands in: whose branch, what time, which language."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kiosk.clock import Clock, system_clock
from kiosk.texts import BASE_LANGUAGE, Texts, languages

SETTLE_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Branch:
    """What a branch tells its kiosk."""

    bank: str
    name: str
    demo_pin: str | None = None
    """Shown on the standby screen of a demo, and nowhere else."""
    language: str = BASE_LANGUAGE
    """The language a new customer is met in."""
    demo_code: str = ""
    """Shown beside the PIN: the one-time code of a demo whose certificate has expired."""


class Lobby:
    """Shared by all screens of a kiosk; only the language ever changes, and falls back when a customer leaves."""

    def __init__(
        self,
        branch: Branch,
        clock: Clock = system_clock,
        settle_seconds: float = SETTLE_SECONDS,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self.branch = branch
        self.clock = clock
        self.stopwatch = stopwatch
        """Seconds from any beginning, which no change of the clock disturbs."""
        self.settle_seconds = settle_seconds
        """How long a question stands before keys and touches count."""
        self.texts = Texts(branch.language)

    def speak(self, language: str) -> None:
        """Use `language` from now on; the screens say theirs anew."""
        self.texts = Texts(language)

    def next_language(self) -> str:
        """The language after the present one; behind the last comes the first."""
        known = languages()
        return known[(known.index(self.texts.language) + 1) % len(known)]

    def next_language_name(self) -> str:
        """What the next language calls itself."""
        return Texts(self.next_language())("language.name")

    def reset(self) -> None:
        """Back to what the branch wants for a new customer."""
        self.speak(self.branch.language)
