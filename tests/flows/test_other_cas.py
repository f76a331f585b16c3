"""Whole visits with CAs that know less, or promise less, than the one that ships with the kiosk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography import x509

from kiosk.ca.authority import Authority, load_authority
from kiosk.certificates import Certificate, PublicKey
from kiosk.clock import one_year_after, system_clock
from kiosk.cmp import der
from kiosk.cmp.algorithms import Family, family_of
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.messages import PkiMessage
from kiosk.cmp.requests import read_requests
from kiosk.cmp.signing import Signer
from kiosk.cmp.status import rejection, write_error
from kiosk.cmp.vocabulary import BodyType, FailInfo
from kiosk.credentials import successor_key_id
from kiosk.demo_bank import Customer, DemoBank, manual_subject, prepare, softhsm
from kiosk.desk import SavingStep
from kiosk.errors import Changed, Code, Problem
from kiosk.journal import Entry, Event, Journal
from kiosk.settings import CaSettings, Settings
from kiosk.texts import Texts
from kiosk.tokens.wire import KeyKind, ObjectKind
from kiosk.visit import Outcome
from tests.bank import Bank
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import Identity
from tests.scripted_desk import ScriptedDesk


@pytest.fixture
async def bank(tmp_path: Path) -> Bank:
    return await small_bank(tmp_path / "bank", KeyKind.EC_P256)


async def small_bank(directory: Path, kind: KeyKind) -> Bank:
    """Without the CA that ships with the kiosk: it is not asked here."""
    directory.mkdir()
    await prepare(directory, [Customer(key_kind=kind)], keep=False)
    settings = Settings(
        token=softhsm(directory),
        ca=CaSettings("http://ca.invalid/cmp", str(directory / "chain.pem"), str(directory / "ca" / "tls-root.pem")),
        journal=str(directory / "journal.sqlite"),
    )
    return Bank(DemoBank(directory, settings))


Facts = dict[str, Any]
KUR, GENM, CERTCONF, POLLREQ = BodyType.KUR, BodyType.GENM, BodyType.CERTCONF, BodyType.POLLREQ


class BanksHouse:
    """The demo bank's own keys, in the hands of another CA program."""

    def __init__(self, authority: Authority, subject: x509.Name) -> None:
        self._authority = authority
        self._subject = subject
        self.issued: list[Certificate] = []

    @property
    def issuing(self) -> Identity:
        return Identity(self._authority.issuing_key, self._authority.issuing)

    @property
    def ca_signer(self) -> Signer:
        return self._authority.signer

    def successor(self, key: PublicKey) -> Certificate:
        certificate = self.ending(one_year_after(system_clock()), key)
        self.issued.append(certificate)
        return certificate

    def ending(self, end: datetime, key: PublicKey) -> Certificate:
        return self._authority.issue(self._subject, key, system_clock() - timedelta(minutes=1), end)


@dataclass
class Branch:
    """The bank, with a kiosk whose settings name another CA."""

    bank: Bank
    ca: FakeCa
    house: BanksHouse
    slept: list[float] = field(default_factory=list)

    async def visit(self, desk: ScriptedDesk | None = None) -> Outcome:
        return await self.bank.visit(desk or ScriptedDesk(), through=self.talk_to_the_other_ca)

    def entries(self) -> list[Entry]:
        with Journal(Path(self.bank.settings.journal)) as journal:
            return journal.entries()

    def told(self, event: Event) -> list[str]:
        return [entry.detail for entry in self.entries() if entry.event == event]

    def talk_to_the_other_ca(self, real: CmpClient) -> CmpClient:
        authority = load_authority(self.bank.directory / "ca")
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._serve))
        trust = Trust((authority.root,), (authority.issuing,))
        url = self.bank.settings.ca.url
        return CmpClient(http, url, trust, peer=real.peer, sleep=self._sleep, monotonic=lambda: sum(self.slept))

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(405) if request.method == "HEAD" else await self.ca(request)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def branch(bank: Bank, *, ca: Facts | None = None, settings: Facts | None = None) -> Branch:
    house = BanksHouse(load_authority(bank.directory / "ca"), manual_subject())
    changed = msgspec.structs.replace(bank.settings.ca, **as_read(settings or {}))
    told = DemoBank(bank.directory, msgspec.structs.replace(bank.settings, ca=changed))
    return Branch(Bank(told), FakeCa(house, clock=system_clock, **(ca or {})), house)


