"""What may be done about a PIN now: one small object, which asks nobody and calls nothing.

It decides from what the last try raised, the visit's own count, the token's flags and the bank's rules, in this order.
Modules report the flags wrongly (field notes §2), so a flag can only make the kiosk more careful than it is anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kiosk.settings import Policy
from kiosk.tokens.wire import FailureKind, StoreKind, TokenFacts

LONGEST_PASSWORD = 128
"""Characters of a database's password; NSS takes more, nobody types more."""


class PinStanding(Enum):
    """How it stands with the next try."""

    PLENTY = "plenty"
    FEW = "few"
    """One was wrong since the last right one, so that tries may be running out."""
    MAYBE_LAST = "maybe-last"
    """As far as anybody can tell the next wrong one may lock the token; it has to be agreed to."""
    LAST = "last"
    """The token says that the next wrong one locks it; it has to be agreed to."""
    NONE_BUT_LAST = "none-but-last"
    """The token says so, and the bank's rules do not let anybody take the last try here."""
    TOO_OFTEN = "too-often"
    """Enough for one visit."""
    LOCKED = "locked"
    NOT_SET = "not-set"


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many characters a PIN has, both ends included."""

    shortest: int
    longest: int


@dataclass(slots=True)
class PinPolicy:
    """The state of one store's PIN in one visit."""

    rules: Policy
    store: StoreKind = StoreKind.USB
    refused: int = 0
    """Wrong ones in this visit since the last right one."""
    last: FailureKind | None = None
    """What was wrong with the last try; None where it was right, or none has been made."""
    _spent_before: int | None = None
    """Tries that are known to have been spent before the visit: 1 where the token said so at first, else 0."""

    def note(self, failure: FailureKind | None) -> None:
        """Take in how a try has ended: what was wrong, or None where the PIN was right; then counting begins anew."""
        self.last = failure
        if failure is None:
            self.refused = self._spent_before = 0
        elif failure is FailureKind.PIN_WRONG:
            self.refused += 1

    def standing(self, facts: TokenFacts) -> PinStanding:
        """How it stands with the next try at the token of these facts, as they are now."""
        if self._spent_before is None:
            self._spent_before = int(facts.pin_few_tries)
        if self.last is FailureKind.PIN_LOCKED or facts.pin_locked:
            return PinStanding.LOCKED
        if self.last is FailureKind.PIN_NOT_SET or not facts.pin_set:
            return PinStanding.NOT_SET
        if self.refused >= self.rules.pin_tries:
            return PinStanding.TOO_OFTEN
        asks = self.rules.last_try == "ask"
        if facts.pin_last_try:
            return PinStanding.LAST if asks else PinStanding.NONE_BUT_LAST
        if self._may_be_last(self._spent_before):
            return PinStanding.MAYBE_LAST if asks else PinStanding.TOO_OFTEN
        return PinStanding.FEW if facts.pin_few_tries else PinStanding.PLENTY

    def _may_be_last(self, spent_before: int) -> bool:
        """Whether so many were wrong that a token of `pin_tries` tries, and no flags, would be about to lock.

        A database of this PC locks nothing.
        """
        spent = self.refused + spent_before
        return self.store is StoreKind.USB and self.refused > 0 and spent >= self.rules.pin_tries - 1

    def must_be_changed(self, facts: TokenFacts) -> bool:
        """Whether nothing else is possible before the PIN was changed."""
        return self.last is FailureKind.PIN_TO_BE_CHANGED or facts.pin_to_be_changed

    def lengths(self, facts: TokenFacts) -> Lengths:
        """What can be a PIN at all, so that nothing else costs a try: what the bank wants and the token takes.

        Where both cannot be had the token's limits are nonsense, and the bank's stand alone.
        """
        if self.store is StoreKind.PC:
            return Lengths(1, LONGEST_PASSWORD)
        rules = Lengths(self.rules.pin_shortest, self.rules.pin_longest)
        shortest = max(rules.shortest, facts.pin_shortest)
        longest = min(rules.longest, facts.pin_longest or rules.longest)
        return Lengths(shortest, longest) if shortest <= longest else rules

    @property
    def may_unblock(self) -> bool:
        """Whether staff may set a new PIN with the security officer's."""
        return self.rules.staff_unblock and self.store is StoreKind.USB
