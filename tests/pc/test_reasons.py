"""Why nothing can be saved on this PC, each with its own reason on the button; and every path that can be."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from kiosk.credentials import HolderRule
from kiosk.desk import (
    Destination,
    DestinationQuestion,
    OffReason,
)
from kiosk.journal import Event
from kiosk.tokens.pc import PcStore
from kiosk.tokens.token import Token
from tests.bank import Bank
from tests.pc.customer import pc_desk, trust_of
from tests.scripted_desk import ScriptedDesk


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