LIKE_EJBCA: Facts = {"preset": "ejbca", "signer_rule": "purpose"}
"""The demo's issuing CA may not sign messages, so its signer does."""
WAYS: dict[str, tuple[Facts, Facts, list[BodyType]]] = {
    "explicit": ({"preset": "rfc9483"}, {}, [GENM, GENM, KUR, CERTCONF]),
    "like EJBCA": (LIKE_EJBCA, {}, [KUR, CERTCONF]),
    "knows no certConf": ({"confirming": "none"}, {}, [GENM, GENM, KUR]),
    "implicit": ({"confirming": "implicit"}, {"implicit": True}, [GENM, GENM, KUR]),
    "implicit, not granted": ({"confirming": "implicit"}, {}, [GENM, GENM, KUR, CERTCONF]),
}


def as_read(settings: Facts) -> Facts:
    """As a settings file would have them read."""
    full = {"url": "https://ca.invalid/", "roots": "", "tls_roots": ""} | settings
    read = msgspec.convert(full, CaSettings)
    return {name: getattr(read, name) for name in settings}


@pytest.mark.parametrize("way", WAYS)
async def test_the_old_goes_only_after_the_new_is_proven(bank: Bank, way: str) -> None:
    settings, facts, kinds = WAYS[way]
    old = await bank.credential()
    at = branch(bank, ca=facts, settings=settings)
    outcome = await at.visit()

    assert outcome.problem is None
    assert at.ca.kinds == kinds
    events = [entry.event for entry in at.entries()]
    assert events.index(Event.PROVEN) < events.index(Event.CONFIRMED) < events.index(Event.RETIRING)
    assert (await bank.credential()).certificate == at.house.issued[-1] != old.certificate
    silent = at.told(Event.CONFIRMED) == ["the CA waits for no confirmation"]
    assert silent == (CERTCONF not in kinds)
    assert (at.told(Event.PREPROCESSED) == ["the CA was only knocked at"]) == (GENM not in kinds)


class Cut(Exception):
    """The kiosk's process ends here."""


def cut_at(step: SavingStep) -> ScriptedDesk:
    def cut(begun: SavingStep) -> None:
        if begun is step:
            raise Cut

    return ScriptedDesk(at_step=cut)


@pytest.mark.parametrize("step", list(SavingStep))
@pytest.mark.parametrize("way", ["explicit", "like EJBCA"])
async def test_a_cut_renewal_is_finished_with_a_ca_that_remembers_nothing(
    bank: Bank, way: str, step: SavingStep
) -> None:
    """The key is given up where its certificate never reached the token, or counts for nothing unless confirmed."""
    settings, facts, _ = WAYS[way]
    old = await bank.credential()
    at = branch(bank, ca=facts, settings=settings)
    with pytest.raises(ExceptionGroup):
        await at.visit(cut_at(step))
    outcome = await at.visit()

    assert outcome.problem is None
    new = (await bank.credential()).certificate
    assert new == at.house.issued[-1]
    assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind)
    steps = list(SavingStep)
    key_was_made = steps.index(step) > steps.index(SavingStep.KEY)
    was_written = steps.index(step) > steps.index(SavingStep.WRITE)
    goes_on = was_written and way == "like EJBCA"
    assert bool(at.told(Event.REMOVING_KEY)) == (key_was_made and not goes_on)
    assert ("found on the token" in at.told(Event.ISSUED)) == goes_on
    keys = [read_requests(message.body)[0].public_key_der for message in at.ca.asked if message.body_type == KUR]
    assert len(set(keys)) == len(keys), "never the same key twice"
    assert successor_key_id(old.certificate) != successor_key_id(new)


async def test_what_an_earlier_visit_has_written_is_looked_at_again(bank: Bank) -> None:
    """Nobody is asked for another one where it counts from its issue: it has to be what a renewal brings."""
    settings, facts, _ = WAYS["like EJBCA"]
    old = await bank.credential()
    at = branch(bank, ca=facts, settings=settings)
    with pytest.raises(ExceptionGroup):
        await at.visit(cut_at(SavingStep.CONFIRM))
    async with await bank.open_token() as token:
        written = (await token.inventory()).successor(old)
        assert written is not None
        (stored,) = (await token.inventory()).certificates_of(written)
        no_longer = at.house.ending(old.certificate.not_after, written.certificate.public_key)
        assert await token.remove(stored)
        await token.write_certificate(no_longer, stored.key_id, stored.label)
        before = set((await token.inventory()).objects)

    outcome = await at.visit()
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.detail) == (Code.NEW_CERTIFICATE_WRONG, "certificate-end")
    assert set((await bank.inventory()).objects) == before, "the old one is there still"


async def test_a_key_that_cannot_be_given_up_is_not_hidden(bank: Bank) -> None:
    """The CA revokes what is not confirmed, and tells nothing before a request: so nobody here knows which counts."""
    settings: Facts = {"preset": "rfc9483", "answers_general": False}
    at = branch(bank, settings=settings)
    with pytest.raises(ExceptionGroup):
        await at.visit(cut_at(SavingStep.CONFIRM))
    before = await bank.inventory()
    outcome = await at.visit()
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.SUCCESSOR_UNDECIDED, Changed.STORED)
    assert await bank.inventory() == before
    assert at.ca.kinds.count(KUR) == 1


