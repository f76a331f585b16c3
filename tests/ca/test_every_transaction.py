"""Each kind of transaction of the kiosk's client with the CA that ships: confirmed, rejected, decided by a teller."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx
import pytest

from kiosk.ca.policy import Policy
from kiosk.ca.schema import CertificateState, PromiseKind
from kiosk.ca.web import create_app
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.envelope import Protector
from kiosk.cmp.errors import AnswerWaits, Refused
from kiosk.cmp.issued import Issued
from kiosk.cmp.mac import MacKind
from kiosk.cmp.peer import KIOSK, Confirming, Peer
from kiosk.cmp.signing import Signer, SoftwareKey
from tests.ca.bank import Bank, new_key, on_both

pytestmark = on_both

URL = "http://ca.invalid/.well-known/cmp"


@dataclass
class Teller:
    """Decides after so many waits; the clock goes on only while somebody waits."""

    bank: Bank
    approves: bool = True
    after: int = 2
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self.after:
            assert self.bank.decide(approve=self.approves)


def client_of(bank: Bank, peer: Peer = KIOSK, teller: Teller | None = None) -> CmpClient:
    teller = teller or Teller(bank)
    return CmpClient(
        httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(bank.responder))),
        URL,
        Trust((bank.authority.root,), (bank.authority.issuing,)),
        peer=peer,
        clock=lambda: bank.now,
        sleep=teller.sleep,
        monotonic=lambda: sum(teller.slept),
    )


async def ask(client: CmpClient, kind: str, protector: Protector, key: SoftwareKey) -> Issued:
    if kind == "ir":
        return await client.enrol(protector, key)
    if kind == "p10cr":
        return await client.certify_pkcs10(protector, key, protector.sender)
    assert isinstance(protector, Signer)
    return await (client.certify(protector, key) if kind == "cr" else client.update(protector, key))


def asker_of(bank: Bank, by: str) -> Protector:
    return bank.holder() if by == "holder" else replace(bank.newcomer(), kind=MacKind(by))


KINDS = [
    ("ir", "pbm"),
    ("ir", "pbmac1"),
    ("ir", "holder"),
    ("cr", "holder"),
    ("p10cr", "holder"),
    ("kur", "holder"),
]


@pytest.mark.parametrize(("kind", "by"), KINDS)
@pytest.mark.parametrize("confirming", list(Confirming))
async def test_a_certificate_is_issued(bank: Bank, kind: str, by: str, confirming: Confirming) -> None:
    client, key = client_of(bank, Peer(confirming=confirming)), new_key()
    protector = asker_of(bank, by)
    told = await client.general(protector)
    assert told.proven
    issued = await ask(client, kind, protector, key)
    assert issued.implicitly_confirmed == (confirming is Confirming.IMPLICIT)
    await client.confirm(issued)
    confirmed = confirming is not Confirming.NONE
    assert bank.state(issued.certificate) is (CertificateState.VALID if confirmed else CertificateState.UNCONFIRMED)
    assert issued.certificate.public_key == key.public_key


@pytest.mark.parametrize(("kind", "by"), KINDS)
async def test_a_certificate_is_rejected(bank: Bank, kind: str, by: str) -> None:
    client = client_of(bank)
    issued = await ask(client, kind, asker_of(bank, by), new_key())
    await client.reject(issued, "not wanted")
    assert bank.state(issued.certificate) is CertificateState.REVOKED


@pytest.mark.parametrize(("kind", "by"), KINDS)
@pytest.mark.parametrize("approves", [True, False])
async def test_a_teller_decides_while_the_kiosk_polls(bank: Bank, kind: str, by: str, approves: bool) -> None:
    bank.obey(Policy(approval=frozenset(PromiseKind)))
    teller = Teller(bank, approves)
    client = client_of(bank, teller=teller)
    protector, key = asker_of(bank, by), new_key()
    if not approves:
        with pytest.raises(Refused) as caught:
            await ask(client, kind, protector, key)
        assert (caught.value.proven, caught.value.decided) == (True, True)
        return
    issued = await ask(client, kind, protector, key)
    await client.confirm(issued)
    assert bank.state(issued.certificate) is CertificateState.VALID
    assert teller.slept == [KIOSK.polling.longest_wait] * 2, "the CA says a minute, the kiosk less"


@pytest.mark.parametrize(("kind", "by"), KINDS)
async def test_a_teller_who_takes_longer_is_asked_by_the_same_key(bank: Bank, kind: str, by: str) -> None:
    bank.obey(Policy(approval=frozenset(PromiseKind)))
    client = client_of(bank, teller=Teller(bank, after=10**6))
    protector, key = asker_of(bank, by), new_key()
    with pytest.raises(AnswerWaits) as caught:
        await ask(client, kind, protector, key)
    assert caught.value.check_after == 60
    assert bank.decide(approve=True) == 1
    await client.confirm(await ask(client, kind, protector, key))
    assert bank.rows() == 1


async def test_a_lost_certificate_is_revoked_and_listed(bank: Bank) -> None:
    client, holder = client_of(bank), bank.holder()
    first = await client.current_crl(holder)
    assert first is not None
    assert await client.newer_crl(holder, bank.authority.issuing, first) is None
    other = await client.certify(holder, new_key())
    await client.confirm(other)
    await client.revoke(holder, other.certificate, 1)
    bank.now += timedelta(seconds=1)
    newer = await client.newer_crl(holder, bank.authority.issuing, first)
    assert newer is not None
    assert other.certificate.serial_number in newer.revoked
    with pytest.raises(Refused) as refused:
        await client.revoke(holder, other.certificate, 1)
    assert refused.value.fail_info == {"certRevoked"}


async def test_a_wrong_code_is_a_proven_refusal(bank: Bank) -> None:
    code = replace(bank.newcomer(), secret=b"00000000000000000")
    with pytest.raises(Refused) as caught:
        await client_of(bank).enrol(code, new_key())
    assert caught.value.fail_info == {"badMessageCheck"}
    assert caught.value.proven
