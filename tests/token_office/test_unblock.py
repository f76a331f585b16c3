"""`kiosk token unblock`, typed at a terminal."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from click.testing import CliRunner
from pkcs11 import TokenFlag

from kiosk.cli import main
from kiosk.journal import Event
from kiosk.settings import DEMO_PIN, save_settings
from tests.bank import Bank
from tests.flows.test_pin_change import opens
from tests.scripted_desk import ScriptedDesk
from tests.token_office.counter import CTRL_C, Done, run, type_at
from tests.tokens.software_flags import raise_flag

SO_PIN = "12345678"
NEW = "65432109"


@pytest.fixture
def locked(bank: Bank) -> Bank:
    """A bank whose policy lets staff unblock, with a locked token."""
    raise_flag(bank.directory / "tokens", TokenFlag.USER_PIN_LOCKED)
    return bank.with_policy(staff_unblock=True)


SO = ("officer's PIN: ", SO_PIN)


def new(*typed: str) -> list[tuple[str, str]]:
    """Answers to what asks for the new PIN, and for it once more."""
    prompts = itertools.cycle((r"digits\): ", "once more: "))
    return list(zip(prompts, typed, strict=False))


async def unblock(bank: Bank, *typing: tuple[str, str], serial: str = "") -> Done:
    """What the command says where this is typed at its questions."""
    save_settings(bank.settings, bank.directory / "kiosk.toml")
    return await type_at(bank, "unblock", "--serial", serial, typing=typing)


async def test_a_locked_token_opens_with_the_new_pin(locked: Bank) -> None:
    assert (await locked.visit(ScriptedDesk())).completion is None
    done = await unblock(locked, SO, *new(NEW, NEW))
    assert "The customer's PIN is locked." in done.text
    assert "The new PIN is set, and the token opens with it." in done.text
    assert done.status == 0
    assert (await locked.visit(ScriptedDesk(pins=[NEW]))).completion is not None
    events = locked.events()
    assert events.index(Event.UNBLOCKING) < events.index(Event.UNBLOCKED)
    for secret in (SO_PIN, NEW):
        assert secret not in done.text
        assert secret.encode() not in locked.journal_bytes()


async def test_a_wrong_security_officers_pin_changes_nothing(locked: Bank) -> None:
    done = await unblock(locked, (SO[0], "87654321"), *new(NEW, NEW))
    assert "The security officer's PIN is wrong." in done.text
    assert done.status == 1
    assert Event.UNBLOCKING in locked.events(), "whatever came of it"
    assert Event.UNBLOCKED not in locked.events()
    assert not await opens(locked, NEW)


async def test_what_is_no_pin_and_what_is_not_the_same_twice_is_asked_again(locked: Bank) -> None:
    again = [(r"digits\): ", "123"), (r"4 to 16 digits\.\s.*digits\): ", "abcd"), (r"digits\.\s.*digits\): ", NEW)]
    done = await unblock(locked, SO, *again, ("once more: ", "65432100"), *new(NEW, NEW))
    assert done.text.count("Please type 4 to 16 digits.") == 2
    assert done.text.count("The two entries were not the same.") == 1
    assert await opens(locked, NEW)


@pytest.mark.tokens
async def test_digits_of_full_width_are_digits(locked: Bank) -> None:
    assert (await unblock(locked, SO, *new("６５４３２１０９", NEW))).status == 0
    assert await opens(locked, NEW)


@pytest.mark.parametrize("answer", ["no", "YES", ""])
async def test_a_pin_that_still_holds_is_replaced_only_after_a_yes(bank: Bank, answer: str) -> None:
    done = await unblock(bank.with_policy(staff_unblock=True), ("type “yes”: ", answer))
    assert "Nothing was changed." in done.text
    assert done.status == 1
    assert await opens(bank, DEMO_PIN)


async def test_nothing_typed_for_the_officer_changes_nothing(locked: Bank) -> None:
    done = await unblock(locked, (SO[0], ""))
    assert (done.status, "Nothing was changed." in done.text) == (1, True)
    assert Event.UNBLOCKING not in locked.events()


@pytest.mark.parametrize("answers", [[], [SO]])
async def test_ctrl_c_ends_a_question_at_once(locked: Bank, answers: list[tuple[str, str]]) -> None:
    done = await unblock(locked, *answers, (": ", CTRL_C))
    assert (done.status, "Aborted!" in done.text) == (1, True)
    assert Event.UNBLOCKING not in locked.events()


async def test_the_last_try_of_the_security_officer_needs_a_yes(locked: Bank) -> None:
    raise_flag(locked.directory / "tokens", TokenFlag.SO_PIN_FINAL_TRY)
    done = await unblock(locked, ("type “yes”: ", "no"))
    assert "only one try left for the security officer's PIN" in done.text
    assert Event.UNBLOCKING not in locked.events()


async def test_a_locked_security_officer_is_told_before_anything_is_typed(locked: Bank) -> None:
    raise_flag(locked.directory / "tokens", TokenFlag.SO_PIN_LOCKED)
    done = await unblock(locked)
    assert "The security officer's PIN is locked." in done.text
    assert done.status == 1


async def test_policy_is_off_by_default(bank: Bank) -> None:
    done = await unblock(bank)
    assert "By policy, staff may not unblock tokens here" in done.text
    assert done.status == 1


async def test_a_token_that_is_not_in(locked: Bank) -> None:
    done = await unblock(locked, serial="ffff")
    assert (done.status, "ffff" in done.text) == (3, True)


async def test_no_pin_comes_through_a_pipe(locked: Bank) -> None:
    save_settings(locked.settings, locked.directory / "kiosk.toml")
    done = await run(locked, "unblock", "--language", "en", typed=f"{SO_PIN}\n{NEW}\n{NEW}\n")
    assert done.status == 1
    assert "through a pipe" in done.text


def test_settings_that_do_not_exist(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["token", "unblock", "--settings", str(tmp_path / "none.toml")])
    assert result.exit_code == 1
    assert "cannot be read" in result.output
