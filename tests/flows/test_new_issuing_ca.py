"""The CA issues under another intermediate than before, which a kiosk need not know yet, or knows no more.

What has been begun is found again all the same: only what is removed as ours has to be known as ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from kiosk.ca.authority import load_authority
from kiosk.certificates import Certificate, PublicKey
from kiosk.clock import one_year_after, system_clock
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.signing import Signer
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import BodyType, FailInfo
from kiosk.credentials import enrolment_key_id
from kiosk.demo_bank import Customer, DemoBank, make_software_token, manual_subject
from kiosk.desk import Errand, SavingStep
from kiosk.journal import Event
from kiosk.tokens.token import Token
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import Identity, certificate, new_key
from tests.flows.test_conversation import Cut, cut_at
from tests.flows.test_other_cas import LIKE_EJBCA, BanksHouse, Branch, Facts, branch, small_bank
from tests.scripted_desk import ScriptedDesk
from tests.tokens.test_slots import PLACES, with_places

ID = Customer().holder_id


def _authority(name: str, issuer: Identity | None = None) -> Identity:
    key, now = new_key(), system_clock()
    begin, end = now - timedelta(days=1000), now + timedelta(days=3000)
    made = certificate(
        name, key.public_key(), issuer, signing_key=key, authority=True, signs=False, begin=begin, end=end
    )
    return Identity(key, made)


@dataclass
class Cas:
    """Another root, and the intermediate that issues from now on."""

    root: Identity = field(default_factory=lambda: _authority("Another Root"))
    issuing: Identity = field(init=False)

    def __post_init__(self) -> None:
        self.issuing = _authority("Another Issuing", self.root)

    def issue(self, key: PublicKey, begin: datetime, end: datetime) -> Certificate:
        return certificate(manual_subject(), key, self.issuing, begin=begin, end=end)


class RolledHouse(BanksHouse):
    """Issues under the other root, and sends the intermediate along."""

    cas: Cas

    @property
    def ca_signer(self) -> Signer:
        signer = super().ca_signer
        return replace(signer, chain=(*signer.chain, self.cas.issuing.certificate))

    def successor(self, key: PublicKey) -> Certificate:
        now = system_clock()
        self.issued.append(self.cas.issue(key, now - timedelta(minutes=1), one_year_after(now)))
        return self.issued[-1]


class RolledBranch(Branch):
    """Its kiosk knows both roots, and the intermediate of only one."""

    house: RolledHouse

    def talk_to_the_other_ca(self, real: CmpClient) -> CmpClient:
        authority = load_authority(self.bank.directory / "ca")
        trust = Trust((authority.root, self.house.cas.root.certificate), (authority.issuing,))
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._serve))
        return CmpClient(http, self.bank.settings.ca.url, trust, peer=real.peer, sleep=self._sleep)


async def rolled(tmp_path: Path, settings: Facts, *places: bytes) -> RolledBranch:
    at = branch(await small_bank(tmp_path / "bank", KeyKind.EC_P256), settings=settings)
    house = RolledHouse(load_authority(at.bank.directory / "ca"), manual_subject())
    house.cas = Cas()
    bank = pinned(at.bank, house.cas.root.certificate)
    return RolledBranch(with_places(bank, *places) if places else bank, FakeCa(house, clock=system_clock), house)


async def test_what_counts_from_its_issue_is_not_given_up(tmp_path: Path) -> None:
    at = await rolled(tmp_path, LIKE_EJBCA)
    with pytest.RaisesGroup(Cut):
        await at.visit(ScriptedDesk(at_step=cut_at(SavingStep.CONFIRM)))
    before = await at.bank.inventory()
    assert before.credential_of(at.house.issued[-1]) is not None
    await at.visit()
    assert at.told(Event.REMOVING_KEY) == []
    assert (await at.bank.inventory()).credential_of(at.house.issued[-1]) is not None


def superseded(old: Certificate, at: RolledBranch, kind: BodyType) -> None:
    """From now on the CA takes no such message by the old certificate."""

    def body(answer: int, content: bytes) -> tuple[int, bytes]:
        if old.der not in at.ca.asked[-1].extra_certificates:
            return answer, content
        return BodyType.ERROR, write_error(rejection([FailInfo.CERT_REVOKED], "superseded"))

    at.ca.only_for, at.ca.body = kind, body


@pytest.mark.parametrize("settings", [{}, {"preset": "rfc9483"}], ids=["the same key", "a new key"])
async def test_what_the_ca_has_confirmed_is_not_cleaned_away(tmp_path: Path, settings: Facts) -> None:
    at = await rolled(tmp_path, settings)
    old = await at.bank.credential()
    with pytest.RaisesGroup(Cut):
        await at.visit(ScriptedDesk(at_step=cut_at(SavingStep.RETIRE)))
    superseded(old.certificate, at, BodyType.GENM)
    await at.visit()
    assert (await at.bank.inventory()).credential_of(at.house.issued[0]) is not None
    assert at.told(Event.REMOVING_KEY) == []


async def test_nor_given_up_where_it_has_its_own_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token was pulled as the old one was to go."""
    at = await rolled(tmp_path, LIKE_EJBCA)
    old, remove = await at.bank.credential(), Token.remove

    async def pulled(*_: object) -> bool:
        raise Cut

    monkeypatch.setattr(Token, "remove", pulled)
    with pytest.RaisesGroup(Cut):
        await at.visit()
    monkeypatch.setattr(Token, "remove", remove)
    superseded(old.certificate, at, BodyType.KUR)
    await at.visit()
    assert (await at.bank.inventory()).credential_of(at.house.issued[0]) is not None
    assert at.told(Event.REMOVING_KEY) == []


