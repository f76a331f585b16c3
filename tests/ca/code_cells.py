"""Design decision 7 as a table, for one-time codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from kiosk.ca.policy import Policy
from kiosk.ca.schema import PromiseKind
from kiosk.cmp.envelope import Message
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.signing import SoftwareKey
from kiosk.cmp.status import rejection
from kiosk.cmp.vocabulary import BodyType, FailInfo, Status
from tests.ca.bank import Bank, Talk, certificate_of, new_key, refusal, status_of

IR, IP, ERROR, PKICONF = BodyType.IR, BodyType.IP, BodyType.ERROR, BodyType.PKICONF


@dataclass
class Enrolment:
    """A code that has got as far as a cell of the table says."""

    bank: Bank
    code: SharedSecret
    key: SoftwareKey = field(default_factory=new_key)
    talk: Talk | None = None

    async def ask(self, *, same_key: bool) -> Message:
        self.talk = Talk(self.bank, self.code)
        return await self.talk.request(IR, self.key if same_key else new_key())


async def none(_: Enrolment) -> None:
    pass


async def issued(enrolment: Enrolment) -> None:
    assert status_of(await enrolment.ask(same_key=True)).status == Status.ACCEPTED


async def waits(enrolment: Enrolment) -> None:
    enrolment.bank.obey(Policy(approval=frozenset({PromiseKind.CODE})))
    assert status_of(await enrolment.ask(same_key=True)).status == Status.WAITING


async def approved(enrolment: Enrolment) -> None:
    await waits(enrolment)
    assert enrolment.bank.decide(approve=True) == 1


async def refused(enrolment: Enrolment) -> None:
    await waits(enrolment)
    assert enrolment.bank.decide(approve=False) == 1


async def rejected(enrolment: Enrolment) -> None:
    await issued(enrolment)
    assert enrolment.talk is not None
    assert (await enrolment.talk.confirm(status=rejection((), "no"))).body_type == PKICONF


async def lapsed(enrolment: Enrolment) -> None:
    await issued(enrolment)
    enrolment.bank.now += enrolment.bank.policy.confirmation + timedelta(seconds=1)


async def confirmed(enrolment: Enrolment) -> None:
    await issued(enrolment)
    assert enrolment.talk is not None
    assert (await enrolment.talk.confirm()).body_type == PKICONF


async def expired(enrolment: Enrolment) -> None:
    enrolment.bank.now += enrolment.bank.policy.code_life + timedelta(seconds=1)


async def issued_and_expired(enrolment: Enrolment) -> None:
    enrolment.bank.now += enrolment.bank.policy.code_life - timedelta(hours=1)
    await issued(enrolment)
    enrolment.bank.now += timedelta(hours=2)


async def replaced(enrolment: Enrolment) -> None:
    await issued(enrolment)
    enrolment.bank.code("TKYM1408054")


FRESH, SAME, WAITS = "a fresh certificate", "the same certificate", "waits"
UNKNOWN = (ERROR, FailInfo.BAD_MESSAGE_CHECK)
BOUND = EXPIRED = REFUSED = (IP, FailInfo.NOT_AUTHORIZED)
TABLE: dict[str, tuple[Callable[[Enrolment], Awaitable[None]], object, object]] = {
    # what has been : with the same key, with another
    "nothing yet": (none, FRESH, FRESH),
    "waits for a teller": (waits, WAITS, BOUND),
    "approved": (approved, FRESH, BOUND),
    "refused by a teller": (refused, REFUSED, BOUND),
    "issued, unconfirmed": (issued, SAME, BOUND),
    "rejected by the client": (rejected, FRESH, BOUND),
    "not confirmed in time": (lapsed, FRESH, BOUND),
    "confirmed": (confirmed, UNKNOWN, UNKNOWN),
    "expired": (expired, EXPIRED, EXPIRED),
    "issued, then expired": (issued_and_expired, EXPIRED, EXPIRED),
    "replaced by a newer code": (replaced, UNKNOWN, UNKNOWN),
}
CELLS = [(name, same_key) for name in TABLE for same_key in (True, False)]


async def check_cell(bank: Bank, row: str, *, same_key: bool) -> None:
    """Make what has been, ask, confirm what comes; each of the three at the next process, where there are several."""
    reach, with_the_same, with_another = TABLE[row]
    expected = with_the_same if same_key else with_another
    enrolment = Enrolment(bank, bank.newcomer())
    await reach(enrolment)
    bank.hand_over()
    count = bank.issued()
    before = None if enrolment.talk is None or enrolment.talk.last is None else enrolment.talk.last
    answer = await enrolment.ask(same_key=same_key)
    bank.hand_over()
    if isinstance(expected, tuple):
        assert refusal(answer) == (expected[0], {expected[1]})
        assert bank.issued() == count
    elif expected == WAITS:
        assert status_of(answer).status == Status.WAITING
        assert bank.issued() == count
    else:
        assert status_of(answer).status == Status.ACCEPTED
        assert bank.issued() == count + (expected == FRESH)
        if expected == SAME:
            assert before is not None
            assert certificate_of(answer) == certificate_of(before)
        assert enrolment.talk is not None
        assert (await enrolment.talk.confirm()).body_type == PKICONF
