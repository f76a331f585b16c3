"""Whole conversations whose successor goes into a real NSS database; the old credential is in a real SoftHSM token."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kiosk.ca.authority import load_authority
from kiosk.clock import system_clock
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.issued import Issued
from kiosk.cmp.signing import Signer, SigningKey
from kiosk.credentials import HolderKind, successor_key_id
from kiosk.demo_bank import Customer, DemoBank
from kiosk.desk import (
    Destination,
    DestinationQuestion,
    MenuChoice,
    NoticeAnswer,
    OffReason,
    RetirementQuestion,
    SavingStep,
    WebAccessQuestion,
)
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from kiosk.tokens.wire import KeyKind, ObjectKind
from kiosk.visit import LOOK_EVERY, Outcome
from tests.bank import Bank, child_processes, open_bank
from tests.flows.test_conversation import Counterfeit, Cut, Unacknowledged, cut_at
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
NAME = "TKYM1408054 1403"


pc_desk = partial(ScriptedDesk, destination=Destination.PC)
"""A customer who saves into the PC."""


def trust_of(bank: Bank, nickname: str = NAME) -> list[str]:
    """The trust attributes of every certificate with this nickname, as `certutil -L` shows them."""
    return re.findall(rf"^{re.escape(nickname)} +(\S+)$", bank.certutil("-L"), re.MULTILINE)


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


@pytest.mark.parametrize("step", [step for step in SavingStep if step is not SavingStep.RETIRE])
async def test_a_renewal_cut_before_any_step_is_finished_by_the_next_visit(bank: Bank, step: SavingStep) -> None:
    token = await bank.inventory()
    with pytest.raises(ExceptionGroup) as raised:
        await bank.visit(pc_desk(at_step=cut_at(step)))
    assert raised.group_contains(Cut)

    desk = pc_desk()
    outcome = await bank.visit(desk)
    assert outcome.problem is None
    assert outcome.completion is not None
    (question,) = (each for each in desk.seen if isinstance(each, DestinationQuestion))
    begun = {} if step is SavingStep.KEY else {Destination.USB: OffReason.BEGUN_ON_PC}
    assert question.off == begun, "what has begun on this PC is finished on this PC"
    assert sorted(bank.states().values()) == ["superseded", "valid"]
    assert (await bank.pc_credential()).certificate == outcome.completion.certificate
    assert sorted(each.kind for each in (await bank.pc_inventory()).objects) == sorted(ObjectKind)
    assert await bank.inventory() == token


async def test_what_has_begun_on_the_usb_is_finished_there(bank: Bank) -> None:
    with pytest.raises(ExceptionGroup):
        await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.WRITE)))
    desk = ScriptedDesk()
    assert (await bank.visit(desk)).completion is not None
    (question,) = (each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert question.off == {Destination.PC: OffReason.BEGUN_ON_USB}
    assert (await bank.pc_inventory()).objects == ()


async def test_elsewhere_the_old_certificate_simply_starts_again(bank: Bank) -> None:
    """The first kiosk's PC has a certificate that was never confirmed; the CA revokes it for the next one."""
    with pytest.raises(ExceptionGroup):
        await bank.visit(pc_desk(at_step=cut_at(SavingStep.CONFIRM)))
    elsewhere = bank.with_pc(database=str(bank.directory / "elsewhere" / "nssdb"))
    outcome = await elsewhere.visit(ScriptedDesk())
    assert outcome.completion is not None
    assert sorted(bank.states().values()) == ["revoked", "superseded", "valid"]
    assert (await bank.credential()).certificate == outcome.completion.certificate


async def test_who_kept_the_old_one_and_renews_again_gets_the_same_certificate(bank: Bank) -> None:
    first = (await bank.visit(pc_desk())).completion
    second = (await bank.visit(pc_desk(retires=True))).completion
    assert first is not None
    assert second is not None
    assert first.certificate == second.certificate
    assert (await bank.inventory()).objects == ()
    assert sorted(bank.states().values()) == ["superseded", "valid"]


class Unreachable(Counterfeit):
    """The request never leaves."""

    async def update(self, signer: Signer, new_key: SigningKey) -> Issued:  # noqa: ARG002
        raise TransferError(TransferFailure.UNREACHABLE, may_have_arrived=False)


@pytest.mark.parametrize(
    ("through", "code"), [(Unreachable, Code.CA_NOT_REACHED), (Counterfeit, Code.NEW_CERTIFICATE_WRONG)]
)
async def test_a_key_of_which_nothing_came_leaves_no_trace(
    bank: Bank, through: Callable[[CmpClient], CmpClient], code: Code
) -> None:
    token = await bank.inventory()
    outcome = await bank.visit(pc_desk(), through=through)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (code, Changed.NOTHING)
    assert (await bank.pc_inventory()).objects == ()
    assert await bank.inventory() == token


