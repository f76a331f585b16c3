"""Why nothing can be saved on this PC, each with its own reason on the button; and every path that can be."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from kiosk.credentials import HolderRule
from kiosk.desk import Destination, DestinationQuestion, Errand, OffReason, SavingStep
from kiosk.errors import Changed, Code
from kiosk.journal import Event
from kiosk.texts import Texts
from kiosk.tokens.pc import PcStore
from kiosk.tokens.process import Limits
from kiosk.tokens.token import Token
from kiosk.words import WHY_OFF
from tests.bank import Bank
from tests.pc.customer import pc_desk, trust_of
from tests.scripted_desk import ScriptedDesk

State = Callable[[Bank], AbstractContextManager[Bank]]


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


@contextmanager
def read_only(bank: Bank) -> Iterator[Bank]:
    make_database(bank, "--empty-password")
    for each in (*bank.database.iterdir(), bank.database):
        each.chmod(0o500)
    yield bank
    bank.database.chmod(0o700)


@contextmanager
def no_software(bank: Bank) -> Iterator[Bank]:
    make_database(bank, "--empty-password")
    yield bank


@contextmanager
def as_root(bank: Bank) -> Iterator[Bank]:
    make_database(bank, "--empty-password")
    yield bank


def make_database(bank: Bank, *options: str) -> None:
    bank.database.mkdir(parents=True)
    bank.certutil("-N", *options)


def store_in(state: State, bank: Bank) -> PcStore | None:
    """The store where not the database but what is around it is the reason."""
    if state is as_root:
        return bank.pc_store(0)
    return bank.pc_store(os.geteuid(), libraries=()) if state is no_software else None


OFF: dict[State, tuple[OffReason, str, str]] = {
    no_policy: (OffReason.NOT_OFFERED, "この端末では選べません", "Not available here"),
    no_database: (OffReason.NO_DATABASE, "証明書の保存先がありません", "No certificate database"),
    never_set_up: (OffReason.NO_DATABASE, "証明書の保存先がありません", "No certificate database"),
    password: (OffReason.LOCKED, "保存先にパスワードがあります", "Database has a password"),
    in_use: (OffReason.IN_USE, "ほかのソフトが使用中です", "In use by another program"),
    damaged: (OffReason.UNUSABLE, "証明書の保存先が使えません", "Database cannot be used"),
    read_only: (OffReason.READ_ONLY, "保存先に書き込めません", "Database is read-only"),
    no_software: (OffReason.SOFTWARE_MISSING, "必要なソフトがありません", "Software is missing"),
    as_root: (OffReason.ROOT, "管理者権限では使えません", "Not when run as root"),
}


@pytest.mark.parametrize("state", OFF, ids=lambda state: state.__name__)
async def test_a_pc_that_is_off_says_why_and_the_usb_is_offered_all_the_same(bank: Bank, state: State) -> None:
    why, *words = OFF[state]
    desk = ScriptedDesk()
    with state(bank) as changed:
        outcome = await changed.visit(desk, pc=store_in(state, changed))
    (question,) = (each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert question.off == {Destination.PC: why}
    assert [Texts(language)(WHY_OFF[why]) for language in ("ja", "en")] == words
    assert outcome.completion is not None
    assert (Event.PC_UNUSABLE in bank.events()) == (state is not no_policy)


NO_LOGIN: dict[State, tuple[Code, str, str]] = {
    no_database: (
        Code.PC_NO_DATABASE,
        "このパソコンには、電子証明書の保存先（証明書データベース）がありません。",
        "There is no certificate database on this PC.",
    ),
    in_use: (
        Code.PC_IN_USE,
        "このパソコンの証明書の保存先を、ほかのソフトが使用中です。",
        "Another program is using the certificate database of this PC.",
    ),
    damaged: (
        Code.PC_UNUSABLE,
        "このパソコンの証明書の保存先が使えません。",
        "The certificate database of this PC cannot be used.",
    ),
    read_only: (
        Code.PC_READ_ONLY,
        "このパソコンの証明書の保存先に、書き込みが許されていません。",
        "The certificate database of this PC cannot be written to.",
    ),
    no_software: (
        Code.PC_SOFTWARE_MISSING,
        "このパソコンの電子証明書を扱うソフトがありません。",
        "The software that handles certificates on this PC is missing.",
    ),
    as_root: (
        Code.PC_AS_ROOT,
        "管理者権限（root）で動いているため、パソコンの電子証明書は使えません。",
        "The kiosk runs as root, so certificates of this PC cannot be used.",
    ),
}


@pytest.mark.parametrize("state", NO_LOGIN, ids=lambda state: state.__name__)
async def test_who_cannot_log_in_with_a_certificate_of_this_pc_is_told_why(bank: Bank, state: State) -> None:
    code, *words = NO_LOGIN[state]
    desk = ScriptedDesk()
    with state(bank) as changed:
        outcome = await changed.visit(desk, pc=store_in(state, changed), errand=Errand.PC_LOGIN)
    assert desk.asked == ["problem"]
    assert outcome.problem is not None
    assert outcome.problem == desk.problem
    assert (outcome.problem.code, outcome.problem.changed) == (code, Changed.NOTHING)
    assert [Texts(language).of_problem(outcome.problem, "happened") for language in ("ja", "en")] == words
    assert bank.events() == [Event.PROBLEM]


async def test_a_database_that_anybody_could_use_lets_nobody_in_unless_policy_says_so(bank: Bank) -> None:
    make_database(bank, "--empty-password")
    desk = ScriptedDesk()
    outcome = await bank.with_pc(user_is_holder=False).visit(desk, errand=Errand.PC_LOGIN)
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PC_UNPROTECTED
    assert Texts("en").of_problem(outcome.problem, "happened").endswith("has no password.")
    assert Texts("ja").of_problem(outcome.problem, "happened").endswith("パスワードがありません。")


@pytest.mark.parametrize("at", [SavingStep.KEY, SavingStep.WRITE, SavingStep.PROVE])
async def test_a_lock_that_is_taken_during_the_save_is_told_as_that(bank: Bank, at: SavingStep) -> None:
    """Nothing is lost: once the other program has ended, the next visit finishes what has begun."""
    quick = bank.with_pc(limits=Limits(make_key_pair=3.0, sign=3.0, write=3.0, look=3.0, log_in=3.0))
    old = await bank.credential()
    held: list[sqlite3.Connection] = []

    def lock(step: SavingStep) -> None:
        if step is at:
            for name in ("cert9.db", "key4.db"):
                held.append(sqlite3.connect(bank.database / name, isolation_level=None, check_same_thread=False))
                held[-1].execute("BEGIN EXCLUSIVE")

    desk = pc_desk(at_step=lock)
    try:
        outcome = await quick.visit(desk)
    finally:
        for each in held:
            each.close()
    assert outcome.problem is not None
    assert outcome.problem.code is Code.PC_IN_USE
    assert outcome.problem.changed is (Changed.NOTHING if at is SavingStep.KEY else Changed.UNFINISHED_ON_PC)
    assert await bank.credential() == old
    again = await bank.visit(pc_desk())
    assert again.completion is not None
    assert (await bank.pc_credential()).certificate == again.completion.certificate
    assert sorted(bank.states().values()) == ["superseded", "valid"]


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


class GoneAgain(PcStore):
    """A database that can be opened, and fails as soon as something is read."""

    async def open(self, rule: HolderRule) -> Token:
        async with await super().open(rule) as token:
            return token  # whose process has ended


async def test_a_pc_that_fails_after_it_was_opened_is_off_as_well(bank: Bank) -> None:
    desk = ScriptedDesk()
    pc = GoneAgain(bank.settings.pc, bank.directory / "p11-kit-of-tests", os.geteuid())
    outcome = await bank.visit(desk, pc=pc)
    (question,) = (each for each in desk.seen if isinstance(each, DestinationQuestion))
    assert question.off == {Destination.PC: OffReason.UNUSABLE}
    assert outcome.completion is not None
    assert Event.PC_UNUSABLE in bank.events()
