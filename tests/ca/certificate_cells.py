"""Design decision 7 as a table, for `kur` and for additional certificates; for one-time codes see `code_cells`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from kiosk.ca.policy import Policy
from kiosk.ca.schema import CertificateState, PromiseKind
from kiosk.certificates import Certificate
from kiosk.cmp.envelope import Message
from kiosk.cmp.requests import write_request, write_update
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.status import rejection
from kiosk.cmp.vocabulary import ANSWERS, BodyType, FailInfo, Status
from tests.ca.bank import Bank, Talk, certificate_of, new_key, refusal, status_of

DAY = timedelta(days=1)


@dataclass
class Asking:
    """One certificate that asks, and how far it has got."""

    bank: Bank
    kind: BodyType
    holder: Signer
    key: SoftwareKey = field(default_factory=new_key)
    talk: Talk | None = None

    async def ask(self, *, same_key: bool) -> Message:
        key = self.key if same_key else new_key()
        talk = self.talk = Talk(self.bank, self.holder)
        if self.kind is BodyType.KUR:
            return await talk.say(self.kind, await write_update(self.holder.certificate, key))
        return await talk.say(self.kind, await write_request(key))

    @property
    def issued(self) -> Certificate | None:
        last = None if self.talk is None else self.talk.last
        if last is None or last.body_type != ANSWERS[self.kind] or status_of(last).status != Status.ACCEPTED:
            return None
        return certificate_of(last)

    async def confirm(self, **changes: object) -> None:
        assert self.talk is not None
        granted = self.talk.last
        assert (await self.talk.confirm(**changes)).body_type == BodyType.PKICONF  # type: ignore[arg-type]
        self.talk.last = granted


async def none(_: Asking) -> None:
    pass


async def issued(asking: Asking) -> None:
    assert status_of(await asking.ask(same_key=True)).status == Status.ACCEPTED


async def waits(asking: Asking) -> None:
    asking.bank.obey(Policy(approval=frozenset(PromiseKind)))
    assert status_of(await asking.ask(same_key=True)).status == Status.WAITING


async def approved(asking: Asking) -> None:
    await waits(asking)
    assert asking.bank.decide(approve=True) == 1


async def refused(asking: Asking) -> None:
    await waits(asking)
    assert asking.bank.decide(approve=False) == 1


async def rejected(asking: Asking) -> None:
    await issued(asking)
    await asking.confirm(status=rejection((), "no"))


async def lapsed(asking: Asking) -> None:
    await issued(asking)
    asking.bank.now += 15 * DAY


async def confirmed(asking: Asking) -> None:
    await issued(asking)
    await asking.confirm()


async def confirmed_and_revoked(asking: Asking) -> None:
    await confirmed(asking)
    assert asking.issued is not None
    asking.bank.revoke(asking.issued)


async def confirmed_and_succeeded(asking: Asking) -> None:
    await confirmed(asking)
    assert asking.issued is not None
    asking.bank.obey(Policy(window_days=400))
    asking.bank.now += DAY
    renewed = await asking.bank.client.update(Signer(asking.key, asking.issued), new_key())
    await asking.bank.client.confirm(renewed)


async def issued_and_revoked(asking: Asking) -> None:
    await issued(asking)
    assert asking.issued is not None
    asking.bank.revoke(asking.issued)


async def revoked_and_rejected(asking: Asking) -> None:
    await issued_and_revoked(asking)
    await asking.confirm(status=rejection((), "no"))


async def revoked_and_lapsed(asking: Asking) -> None:
    await issued_and_revoked(asking)
    asking.bank.now += 15 * DAY


async def asker_revoked(asking: Asking) -> None:
    await issued(asking)
    asking.bank.revoke(asking.holder.certificate)


async def asker_ended(asking: Asking) -> None:
    await issued(asking)
    asking.bank.now = asking.holder.certificate.not_after + 10 * DAY


async def ended_after_confirmation(asking: Asking) -> None:
    await confirmed(asking)
    asking.bank.now = asking.holder.certificate.not_after + 10 * DAY


async def ended_without_a_row(asking: Asking) -> None:
    asking.bank.now = asking.holder.certificate.not_after + timedelta(hours=1)


FRESH, SAME, WAITS = "a fresh certificate", "the same certificate", "waits"
REVOKED, ENDED, REFUSED = FailInfo.CERT_REVOKED, FailInfo.SIGNER_NOT_TRUSTED, FailInfo.NOT_AUTHORIZED
Expected = str | FailInfo
Row = tuple[Callable[[Asking], Awaitable[None]], Expected, Expected, Expected, Expected]
TABLE: dict[str, Row] = {
    # what has been : kur with the same key, with another; cr with the same key, with another
    "none": (none, FRESH, FRESH, FRESH, FRESH),
    "waiting for approval": (waits, WAITS, WAITS, WAITS, WAITS),
    "approved": (approved, FRESH, WAITS, FRESH, WAITS),
    "refused by a teller": (refused, REFUSED, WAITS, REFUSED, WAITS),
    "issued, unconfirmed": (issued, SAME, FRESH, SAME, FRESH),
    "issued and revoked": (issued_and_revoked, REVOKED, FRESH, REVOKED, FRESH),
    "issued and revoked, then rejected": (revoked_and_rejected, REVOKED, FRESH, REVOKED, FRESH),
    "issued and revoked, then lapsed": (revoked_and_lapsed, REVOKED, FRESH, REVOKED, FRESH),
    "rejected by the client": (rejected, FRESH, FRESH, FRESH, FRESH),
    "never confirmed": (lapsed, FRESH, FRESH, FRESH, FRESH),
    "confirmed": (confirmed, SAME, REVOKED, SAME, FRESH),
    "confirmed and revoked": (confirmed_and_revoked, REVOKED, REVOKED, REVOKED, FRESH),
    "confirmed and succeeded": (confirmed_and_succeeded, REVOKED, REVOKED, REVOKED, FRESH),
    "issued, the asker revoked": (asker_revoked, REVOKED, REVOKED, REVOKED, REVOKED),
    "issued, the asker has ended": (asker_ended, FRESH, FRESH, ENDED, ENDED),
    "confirmed, the asker has ended": (ended_after_confirmation, SAME, REVOKED, ENDED, ENDED),
    "none, the asker has ended": (ended_without_a_row, ENDED, ENDED, ENDED, ENDED),
}
CELLS = [(name, kind, same) for name in TABLE for kind in (BodyType.KUR, BodyType.CR) for same in (True, False)]


async def check_cell(bank: Bank, row: str, kind: BodyType, *, same_key: bool) -> None:
    """Make what has been, ask, confirm what comes; each of the three at the next process, where there are several."""
    reach, *cells = TABLE[row]
    expected = cells[2 * (kind is BodyType.CR) + (not same_key)]
    asking = Asking(bank, kind, bank.holder(days_left=20))
    await reach(asking)
    bank.hand_over()
    before, count = asking.issued, bank.issued()
    answer = await asking.ask(same_key=same_key)
    bank.hand_over()
    if isinstance(expected, FailInfo):
        assert refusal(answer) == (ANSWERS[kind], {expected})
        assert bank.issued() == count
    elif expected == WAITS:
        assert status_of(answer).status == Status.WAITING
        assert bank.issued() == count
    else:
        assert status_of(answer).status == Status.ACCEPTED
        assert bank.issued() == count + (expected == FRESH)
        assert (asking.issued == before) == (expected == SAME)
        await asking.confirm()
        _check_confirmed(asking, before)


def _check_confirmed(asking: Asking, before: Certificate | None) -> None:
    bank, new = asking.bank, asking.issued
    assert new is not None
    assert bank.state(new) is CertificateState.VALID
    replaces = asking.kind is BodyType.KUR
    old = CertificateState.SUPERSEDED if replaces else CertificateState.VALID
    assert bank.state(asking.holder.certificate) is old
    if replaces and before not in (None, new):
        assert before is not None
        assert bank.state(before) is CertificateState.REVOKED, "one certificate has one successor"
