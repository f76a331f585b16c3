"""このパソコンの証明書でログイン: the certificate is in a real NSS database, and renewed there or into a USB."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kiosk.credentials import HolderRule, successor_key_id
from kiosk.demo_bank import DemoBank, add_software_token
from kiosk.desk import (
    Destination,
    DestinationQuestion,
    Errand,
    MainMenu,
    MenuChoice,
    OffReason,
    PinQuestion,
    ResumptionQuestion,
    RetirementQuestion,
    SavingStep,
    Standby,
)
from kiosk.errors import Changed, Code
from kiosk.journal import Event, Journal
from kiosk.pin import Pin
from kiosk.texts import Texts
from kiosk.tokens.wire import ObjectKind, StoreKind
from tests.bank import Bank, child_processes, labels_shown, open_bank
from tests.flows.test_conversation import Cut, Unacknowledged, cut_at
from tests.flows.test_reception import Board, front_desk_of
from tests.flows.test_reconcile import revoke
from tests.pc.customer import open_pc_bank, pc_desk, trust_of
from tests.scripted_desk import ScriptedDesk
from tests.tokens.pulled_token import PulledToken

PASSWORD = "correct horse 7!"


@pytest.fixture
async def pc_bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """A bank whose customer's certificate is in this PC, and whose USB is empty; it can be renewed at once."""
    async with open_pc_bank(tmp_path / "bank") as bank:
        yield bank


def with_password(bank: Bank) -> Bank:
    """The database gets a password, as its user would give it one."""
    for name, content in (("none", ""), ("password", PASSWORD)):
        (bank.directory / name).write_text(f"{content}\n")
    bank.certutil("-W", "-f", str(bank.directory / "none"), "-@", str(bank.directory / "password"))
    return bank.with_pc(user_is_holder=False)


async def log_in(bank: Bank, desk: ScriptedDesk) -> None:
    outcome = await bank.visit(desk, errand=Errand.PC_LOGIN)
    assert outcome.problem is None


async def test_the_menu_and_the_details_as_with_a_token(pc_bank: Bank) -> None:
    desk = ScriptedDesk(menu=[MenuChoice.DETAILS, MenuChoice.LEAVE])
    before = child_processes()
    await log_in(pc_bank.with_policy(window_days=30), desk)
    assert desk.asked == ["menu", "details", "menu"], "no password, no question: the computer's user is the holder"
    menu = desk.seen[0]
    assert isinstance(menu, MainMenu)
    assert menu.credential == await pc_bank.pc_credential()
    assert not menu.changes_pin
    assert child_processes() == before
    with Journal(Path(pc_bank.settings.journal)) as journal:
        login = [each for each in journal.entries() if each.event == Event.LOGGED_IN][-1]
    assert (login.token, login.holder) == ("pc", menu.credential.holder.id)


async def test_a_database_whose_process_dies_at_the_menu_is_told_of_at_once(pc_bank: Bank) -> None:
    class Desk(ScriptedDesk):
        async def choose_from_menu(self, menu: MainMenu) -> MenuChoice:
            await self._see("menu", menu)
            (process,) = child_processes() - before
            os.kill(process, signal.SIGKILL)
            await asyncio.Event().wait()
            return MenuChoice.LEAVE

    before = child_processes()
    async with asyncio.timeout(60):
        outcome = await pc_bank.with_policy(window_days=30).visit(Desk(), errand=Errand.PC_LOGIN)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PC_STORE_FAILED
    assert outcome.problem.changed is Changed.NOTHING
    assert child_processes() == before


