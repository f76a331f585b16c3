"""Everything the kiosk asks about a PIN, or a database's password: to log in, and to change it.

What can be checked without the token is checked before it costs a try, what may be the last try is taken only after an
explicit yes, and a refused PIN is never sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from kiosk.desk import (
    Desk,
    LastTryAnswer,
    LastTryQuestion,
    PadPurpose,
    PadQuestion,
    PadTrouble,
    PinPurpose,
    PinQuestion,
    Tries,
    Unfit,
)
from kiosk.errors import Code, KioskError
from kiosk.idle import IdleLimit
from kiosk.journal import Event, VisitRecord
from kiosk.pin import Pin
from kiosk.pin_policy import PinPolicy, PinStanding
from kiosk.problems import as_problems
from kiosk.settings import Policy
from kiosk.tokens.errors import TokenError
from kiosk.tokens.token import AtPad, Token
from kiosk.tokens.wire import FailureKind, StoreKind, TokenFacts

_ASKED_AGAIN = frozenset(
    {
        FailureKind.PIN_WRONG,
        FailureKind.PIN_LENGTH,
        FailureKind.PIN_REPEATED,
        FailureKind.PIN_TO_BE_CHANGED,
    }
)
"""What can be put right by typing; everything else ends the visit with its own code."""

_ASKED_AGAIN_AT_PAD = _ASKED_AGAIN | {FailureKind.PAD_CANCELLED, FailureKind.PAD_TIMED_OUT}

_ENDS = {
    PinStanding.LOCKED: Code.PIN_LOCKED,
    PinStanding.NOT_SET: Code.PIN_NOT_SET,
    PinStanding.NONE_BUT_LAST: Code.PIN_LAST_TRY,
    PinStanding.TOO_OFTEN: Code.PIN_REFUSED_TOO_OFTEN,
}
"""Where nobody may try."""

_TRIES = {
    PinStanding.FEW: Tries.FEW,
    PinStanding.MAYBE_LAST: Tries.MAYBE_LAST,
    PinStanding.LAST: Tries.LAST,
}

_PAD_TROUBLES = {
    FailureKind.PIN_WRONG: PadTrouble.WRONG,
    FailureKind.PIN_LENGTH: PadTrouble.LENGTH,
    FailureKind.PAD_CANCELLED: PadTrouble.CANCELLED,
    FailureKind.PAD_TIMED_OUT: PadTrouble.TIMED_OUT,
}

_UNFIT = {FailureKind.PIN_LENGTH: Unfit.LENGTH, FailureKind.PIN_REPEATED: Unfit.REPEATED}


@dataclass(slots=True)
class PinDialogue:
    """Asks the desk for PINs and gives them to the token."""

    desk: Desk
    token: Token
    policy: Policy
    record: VisitRecord
    idle: IdleLimit
    call_staff: Callable[[str], None]
    """Told a problem's code where the customer wants somebody to come."""
    way_back: Callable[[], bool]
    """Whether the customer may still do without what is under way."""
    _pins: PinPolicy = field(init=False)

    def __post_init__(self) -> None:
        self._pins = PinPolicy(self.policy, self.token.kind)

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
        while not self._pins.must_be_changed(facts):
            if not await self._may_try(facts):
                return False
            done = await (self._log_in_at_pad(facts) if facts.pin_pad else self._log_in(facts))
            if done is not None:
                return done
            facts = await self._look()
        return await self.change(required=True)

    async def change(self, *, required: bool = False) -> bool:
        """Ask for the present PIN and twice for a new one, until the token takes it; false where the customer gives up.

        Raises:
            KioskError: the PIN cannot be used, was wrong too often, or the token failed.
        """
        self._pins.last = None
        done: bool | None = None
        while done is None:
            facts = await self._look()
            if not await self._may_try(facts):
                return False
            change = self._change_at_pad if facts.pin_pad else self._change
            done = await change(facts, required=required)
        if not done:
            return False
        await self._tell_of_change()
        return await self._open_with_new_pin() if required and facts.pin_pad else True

    async def _tell_of_change(self) -> None:
        """Whatever becomes of the journal, the customer has to know which PIN counts now."""
        try:
            await self.record.note(Event.PIN_CHANGED)
        except KioskError:
            await self.desk.announce_pin_changed(self.policy.self_press_seconds)
            raise
        await self.desk.announce_pin_changed(self.policy.self_press_seconds)

    async def _open_with_new_pin(self) -> bool:
        """Log in at the pad after a change that was required: nobody here knows the new PIN."""
        while True:
            facts = await self._look()
            if not await self._may_try(facts):
                return False
            done = await self._log_in_at_pad(facts)
            if done is not None:
                return done

    async def _log_in(self, facts: TokenFacts) -> bool | None:
        """One try: true where the token took it, false where the customer gives up, None where it has to be another."""
        pin = await self.desk.ask_pin(self._question(facts, PinPurpose.LOG_IN))
        if pin is None:
            return False
        return True if await self._tried(self.token.log_in(pin)) is None else None

    async def _change(self, facts: TokenFacts, *, required: bool) -> bool | None:
        """As `_log_in`, for a change."""
        question = replace(self._question(facts, PinPurpose.PRESENT), required=required)
        present = await self.desk.ask_pin(question)
        if present is None:
            return False
        try:
            new = await self._ask_new(facts, present)
            if new is None:
                return False
            return True if await self._tried(self._hand_over(present, new)) is None else None
        finally:
            present.discard()

    async def _log_in_at_pad(self, facts: TokenFacts) -> bool | None:
        """As `_log_in`, where the PIN is typed at the reader."""
        question = self._pad_question(facts, PadPurpose.LOG_IN)
        if not await self.desk.ask_pad(question):
            return False
        again = AtPad(prove=self._prove_at_pad, sign=self._sign_at_pad)
        failure = await self._tried_at_pad(question, lambda: self.token.log_in_at_pad(again))
        return True if failure is None else None

    async def _change_at_pad(self, facts: TokenFacts, *, required: bool) -> bool | None:
        """As `_log_in_at_pad`, for a change."""
        question = replace(self._pad_question(facts, PadPurpose.CHANGE), required=required)
        if not await self.desk.ask_pad(question):
            return False
        await self.record.note(Event.CHANGING_PIN)
        return True if await self._tried_at_pad(question, self.token.change_pin_at_pad) is None else None

    async def _prove_at_pad(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Have the PIN typed once more for the proof; there is no way back any more, but an end to it.

        Raises:
            KioskError: it could not be had; what was begun can be finished another time.
        """
        await self._typed_once_more(PadPurpose.PROVE, attempt, way_back=False)

    async def _sign_at_pad(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Have the PIN typed for one signature.

        Raises:
            KioskError: it could not be had, or the customer does without while that is possible.
        """
        await self._typed_once_more(PadPurpose.SIGN, attempt, way_back=self.way_back())

    async def _typed_once_more(
        self, purpose: PadPurpose, attempt: Callable[[], Awaitable[None]], *, way_back: bool
    ) -> None:
        """The reader is woken at once, unless a PIN was refused before; then it is asked first, and there is an end."""
        question = replace(self._pad_question(self.token.facts, purpose), way_back=way_back)
        for number in range(self.policy.pin_tries):
            if number or self._pins.refused:
                question = await self._asked_again_at_pad(purpose, way_back=way_back)
            if await self._tried_at_pad(question, attempt) is None:
                return
        timed_out = self._pins.last is FailureKind.PAD_TIMED_OUT
        raise KioskError(Code.PAD_TIMED_OUT if timed_out else Code.PAD_CANCELLED)

    async def _asked_again_at_pad(self, purpose: PadPurpose, *, way_back: bool) -> PadQuestion:
        facts = await self._look()
        if not await self._may_try(facts):
            raise KioskError(Code.PIN_LAST_TRY)
        question = replace(
            self._pad_question(facts, purpose), seconds=self.policy.self_press_seconds, way_back=way_back
        )
        if not await self.desk.ask_pad(question):
            raise KioskError(Code.PAD_CANCELLED)
        return question

    async def _may_try(self, facts: TokenFacts) -> bool:
        """Whether the PIN may be asked for; false where the customer does not want to take what may be the last try.

        Raises:
            KioskError: nobody may.
        """
        standing = self._pins.standing(facts)
        if standing in _ENDS:
            password = self.token.kind is StoreKind.PC and standing is PinStanding.TOO_OFTEN
            raise KioskError(Code.PC_PASSWORD_REFUSED_TOO_OFTEN if password else _ENDS[standing])
        if standing in (PinStanding.MAYBE_LAST, PinStanding.LAST):
            return await self._agrees_to_last(facts, certain=standing is PinStanding.LAST)
        return True

    async def _agrees_to_last(self, facts: TokenFacts, *, certain: bool) -> bool:
        """Warn plainly, and have an explicit yes, a no, or somebody come."""
        question = LastTryQuestion(facts.label, certain)
        while True:
            match await self.desk.confirm_last_try(question):
                case LastTryAnswer.YES:
                    await self.record.note(Event.LAST_TRY_AGREED)
                    return True
                case LastTryAnswer.NO:
                    return False
                case LastTryAnswer.CALL:
                    self.call_staff(Code.PIN_LAST_TRY)
                    question = replace(question, called=True)

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

    async def _hand_over(self, present: Pin, new: Pin) -> None:
        try:
            await self.record.note(Event.CHANGING_PIN)
            await self.token.change_pin(present, new)
        finally:
            new.discard()

    async def _tried(self, attempt: Awaitable[None]) -> FailureKind | None:
        """What the token has against the PIN; None where it takes it.

        Raises:
            KioskError: it is nothing that could be put right by typing.
        """
        failure: FailureKind | None = None
        with as_problems(), self.idle.suspended():
            try:
                await attempt
            except TokenError as error:
                if error.kind not in (_ASKED_AGAIN_AT_PAD if self.token.facts.pin_pad else _ASKED_AGAIN):
                    raise
                failure = error.kind
        self._pins.note(failure)
        if failure is FailureKind.PIN_WRONG:
            await self.record.note(Event.PIN_REFUSED)
        return failure

    async def _tried_at_pad(self, question: PadQuestion, attempt: Callable[[], Awaitable[None]]) -> FailureKind | None:
        """As `_tried`, while the customer is told to type at the reader; one that does not end has timed out."""
        async with self.desk.at_pad(question):
            try:
                return await self._tried(attempt())
            except KioskError as error:
                if error.problem.code is Code.TOKEN_HANGS:
                    raise KioskError(Code.PAD_TIMED_OUT, error.problem.detail) from error
                raise

    async def _look(self) -> TokenFacts:
        with as_problems():
            return await self.token.look() or self.token.facts

    def _question(self, facts: TokenFacts, purpose: PinPurpose) -> PinQuestion:
        lengths, last = self._pins.lengths(facts), self._pins.last
        question = PinQuestion(
            token_label=facts.label,
            refused=False,
            tries=Tries.PLENTY,
            shortest=lengths.shortest,
            longest=lengths.longest,
            purpose=purpose,
            store=self.token.kind,
        )
        if purpose not in (PinPurpose.LOG_IN, PinPurpose.PRESENT):
            return question
        unfit = Unfit.NOT_TAKEN if (purpose, last) == (PinPurpose.PRESENT, FailureKind.PIN_LENGTH) else None
        return replace(
            question,
            refused=last is FailureKind.PIN_WRONG,
            tries=_TRIES.get(self._pins.standing(facts), Tries.PLENTY),
            unfit=unfit or (_UNFIT.get(last) if last else None),
        )

    def _pad_question(self, facts: TokenFacts, purpose: PadPurpose) -> PadQuestion:
        last = self._pins.last
        trouble = _PAD_TROUBLES.get(last) if last else None
        if purpose is PadPurpose.CHANGE and trouble is PadTrouble.LENGTH:
            trouble = PadTrouble.NOT_TAKEN
        return PadQuestion(facts.label, purpose, trouble, _TRIES.get(self._pins.standing(facts), Tries.PLENTY))