async def test_on_a_card_with_places_what_was_begun_is_found(tmp_path: Path) -> None:
    at = await rolled(tmp_path, {}, *PLACES)
    with pytest.RaisesGroup(Cut):
        await at.visit(ScriptedDesk(at_step=cut_at(SavingStep.CONFIRM)))
    assert (await at.visit()).completion is not None
    assert (await at.bank.credential()).key_id == PLACES[1]


def pinned(bank: Bank, *more: Certificate) -> Bank:
    """The bank at a kiosk that knows these CAs besides."""
    path = bank.directory / "more-roots.pem"
    pem = b"".join(each.x509.public_bytes(Encoding.PEM) for each in more)
    path.write_bytes(Path(bank.settings.ca.roots).read_bytes() + pem)
    return with_roots(bank, path)


def with_roots(bank: Bank, path: Path) -> Bank:
    ca = msgspec.structs.replace(bank.settings.ca, roots=str(path))
    return Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=ca)))


@pytest.mark.parametrize("step", [SavingStep.REQUEST, SavingStep.WRITE, SavingStep.CONFIRM])
async def test_an_enrolment_is_found_where_the_old_one_is_not_known(tmp_path: Path, step: SavingStep) -> None:
    """The ID's newest certificate, by which the key's ID is told, is not ours there."""
    cas, now = Cas(), system_clock()
    async with open_bank(tmp_path / "bank", days_left=-1) as bank:
        async with await bank.open_token() as token:
            key = await token.make_key_pair(KeyKind.EC_P256, b"older", "older")
            old = cas.issue(key.public_key, now - timedelta(days=400), now - timedelta(minutes=2))
            await token.write_certificate(old, b"older", "older")
        knows_both = pinned(bank, cas.root.certificate, cas.issuing.certificate)
        code = bank.code()
        with pytest.RaisesGroup(Cut):
            await knows_both.visit(ScriptedDesk(enrols=True, codes=[code], at_step=cut_at(step)))
        begun = enrolment_key_id(ID, old)
        assert (await bank.inventory()).has_key(begun)
        outcome = await bank.visit(ScriptedDesk(enrolment_ids=[ID], codes=[code]), errand=Errand.ENROLMENT)
        assert outcome.completion is not None
        assert {each.key_id for each in (await bank.inventory()).credentials} == {begun, b"older"}


@pytest.mark.parametrize("step", [None, SavingStep.CONFIRM])
async def test_an_enrolment_ends_at_a_kiosk_that_knows_the_root_alone(tmp_path: Path, step: SavingStep | None) -> None:
    async with open_bank(tmp_path / "bank") as bank:
        await make_software_token(bank.directory, bank.settings.token)
        kiosk, code = with_roots(bank, bank.directory / "ca" / "root.pem"), bank.code()
        if step:
            with pytest.RaisesGroup(Cut):
                desk = ScriptedDesk(enrolment_ids=[ID], codes=[code], at_step=cut_at(step))
                await kiosk.visit(desk, errand=Errand.ENROLMENT)
        outcome = await kiosk.visit(ScriptedDesk(enrolment_ids=[ID], codes=[code]), errand=Errand.ENROLMENT)
        assert outcome.completion is not None
        assert (await bank.credential()).certificate == outcome.completion.certificate


async def test_and_the_next_one_leaves_it_alone_until_it_has_ended_itself(tmp_path: Path) -> None:
    """The kiosk does not know that it is ours; its key has the ID that the next one would have."""
    async with open_bank(tmp_path / "bank") as bank:
        await make_software_token(bank.directory, bank.settings.token)
        kiosk = with_roots(bank, bank.directory / "ca" / "root.pem")
        first = await kiosk.visit(ScriptedDesk(enrolment_ids=[ID], codes=[bank.code()]), errand=Errand.ENROLMENT)
        assert first.completion is not None
        with pytest.RaisesGroup(Cut):
            desk = ScriptedDesk(enrolment_ids=[ID], codes=[bank.code()], at_step=cut_at(SavingStep.WRITE))
            await kiosk.visit(desk, errand=Errand.ENROLMENT)
        assert (await bank.credential()).certificate == first.completion.certificate