async def test_approval_is_waited_for(bank: Bank) -> None:
    at = branch(bank, ca={"polls": 3, "waits": KUR}, settings={"poll_seconds": 60.0})
    outcome = await at.visit()
    assert outcome.problem is None
    assert at.slept == [7.0] * 3
    assert at.ca.kinds == [GENM, GENM, KUR, *[POLLREQ] * 4, CERTCONF]


async def test_approval_that_does_not_come_in_time_loses_nothing(bank: Bank) -> None:
    old = await bank.credential()
    at = branch(bank, ca={"polls": 100, "waits": KUR}, settings={"poll_seconds": 20.0})
    outcome = await at.visit()
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.WAITS_FOR_APPROVAL, Changed.UNFINISHED)
    assert at.slept == [7.0, 7.0]
    inventory = await bank.inventory()
    assert inventory.has_successor_key(old)
    assert not at.told(Event.REMOVING_KEY)

    at.ca.polls = 0
    assert (await at.visit()).problem is None
    keys = [read_requests(message.body)[0].public_key_der for message in at.ca.asked if message.body_type == KUR]
    assert len(keys) == 2
    assert len(set(keys)) == 1, "the same key again, which the CA may have approved by then"


def unprotected(only: BodyType) -> Facts:
    """Whoever is on the way writes a refusal in the CA's place."""

    def strip(wire: bytes) -> bytes:
        message = der.decode(PkiMessage, wire)
        message.protection = None
        return der.encode(message)

    error = write_error(rejection([FailInfo.CERT_REVOKED], "go away"))
    return {"only_for": only, "body": lambda *_: (BodyType.ERROR, error), "wire": strip}


@pytest.mark.parametrize(("asked", "changed"), [(GENM, Changed.NOTHING), (KUR, Changed.UNFINISHED)])
@pytest.mark.parametrize("settings", [{}, {"preset": "rfc9483"}], ids=["same key", "new key"])
async def test_an_unprotected_error_changes_nothing_and_proves_nothing(
    bank: Bank, settings: Facts, asked: BodyType, changed: Changed
) -> None:
    old = await bank.credential()
    at = branch(bank, ca=unprotected(asked), settings=settings)
    desk = ScriptedDesk()
    outcome = await at.visit(desk)
    assert outcome.problem == Problem(Code.REFUSAL_NOT_PROVEN, changed, "unproven: certRevoked")
    assert desk.problem == outcome.problem
    (told,) = [entry for entry in at.entries() if entry.event == Event.PROBLEM]
    assert (told.code, told.detail) == ("C-08", "unproven: certRevoked")
    assert not at.told(Event.REMOVING_KEY), "the CA may have certified it"
    async with await bank.open_token() as token:
        assert await token.proves(old)

    at.ca.only_for = POLLREQ
    assert (await at.visit()).problem is None


@pytest.mark.parametrize(("language", "says"), [("ja", "署名のない"), ("en", "unsigned")])
def test_the_teller_is_told_that_it_is_unproven(language: str, says: str) -> None:
    assert says in Texts(language).of_problem(Problem(Code.REFUSAL_NOT_PROVEN), "teller").lower()


@pytest.mark.parametrize(
    "settings", [{"confirming": "none"}, {"confirming": "implicit"}], ids=["no certConf", "implicit"]
)
async def test_what_cannot_be_given_back_is_told(bank: Bank, settings: Facts) -> None:
    """Another key's certificate: it is not written, the old one stays, and the journal says that nobody revoked it."""
    old = await bank.credential()
    at = branch(bank, ca={"implicit": True}, settings=settings)
    at.ca.issue = lambda _: at.house.successor(old.certificate.public_key)
    outcome = await at.visit()
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.detail) == (Code.NEW_CERTIFICATE_WRONG, "certificate-key")
    assert "not rejected" in at.told(Event.PROBLEM)
    assert (await bank.credential()).certificate == old.certificate


async def test_a_ca_that_wants_rsassa_pss(tmp_path: Path) -> None:
    bank = await small_bank(tmp_path / "rsa", KeyKind.RSA_2048)
    at = branch(bank, settings={"request_protection": "rsa-pss"})
    assert (await at.visit()).problem is None
    (asked,) = [message for message in at.ca.asked if message.body_type == KUR]
    (request,) = read_requests(asked.body)
    assert asked.header.protection_algorithm is not None
    assert family_of(asked.header.protection_algorithm) is Family.RSA_PSS
    request.verify_proof(request.public_key())
    assert request.proof.algorithm is not None
    assert family_of(request.proof.algorithm) is Family.RSA_PSS