async def test_a_renewal_within_this_pc(pc_bank: Bank) -> None:
    old = await pc_bank.pc_credential()
    desk = pc_desk()
    outcome = await pc_bank.visit(desk, errand=Errand.PC_LOGIN)
    assert outcome.problem is None
    assert outcome.completion is not None
    assert desk.asked == [
        "notice",
        "preprocessing",
        "destination",
        "web-access 1/2",
        "web-access 2/2",
        *(step.value for step in SavingStep),
        "completion",
    ]
    assert desk.seen[1] is False, "there is no token that has to stay in"
    new = await pc_bank.pc_credential()
    assert new.certificate == outcome.completion.certificate
    assert new.key_id == successor_key_id(old.certificate)
    assert sorted(each.kind for each in (await pc_bank.pc_inventory()).objects) == sorted(ObjectKind)
    assert trust_of(pc_bank) == ["u,u,u"]
    assert pc_bank.states()[old.certificate.serial] == "superseded"


@pytest.mark.parametrize("retires", [False, True])
async def test_back_into_the_usb(pc_bank: Bank, retires: bool) -> None:
    old = await pc_bank.pc_credential()
    desk = ScriptedDesk(retires=retires)
    outcome = await pc_bank.visit(desk, errand=Errand.PC_LOGIN)
    assert outcome.problem is None
    assert outcome.completion is not None
    assert desk.asked == [
        "notice",
        "preprocessing",
        "destination",
        "pin",
        "web-access 1/2",
        "web-access 2/2",
        "key-export",
        "key",
        "request",
        "import",
        "write",
        "prove",
        "confirm",
        "import-complete",
        "retirement",
        "completion",
    ]
    (question,) = (each for each in desk.seen if isinstance(each, RetirementQuestion))
    assert (question.certificate, question.store) == (old.certificate, StoreKind.PC)
    new = await pc_bank.credential()
    assert new.certificate == outcome.completion.certificate
    labels = labels_shown(await pc_bank.inventory())
    assert labels == {new.certificate.common_name}, "a renewal that is done is not called pending"
    assert pc_bank.states()[old.certificate.serial] == "superseded"
    if retires:
        assert (await pc_bank.pc_inventory()).objects == ()
    else:
        assert await pc_bank.pc_credential() == old, "nobody said that the old one may go"


async def test_the_password_is_asked_for_and_a_wrong_one_again(pc_bank: Bank) -> None:
    bank = with_password(pc_bank)
    desk = ScriptedDesk(passwords=["wrong", PASSWORD], destination=Destination.PC)
    outcome = await bank.visit(desk, errand=Errand.PC_LOGIN)
    assert outcome.completion is not None
    questions = [each for each in desk.seen if isinstance(each, PinQuestion)]
    assert [(each.store, each.refused, each.shortest) for each in questions] == [
        (StoreKind.PC, False, 1),
        (StoreKind.PC, True, 1),
    ]
    assert PASSWORD.encode() not in bank.journal_bytes()
    async with await bank.pc_store(1).find(HolderRule()) as pc:
        await pc.log_in(Pin(bytearray(PASSWORD, "ascii")))
        (credential,) = (await pc.inventory()).credentials
        assert await pc.proves(credential)
    assert credential.certificate == outcome.completion.certificate


async def test_a_third_wrong_password_ends_the_visit(pc_bank: Bank) -> None:
    desk = ScriptedDesk(passwords=["a", "b", "c", PASSWORD])
    outcome = await with_password(pc_bank).visit(desk, errand=Errand.PC_LOGIN)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PC_PASSWORD_REFUSED_TOO_OFTEN
    assert desk.passwords == [PASSWORD], "the fourth is not asked for"


async def test_who_gives_no_password_sees_nothing(pc_bank: Bank) -> None:
    desk = ScriptedDesk(passwords=[None])
    await log_in(with_password(pc_bank), desk)
    assert desk.asked == ["pin"]


