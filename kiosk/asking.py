"""Asking for a customer who waits: again after faults that may pass, told on the screen and in the journal.

What may be asked again is a rule for each kind of message, not for each fault; how often and how long is
`kiosk.cmp.retry`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from kiosk.cmp.client import GeneralAnswer
from kiosk.cmp.envelope import Protector
from kiosk.cmp.errors import Fault, TransferError, TransferFailure
from kiosk.cmp.peer import Resume
from kiosk.cmp.retry import Pause
from kiosk.desk import Preparing, Wait, Waiting
from kiosk.errors import Code
from kiosk.journal import Event, VisitRecord
from kiosk.problems import fault_problem
from kiosk.revocation.check import RevocationRule
from kiosk.services import Services
from kiosk.tokens.token import Token

T = TypeVar("T")

Rule = Callable[[Fault], bool]
"""Whether it is safe to ask again after this fault."""


class GivenUp(Exception):
    """The customer does not want to wait any longer; nothing has been asked for yet."""


def always(_: Fault) -> bool:
    """For questions, which change nothing."""
    return True


def by_code(fault: Fault) -> bool:
    """For a question by a one-time code: a wrong one must not cost two tries because an answer was lost.

    A CA that is not available to a code pauses, and says so to whoever has tried too often.
    """
    busy = isinstance(fault, TransferError) and fault.kind is TransferFailure.BUSY
    return busy or not fault.may_have_arrived


def for_status(rule: RevocationRule) -> Rule:
    """For the question whether a certificate is revoked: what policy can do without nobody is kept waiting for."""
    return lambda _: rule is RevocationRule.REQUIRED


def as_promised(resume: Resume) -> Rule:
    """For a request or a confirmation: where the CA promises the same answer, or where nothing has gone out."""
    return always if resume is Resume.SAME_KEY else lambda fault: not fault.may_have_arrived


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks the CA in one visit."""

    services: Services
    record: VisitRecord
    token: Token
    """The store whose key signs: it is never left in the middle of a signature."""

    async def patiently(self, ask: Callable[[], Awaitable[T]], wait: Wait, may: Rule) -> T:
        """What comes of `ask`; the customer is told of each pause.

        Raises:
            Fault: as `kiosk.cmp.retry.Retry`.
        """

        async def ask_now() -> T:
            wait.pauses(None)
            return await ask()

        async def pausing(pause: Pause) -> None:
            code = fault_problem(pause.fault).problem.code
            await self.record.note(Event.ASKING_AGAIN, code=code, detail=f"{pause.fault}; in {pause.seconds:.1f} s")
            wait.pauses(Waiting(math.ceil(pause.seconds), is_busy=code is Code.CA_BUSY))

        return await self.services.retry(ask_now, may=may, pausing=pausing)

    async def general(self, protector: Protector, wait: Preparing, may: Rule = always) -> GeneralAnswer:
        """What the CA answers to a `genm`, which changes nothing, unless the customer presses 中止.

        Raises:
            GivenUp: that is what happened.
            Fault: as `patiently`.
        """
        return await self.unless_given_up(lambda: self.services.ca.general(protector), wait, may)

    async def unless_given_up(self, ask: Callable[[], Awaitable[T]], wait: Preparing, may: Rule) -> T:
        """As `patiently`, until the customer presses 中止.

        Raises:
            GivenUp: that is what happened.
            Fault: as `patiently`.
        """
        asking = asyncio.ensure_future(self.patiently(ask, wait, may))
        giving_up = asyncio.ensure_future(wait.given_up())
        try:
            await asyncio.wait((asking, giving_up), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
            async with self.token.at_rest():  # whoever is cancelled in the middle of a signature takes the token along
                asking.cancel()
                await asyncio.wait((asking,))
            raise GivenUp
        finally:
            asking.cancel()
            giving_up.cancel()
            await asyncio.gather(asking, giving_up, return_exceptions=True)
