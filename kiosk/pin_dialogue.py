"""Everything the kiosk asks about a PIN, or a database's password: to log in, and to change it.

What can be checked without the token is checked before it costs a try, and a refused PIN is never sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kiosk.desk import Desk, PinPurpose, PinQuestion, Tries, Unfit
from kiosk.errors import Code, KioskError
from kiosk.idle import IdleLimit
from kiosk.journal import Event, VisitRecord
from kiosk.pin import Pin
from kiosk.problems import as_problems
from kiosk.settings import Policy
from kiosk.tokens.errors import TokenError
from kiosk.tokens.token import Token
from kiosk.tokens.wire import FailureKind, StoreKind, TokenFacts

LONGEST_PASSWORD = 128
"""Characters of a database's password; NSS takes more, nobody types more."""


@dataclass(slots=True)
class PinDialogue:
    """Asks the desk for PINs and gives them to the token."""

    desk: Desk
    token: Token
    policy: Policy
    record: VisitRecord
    idle: IdleLimit
    refused: int = 0
    """Wrong PINs so far in this visit."""
    just_refused: bool = False
    """Whether the last PIN was one of them."""

    async def open_token(self) -> bool:
        """Ask for the PIN until the token takes it; false where the customer gives up.

        Raises:
            KioskError: the PIN cannot be used, was wrong too often, or the token failed.
        """
        facts = self.token.facts
        if not facts.needs_pin:
            with as_problems():
                await self.token.open_without_pin()
            return True
        while True:
            _refuse_unusable_pin(facts)
            if facts.pin_to_be_changed:
                return await self.change(required=True)
            pin = await self.desk.ask_pin(self._question(facts, PinPurpose.LOG_IN))
            if pin is None:
                return False
            match await self._log_in(pin):
                case None:
                    self.just_refused = False
                    return True
                case FailureKind.PIN_TO_BE_CHANGED:
                    return await self.change(required=True)
            await self._count_refusal()
            facts = await self._look()

    async def change(self, *, required: bool = False) -> bool:
        """Ask for the present PIN and twice for a new one, until the token takes it; false where the customer gives up.

        Raises:
            KioskError: the PIN cannot be used, was wrong too often, or the token failed.
        """
        unfit: Unfit | None = None
        self.just_refused = False
        while True:
            facts = await self._look()
            _refuse_unusable_pin(facts)
            question = replace(self._question(facts, PinPurpose.PRESENT), unfit=unfit, required=required)
            present = await self.desk.ask_pin(question)
            if present is None:
                return False
            try:
                new = await self._ask_new(facts, present)
                if new is None:
                    return False
                failure = await self._hand_over(present, new)
            finally:
                present.discard()
            if failure is None:
                await self.record.note(Event.PIN_CHANGED)
                await self.desk.announce_pin_changed(self.policy.self_press_seconds)
                return True
            self.just_refused = False
            unfit = Unfit.NOT_TAKEN if failure is FailureKind.PIN_LENGTH else None
            if failure is FailureKind.PIN_WRONG:
                await self._count_refusal()

    async def _ask_new(self, facts: TokenFacts, present: Pin) -> Pin | None:
        """A new PIN, typed the same twice and not the present one; None where the customer gives up."""
        unfit: Unfit | None = None
        while True:
            new = await self.desk.ask_pin(replace(self._question(facts, PinPurpose.NEW), unfit=unfit))
            if new is None:
                return None
            unfit = Unfit.UNCHANGED
            if not new.equals(present):
                again = await self._ask_again(facts, new)
                if again is None:
                    return None
                same = again.equals(new)
                again.discard()
                if same:
                    return new
                unfit = Unfit.UNEQUAL
            new.discard()

    async def _ask_again(self, facts: TokenFacts, new: Pin) -> Pin | None:
        """The same once more; `new` is overwritten where nothing comes."""
        again: Pin | None = None
        try:
            again = await self.desk.ask_pin(self._question(facts, PinPurpose.NEW_AGAIN))
        finally:
            if again is None:
                new.discard()
        return again

    async def _hand_over(self, present: Pin, new: Pin) -> FailureKind | None:
        """What the token has against the change; None where it is done."""
        with as_problems(), self.idle.suspended():
            try:
                await self.token.change_pin(present, new)
            except TokenError as error:
                if error.kind in (FailureKind.PIN_WRONG, FailureKind.PIN_LENGTH):
                    return error.kind
                raise
            finally:
                new.discard()
        return None

    async def _log_in(self, pin: Pin) -> FailureKind | None:
        """What the token has against the PIN; None where it takes it."""
        with as_problems(), self.idle.suspended():
            try:
                await self.token.log_in(pin)
            except TokenError as error:
                if error.kind in (FailureKind.PIN_WRONG, FailureKind.PIN_LENGTH, FailureKind.PIN_TO_BE_CHANGED):
                    return error.kind
                raise
        return None

    async def _count_refusal(self) -> None:
        self.refused += 1
        self.just_refused = True
        await self.record.note(Event.PIN_REFUSED)
        if self.refused >= self.policy.pin_tries:
            password = self.token.kind is StoreKind.PC
            raise KioskError(Code.PC_PASSWORD_REFUSED_TOO_OFTEN if password else Code.PIN_REFUSED_TOO_OFTEN)

    async def _look(self) -> TokenFacts:
        with as_problems():
            return await self.token.look() or self.token.facts

    def _question(self, facts: TokenFacts, purpose: PinPurpose) -> PinQuestion:
        password = self.token.kind is StoreKind.PC
        asks_for_present = purpose in (PinPurpose.LOG_IN, PinPurpose.PRESENT)
        return PinQuestion(
            token_label=facts.label,
            refused=asks_for_present and self.just_refused,
            tries=Tries.FEW if asks_for_present and facts.pin_few_tries else Tries.PLENTY,
            shortest=1 if password else self.policy.pin_shortest,
            longest=LONGEST_PASSWORD if password else self.policy.pin_longest,
            purpose=purpose,
            store=self.token.kind,
        )


def _refuse_unusable_pin(facts: TokenFacts) -> None:
    """Trust the flags only as hints, but never take the customer's last try without a teller."""
    if facts.pin_locked:
        raise KioskError(Code.PIN_LOCKED)
    if not facts.pin_set:
        raise KioskError(Code.PIN_NOT_SET)
    if facts.pin_last_try:
        raise KioskError(Code.PIN_LAST_TRY)