async def test_the_usb_that_comes_while_the_question_is_open_can_be_chosen(pc_bank: Bank, tmp_path: Path) -> None:
    token = PulledToken(pc_bank.settings.token, tmp_path)

    class Desk(ScriptedDesk):
        async def choose_destination(self, question: DestinationQuestion) -> Destination | None:
            await self._see("destination", question)
            if Destination.USB not in question.off:
                return Destination.USB
            token.put_in()
            await asyncio.Event().wait()
            return None

    settings = msgspec.structs.replace(pc_bank.settings, token=token.settings)
    desk = Desk()
    try:
        outcome = await Bank(DemoBank(pc_bank.directory, settings)).visit(desk, errand=Errand.PC_LOGIN)
    finally:
        token.pull()
    first, *_, last = (each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert first.off[Destination.USB] in (OffReason.NO_USB, OffReason.SOFTWARE_MISSING)
    assert last.off == {}
    assert outcome.completion is not None
    assert (await pc_bank.credential()).certificate == outcome.completion.certificate


async def test_which_usb_is_asked_where_there_are_two(pc_bank: Bank) -> None:
    await add_software_token(pc_bank.settings.token, "SECOND")
    desk = ScriptedDesk(token="SECOND")
    assert (await pc_bank.visit(desk, errand=Errand.PC_LOGIN)).completion is not None
    assert desk.asked[2:5] == ["destination", "token", "pin"]
    assert (await pc_bank.inventory()).objects == ()
    assert len((await pc_bank.inventory("SECOND")).credentials) == 1


async def test_whoever_gives_up_the_pin_is_asked_where_to_save_again(pc_bank: Bank) -> None:
    class Desk(ScriptedDesk):
        async def choose_destination(self, question: DestinationQuestion) -> Destination | None:
            await self._see("destination", question)
            return Destination.USB if self.pins else Destination.PC

    desk = Desk(pins=[None])
    assert (await pc_bank.visit(desk, errand=Errand.PC_LOGIN)).completion is not None
    assert desk.asked[2:6] == ["destination", "pin", "destination", "web-access 1/2"]
    assert (await pc_bank.inventory()).objects == ()


CUTS = [
    *((Destination.PC, step) for step in (SavingStep.REQUEST, SavingStep.CONFIRM, SavingStep.RETIRE)),
    *((Destination.USB, step) for step in (SavingStep.REQUEST, SavingStep.WRITE, SavingStep.CONFIRM)),
]


@pytest.mark.parametrize(("into", "step"), CUTS)
async def test_what_was_cut_is_finished_by_the_next_login(pc_bank: Bank, into: Destination, step: SavingStep) -> None:
    old = await pc_bank.pc_credential()
    with pytest.raises(ExceptionGroup) as raised:
        await pc_bank.visit(ScriptedDesk(destination=into, at_step=cut_at(step)), errand=Errand.PC_LOGIN)
    assert raised.group_contains(Cut)
    desk = ScriptedDesk(destination=into, retires=True)
    outcome = await pc_bank.visit(desk, errand=Errand.PC_LOGIN)
    assert outcome.completion is not None
    (question,) = (each for each in desk.seen if isinstance(each, DestinationQuestion | ResumptionQuestion))
    if into is Destination.PC:
        assert isinstance(question, ResumptionQuestion), "what has begun on this PC is finished on this PC"
        assert question.into is Destination.PC
    else:  # which nobody can know before the PIN is given
        assert question == DestinationQuestion({})
    new = await (pc_bank.pc_credential() if into is Destination.PC else pc_bank.credential())
    assert new.certificate == outcome.completion.certificate
    others = await (pc_bank.inventory() if into is Destination.PC else pc_bank.pc_inventory())
    assert others.objects == ()
    assert sorted(pc_bank.states().values()) == ["superseded", "superseded", "valid"]
    assert pc_bank.states()[old.certificate.serial] == "superseded"


STORED = [(Destination.PC, Changed.STORED_ON_PC), (Destination.USB, Changed.STORED_FROM_PC)]


@pytest.mark.parametrize(("into", "changed"), STORED)
async def test_a_lost_acknowledgement_ends_at_this_pc(pc_bank: Bank, into: Destination, changed: Changed) -> None:
    outcome = await pc_bank.visit(ScriptedDesk(destination=into), through=Unacknowledged, errand=Errand.PC_LOGIN)
    assert outcome.problem is not None
    assert outcome.problem.changed is changed
    again = await pc_bank.visit(ScriptedDesk(destination=into, retires=True), errand=Errand.PC_LOGIN)
    assert again.completion is not None


async def test_a_usb_pulled_on_the_way_is_told_as_that(pc_bank: Bank, tmp_path: Path) -> None:
    token = PulledToken(pc_bank.settings.token, tmp_path)
    token.put_in()
    settings = msgspec.structs.replace(pc_bank.settings, token=token.settings)
    elsewhere = Bank(DemoBank(pc_bank.directory, settings))

    def pull(step: SavingStep) -> None:
        if step is SavingStep.WRITE:
            token.pull()

    outcome = await elsewhere.visit(ScriptedDesk(at_step=pull), errand=Errand.PC_LOGIN)
    assert outcome.problem is not None
    assert replace(outcome.problem, detail="") == replace(
        outcome.problem, code=Code.TOKEN_TAKEN_OUT, changed=Changed.UNFINISHED_ON_PC, detail=""
    )
    await pc_bank.pc_credential()
    assert (await pc_bank.visit(ScriptedDesk(retires=True), errand=Errand.PC_LOGIN)).completion is not None


async def test_a_customer_who_walks_away_leaves_no_process(pc_bank: Bank) -> None:
    before = child_processes()
    desk = ScriptedDesk(leaves_at="web-access 2/2")
    assert (await pc_bank.with_policy(idle_seconds=0.2).visit(desk, errand=Errand.PC_LOGIN)).completion is None
    assert desk.asked[-2:] == ["web-access 2/2", "idle"]
    assert child_processes() == before


async def test_an_empty_database_says_so(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", pc=True) as bank:
        assert (await bank.pc_inventory()).objects == ()
        desk = ScriptedDesk()
        outcome = await bank.visit(desk, errand=Errand.PC_LOGIN)
        assert outcome.problem is not None
        assert outcome.problem.code is Code.PC_NO_CERTIFICATE
        assert desk.asked == ["problem"]


async def test_certificates_of_other_issuers_are_of_no_concern(tmp_path: Path) -> None:
    async with open_bank(tmp_path / "bank", pc=True) as bank:
        assert (await bank.pc_inventory()).objects == ()
        noise = bank.directory / "noise"
        noise.write_bytes(bytes(range(64)))
        bank.certutil("-S", "-x", "-n", "other", "-s", "CN=TKYM1408054 1403", "-t", "u,u,u", "-z", str(noise))
        (foreign,) = (await bank.pc_inventory()).credentials
        outcome = await bank.visit(ScriptedDesk(), errand=Errand.PC_LOGIN)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PC_NO_CERTIFICATE, foreign
    assert "USB" not in Texts("ja").of_problem(outcome.problem, "happened")


async def test_the_button_on_the_first_screen_begins_the_visit(pc_bank: Bank) -> None:
    """Without any token; afterwards there is nothing to take out."""
    (pc_bank.directory / "tokens").rename(pc_bank.directory / "tokens.aside")
    (pc_bank.directory / "tokens").mkdir()
    board, desk = Board(), ScriptedDesk()
    async with front_desk_of(pc_bank.with_policy(window_days=30).settings) as front_desk:
        waiting = asyncio.create_task(front_desk.wait_for_customer(board))
        await board.wait_for(Standby.INSERT)
        assert board.pc_login
        board.errand = Errand.PC_LOGIN
        board.touch.set()
        await asyncio.wait_for(waiting, 20)
        await front_desk.serve(desk)
    assert desk.asked == ["menu"]


async def test_a_certificate_of_this_pc_that_was_revoked_is_told_at_the_login(pc_bank: Bank) -> None:
    """In its first weeks the CA is asked after it, because no label here could tell that nobody confirmed it."""
    held = await pc_bank.pc_credential()
    revoke(pc_bank, held.certificate, "keyCompromise")
    content = await pc_bank.pc_inventory()
    desk = pc_desk()
    outcome = await pc_bank.visit(desk, errand=Errand.PC_LOGIN)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.CERTIFICATE_NOT_ACCEPTED, Changed.NOTHING)
    assert desk.asked == ["problem"]
    assert await pc_bank.pc_inventory() == content
