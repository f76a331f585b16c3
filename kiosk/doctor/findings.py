"""What a check can find. Every sentence is a text of the catalogue; what is not as it should be comes with a remedy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from kiosk.doctor.site import Site
from kiosk.literal import literal
from kiosk.text_keys import TextKey
from kiosk.texts import Texts


class Verdict(Enum):
    """How good it is."""

    GOOD = "good"
    WARNING = "warning"
    """The kiosk works, and somebody should look at it."""
    BAD = "bad"
    """Customers cannot be served, or not as they should be."""
    NOT_APPLICABLE = "not-applicable"
    """It is not needed here, or cannot be looked at."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One thing that a check can say."""

    verdict: Verdict
    text: TextKey

    @property
    def remedy(self) -> TextKey | None:
        """What to do; None where there is nothing to be done."""
        if self.verdict in (Verdict.WARNING, Verdict.BAD):
            return cast("TextKey", f"{self.text}.do")  # a test holds that it exists
        return None

    def __call__(self, **values: object) -> Finding:
        """Say it of this."""
        return Finding(self, {name: literal(str(value)) for name, value in values.items()})


def good(text: TextKey) -> Saying:
    """It is as it should be."""
    return Saying(Verdict.GOOD, text)


def warning(text: TextKey) -> Saying:
    """The kiosk works, and somebody should look at it."""
    return Saying(Verdict.WARNING, text)


def bad(text: TextKey) -> Saying:
    """Customers cannot be served, or not as they should be."""
    return Saying(Verdict.BAD, text)


def not_applicable(text: TextKey) -> Saying:
    """It is not needed here, or cannot be looked at."""
    return Saying(Verdict.NOT_APPLICABLE, text)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was said, and of what. The values are literal text, and no secrets."""

    saying: Saying
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """How good it is."""
        return self.saying.verdict

    def found(self, texts: Texts) -> str:
        """What was found."""
        return texts(self.saying.text, **self.values)

    def remedy(self, texts: Texts) -> str | None:
        """What to do about it."""
        return texts(self.saying.remedy, **self.values) if self.saying.remedy else None


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the examination, or several of a kind."""

    name: TextKey
    """`doctor.check.` and what it is called in JSON."""
    look: Callable[[Site], Awaitable[Iterable[Finding]]]
    sayings: tuple[Saying, ...]
    """All it can say."""

    @property
    def key(self) -> str:
        """What it is called in JSON."""
        return self.name.removeprefix("doctor.check.")
