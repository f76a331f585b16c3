"""Whole conversations whose successor goes into a real NSS database; the old credential is in a real SoftHSM token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kiosk.ca.authority import load_authority
from kiosk.clock import system_clock
from kiosk.credentials import HolderKind, successor_key_id
from kiosk.demo_bank import Customer, DemoBank
from kiosk.desk import (
    Destination,
    MenuChoice,
    NoticeAnswer,
    RetirementQuestion,
    WebAccessQuestion,
)
from kiosk.journal import Event
from kiosk.tokens.presence import LOOK_EVERY
from kiosk.tokens.wire import KeyKind
from kiosk.visit import Outcome
from tests.bank import Bank, child_processes, open_bank
from tests.pc.customer import NAME, pc_desk, trust_of
from tests.screens.test_hands import ScriptedReception
from tests.scripted_desk import ScriptedDesk
from tests.tokens.pulled_token import PulledToken

SAVE = [
    "preprocessing",
    "destination",
    "web-access 1/2",
    "web-access 2/2",
    "key",
    "request",
    "write",
    "prove",
    "confirm",
    "retirement",
    "completion",
]


async def test_pc_now(bank: Bank) -> None:
    old = await bank.credential()
    token = await bank.inventory()
    desk = pc_desk()
    outcome = await bank.visit(desk)

    assert outcome.problem is None
    assert outcome.completion is not None
    assert desk.asked == ["pin", "notice", *SAVE]
    new = await bank.pc_credential()
    assert new.certificate == outcome.completion.certificate
    assert outcome.completion.destination is Destination.PC
    assert outcome.completion.replaced == old.certificate
    assert new.certificate.subject_der == old.certificate.subject_der
    assert new.certificate.public_key_der != old.certificate.public_key_der
    assert new.key_id == successor_key_id(old.certificate)
    assert bank.states() == {old.certificate.serial: "superseded", new.certificate.serial: "valid"}
    assert trust_of(bank) == ["u,u,u"]
    assert await bank.inventory() == token, "nobody said that the old one may go"


async def test_pc_later(bank: Bank) -> None:
    desk = pc_desk(notice=NoticeAnswer.LATER, menu=[MenuChoice.RENEW])
    outcome = await bank.visit(desk)
    assert outcome.completion is not None
    assert desk.asked == ["pin", "notice", "menu", *SAVE]


async def test_only_the_last_question_says_that_there_is_no_way_back(bank: Bank) -> None:
    desk = pc_desk()
    await bank.visit(desk)
    assert [each.last for each in desk.seen if isinstance(each, WebAccessQuestion)] == [False, True]


async def test_rsa(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", kind=KeyKind.RSA_2048, pc=True) as bank:
        assert (await bank.visit(pc_desk())).completion is not None
        new = await bank.pc_credential()
        assert isinstance(new.certificate.public_key, RSAPublicKey)
        assert trust_of(bank) == ["u,u,u"]
        assert "rsa" in bank.certutil("-K")


async def test_the_old_credential_goes_only_after_its_own_question(bank: Bank) -> None:
    old = await bank.credential()
    desk = pc_desk(retires=True)
    outcome = await bank.visit(desk)
    assert outcome.completion is not None
    (question,) = (each for each in desk.seen if isinstance(each, RetirementQuestion))
    assert question.certificate == old.certificate
    assert (await bank.inventory()).objects == ()
    assert bank.events()[-4:] == [Event.COMPLETED, Event.RETIRING, Event.RETIRED, Event.VISIT_ENDED]
    await bank.pc_credential()


async def test_the_journal_tells_that_the_old_one_was_kept(bank: Bank) -> None:
    await bank.visit(pc_desk())
    assert bank.events()[-3:] == [Event.COMPLETED, Event.OLD_KEPT, Event.VISIT_ENDED]


TURNING_BACK: dict[str, Callable[[], ScriptedDesk]] = {
    "destination": lambda: ScriptedDesk(destination=None),
    "web access 1": lambda: pc_desk(web_access=[False, True]),
    "web access 2": lambda: pc_desk(web_access=[True, False]),
}


@pytest.mark.parametrize("question", TURNING_BACK)
async def test_turning_back_leaves_both_stores_and_the_ca_untouched(bank: Bank, question: str) -> None:
    token, ledger = await bank.inventory(), bank.ledger()
    desk = TURNING_BACK[question]()
    outcome = await bank.visit(desk)
    assert outcome.completion is None
    assert outcome.problem is None
    assert desk.asked[-1] == "menu"
    assert (await bank.inventory(), bank.ledger()) == (token, ledger)
    assert (await bank.pc_inventory()).objects == ()


async def test_ids_whose_names_are_alike_live_side_by_side(tmp_path: Path) -> None:
    """A nickname belongs to one subject: the administrator's certificate has the user's common name."""
    async with open_bank(tmp_path / "bank", pc=True) as bank:
        administrator = Customer(common_name=NAME, kind=HolderKind.ADMINISTRATOR)
        async with bank.open_pc() as pc:
            key = await pc.make_key_pair(KeyKind.EC_P256, b"other", NAME)
            authority, validity = load_authority(bank.directory / "ca"), administrator.validity(system_clock())
            certificate = authority.issue(administrator.subject, key.public_key, *validity)
            await pc.write_certificate(certificate, b"other", NAME)
        assert (await bank.visit(pc_desk())).completion is not None
        assert trust_of(bank) == ["u,u,u"]
        assert trust_of(bank, f"{NAME} #2") == ["u,u,u"]


async def test_next_years_renewal_goes_beside_this_years(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", pc=True) as bank:
        assert (await bank.visit(pc_desk(retires=True))).completion is not None
    home = bank.directory / "home"
    home.rename(tmp_path / "kept")
    async with open_bank(tmp_path / "bank", pc=True) as bank:
        (tmp_path / "kept").rename(home)
        assert (await bank.visit(pc_desk())).completion is not None
        assert trust_of(bank) == ["u,u,u", "u,u,u"]


async def test_nothing_of_the_visit_runs_afterwards(bank: Bank) -> None:
    before = child_processes()
    await bank.visit(pc_desk())
    assert child_processes() == before


async def test_a_customer_who_walks_away_leaves_no_process_and_no_trace(bank: Bank) -> None:
    token, ledger, before = await bank.inventory(), bank.ledger(), child_processes()
    desk = pc_desk(leaves_at="web-access 2/2")
    outcome = await bank.with_policy(idle_seconds=0.2).visit(desk)
    assert outcome == Outcome()
    assert desk.asked[-2:] == ["web-access 2/2", "idle"]
    assert child_processes() == before
    assert (await bank.inventory(), bank.ledger()) == (token, ledger)
    assert (await bank.pc_inventory()).objects == ()


async def test_the_usb_may_go_once_the_ca_has_acknowledged(bank: Bank, tmp_path: Path) -> None:
    """It is asked whether its old credential may go; out is out, and then nothing is removed."""
    token = PulledToken(bank.settings.token, tmp_path)
    token.put_in()

    class Desk(ScriptedDesk):
        async def confirm_retirement(self, question: RetirementQuestion) -> bool:
            token.pull()
            await asyncio.sleep(3 * LOOK_EVERY)
            return await super().confirm_retirement(question)

    settings = msgspec.structs.replace(bank.settings, token=token.settings)
    outcome = await Bank(DemoBank(bank.directory, settings)).visit(Desk(destination=Destination.PC))
    assert outcome.problem is None
    assert outcome.completion is not None
    await bank.credential()
    await bank.pc_credential()


@pytest.mark.parametrize("notice", NoticeAnswer)
async def test_the_script_of_the_hands_asks_what_the_real_conversation_asks(bank: Bank, notice: NoticeAnswer) -> None:
    real, scripted = (pc_desk(notice=notice, menu=[MenuChoice.RENEW]) for _ in range(2))
    await bank.visit(real)
    await ScriptedReception(pc=True).hold(scripted)
    assert scripted.asked == [each for each in real.asked if each != "completion"]