async def test_a_lost_acknowledgement_is_said_of_this_pc(bank: Bank) -> None:
    outcome = await bank.visit(pc_desk(), through=Unacknowledged)
    assert outcome.problem is not None
    assert outcome.problem.changed is Changed.STORED_ON_PC
    assert (await bank.visit(pc_desk())).completion is not None


async def test_a_database_that_fails_on_the_way_is_not_called_a_token(bank: Bank) -> None:
    def lose(step: SavingStep) -> None:
        if step is SavingStep.PROVE:
            for file in bank.database.iterdir():
                file.unlink()

    outcome = await bank.visit(pc_desk(at_step=lose))
    assert outcome.problem is not None
    assert outcome.problem.code in (Code.PC_STORE_FAILED, Code.PC_CREDENTIAL_NOT_PROVEN)
    assert outcome.problem.changed is Changed.UNFINISHED_ON_PC
    await bank.credential()


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


@contextmanager
def no_policy(bank: Bank) -> Iterator[Bank]:
    yield bank.with_pc(offered=False)


@contextmanager
def no_database(bank: Bank) -> Iterator[Bank]:
    yield bank.with_pc(create=False)


@contextmanager
def password(bank: Bank) -> Iterator[Bank]:
    file = bank.directory / "password"
    file.write_text("secret\n")
    make_database(bank, "-f", str(file))
    yield bank


@contextmanager
def in_use(bank: Bank) -> Iterator[Bank]:
    """Another program is in the middle of writing."""
    make_database(bank, "--empty-password")
    with closing(sqlite3.connect(bank.database / "key4.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield bank


@contextmanager
def damaged(bank: Bank) -> Iterator[Bank]:
    make_database(bank, "--empty-password")
    (bank.database / "key4.db").write_bytes(b"no database" * 1000)
    yield bank


@contextmanager
def never_set_up(bank: Bank) -> Iterator[Bank]:
    """Files without content, as a program leaves them that was ended too early."""
    bank.database.mkdir(parents=True)
    for name in ("cert9.db", "key4.db"):
        (bank.database / name).touch()
    yield bank


def make_database(bank: Bank, *options: str) -> None:
    bank.database.mkdir(parents=True)
    bank.certutil("-N", *options)


OFF: dict[Callable[[Bank], AbstractContextManager[Bank]], OffReason] = {
    no_policy: OffReason.NOT_OFFERED,
    no_database: OffReason.NO_DATABASE,
    never_set_up: OffReason.NO_DATABASE,
    password: OffReason.LOCKED,
    in_use: OffReason.IN_USE,
    damaged: OffReason.UNUSABLE,
}


@pytest.mark.parametrize("state", OFF, ids=lambda state: state.__name__)
async def test_a_pc_that_is_off_says_why_and_the_usb_is_offered_all_the_same(
    bank: Bank, state: Callable[[Bank], AbstractContextManager[Bank]]
) -> None:
    desk = ScriptedDesk()
    with state(bank) as changed:
        outcome = await changed.visit(desk)
    (question,) = (each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert question.off == {Destination.PC: OFF[state]}
    assert outcome.completion is not None
    assert (Event.PC_UNUSABLE in bank.events()) == (state is not no_policy)


async def test_a_path_of_any_kind_is_quoted(bank: Bank) -> None:
    """NSS and p11-kit each have a notation of their own."""
    odd = bank.with_pc(database=str(bank.directory / 'it\'s a \\ "日本" #1 = x' / "nssdb"))
    assert (await odd.visit(pc_desk())).completion is not None
    assert trust_of(odd) == ["u,u,u"]


async def test_a_path_that_would_be_another_line_of_the_configuration_is_refused(bank: Bank) -> None:
    odd = bank.with_pc(database=str(bank.directory / "a\nmodule: b" / "nssdb"))
    desk = ScriptedDesk()
    await odd.visit(desk)
    (question,) = (each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert question.off == {Destination.PC: OffReason.UNUSABLE}


async def test_the_users_own_database_is_the_one_that_browsers_share(bank: Bank) -> None:
    mine = bank.with_pc(database="")
    assert mine.database == Path.home() / ".pki" / "nssdb"


@pytest.mark.parametrize("notice", NoticeAnswer)
async def test_the_script_of_the_hands_asks_what_the_real_conversation_asks(bank: Bank, notice: NoticeAnswer) -> None:
    real, scripted = (pc_desk(notice=notice, menu=[MenuChoice.RENEW]) for _ in range(2))
    await bank.visit(real)
    await ScriptedReception(pc=True).hold(scripted)
    assert scripted.asked == [each for each in real.asked if each != "completion"]
