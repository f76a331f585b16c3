"""The kiosk's own client against the CA that ships with it: every operation, and what the customer is told of a no."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kiosk.ca.policy import Policy
from kiosk.ca.schema import CertificateState, PromiseKind, PromiseState
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import AnswerWaits, CmpError, Refused
from kiosk.cmp.mac import MacKind
from kiosk.cmp.peer import Confirming, Peer
from kiosk.cmp.signing import Signer
from tests.ca.bank import Bank, new_key

VALID, REVOKED = CertificateState.VALID, CertificateState.REVOKED


def client(bank: Bank, peer: Peer | None = None, *, decides: bool | None = None, patience: float = 1e6) -> CmpClient:
    """A client beside whom, if it waits, a teller decides after the second time."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        bank.now += timedelta(seconds=seconds)
        if decides is not None and len(slept) == 2:
            bank.decide(approve=decides)

    peer = peer or Peer()
    return CmpClient(
        bank.http,
        "http://ca.invalid/.well-known/cmp",
        Trust((bank.authority.root,), (bank.authority.issuing,)),
        peer=replace(peer, polling=replace(peer.polling, total=patience)),
        clock=lambda: bank.now,
        random=bank.random,
        sleep=sleep,
        monotonic=lambda: sum(slept),
    )


async def refusal_of(asked: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await asked  # type: ignore[misc]
    return caught.value


@pytest.mark.parametrize("mac", MacKind)
async def test_from_a_code_to_a_revocation(bank: Bank, mac: MacKind) -> None:
    asks = client(bank)
    bank.newcomer()
    code, key = bank.code("TKYM1408054", mac), new_key()
    assert (await asks.general(code)).ca_certificates == (bank.authority.issuing,)
    issued = await asks.enrol(code, key)
    await asks.confirm(issued)
    first = Signer(key, issued.certificate, (bank.authority.issuing,))
    others = [await asks.certify(first, new_key())]
    await asks.confirm(others[0])
    others.append(await asks.certify_pkcs10(first, new_key(), first.sender))
    await asks.confirm(others[1])
    known = await asks.current_crl(first)
    assert known is not None
    assert await asks.newer_crl(first, bank.authority.issuing, known) is None
    bank.now += timedelta(seconds=1)
    await asks.revoke(first, others[0].certificate, 1)
    assert await asks.newer_crl(first, bank.authority.issuing, known) is not None
    states = [bank.state(each.certificate) for each in (issued, *others)]
    assert states == [VALID, REVOKED, VALID]
    bank.now = issued.certificate.not_after - timedelta(days=10)
    renewed = await asks.update(first, new_key())
    await asks.confirm(renewed)
    assert bank.state(issued.certificate) is CertificateState.SUPERSEDED


async def test_confirmed_at_once(bank: Bank) -> None:
    asks = client(bank, Peer(confirming=Confirming.IMPLICIT))
    issued = await asks.enrol(bank.newcomer(), new_key())
    assert bank.promises() == [(PromiseKind.CODE, PromiseState.CONFIRMED)]
    assert bank.state(issued.certificate) is VALID


async def test_it_waits_for_a_teller_who_says_yes(bank: Bank) -> None:
    bank.obey(Policy(approval=frozenset(PromiseKind)))
    asks = client(bank, decides=True)
    issued = await asks.enrol(bank.newcomer(), new_key())
    await asks.confirm(issued)
    assert bank.state(issued.certificate) is VALID


async def test_it_waits_for_a_teller_who_says_no(bank: Bank) -> None:
    bank.obey(Policy(approval=frozenset(PromiseKind)))
    told = await refusal_of(client(bank, decides=False).update(bank.holder(), new_key()))
    assert told.fail_info == {"notAuthorized"}
    assert told.proven


async def test_it_does_not_wait_for_ever(bank: Bank) -> None:
    bank.obey(Policy(approval=frozenset(PromiseKind)))
    with pytest.raises(AnswerWaits):
        await client(bank, patience=300).update(bank.holder(), new_key())
    assert bank.promises() == [(PromiseKind.UPDATE, PromiseState.WAITING)]


async def test_each_no_to_a_code_can_be_told_from_the_others(bank: Bank) -> None:
    asks, code = client(bank), bank.newcomer()
    wrong = replace(code, secret=b"0" * 17)
    told = {"wrong": await refusal_of(asks.general(wrong))}
    await asks.enrol(code, new_key())
    told["bound"] = await refusal_of(asks.enrol(code, new_key()))
    for _ in range(bank.policy.most_tries):
        await refusal_of(asks.general(wrong))
    told["paused"] = await refusal_of(asks.general(code))
    bank.now += bank.policy.code_life + timedelta(seconds=1)
    told["expired"] = await refusal_of(asks.general(code))
    assert all(each.proven for each in told.values())
    assert {name for name, each in told.items() if each.by_secret} == {"bound", "expired"}
    assert {name: set(each.fail_info) for name, each in told.items()} == {
        "wrong": {"badMessageCheck"},
        "bound": {"notAuthorized"},
        "paused": {"systemUnavail"},
        "expired": {"notAuthorized"},
    }
    assert {name for name, each in told.items() if each.decided} == {"bound"}


async def test_whoever_signs_with_another_key_gets_nothing(bank: Bank) -> None:
    with pytest.raises(CmpError):
        await client(bank).update(replace(bank.holder(), key=new_key()), new_key())
    assert bank.rows() == 0
