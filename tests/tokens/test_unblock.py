"""`kiosk token unblock`, typed at a terminal."""

from __future__ import annotations

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
from tests.test_plain import on_pty
from tests.tokens.software_flags import raise_flag

SO_PIN = "12345678"
NEW = "65432109"


@pytest.fixture
def locked(bank: Bank) -> Bank:
    """A bank whose policy lets staff unblock, with a locked token."""
    raise_flag(bank.directory / "tokens", TokenFlag.USER_PIN_LOCKED)
    return bank.with_policy(staff_unblock=True)


def arguments(bank: Bank, *more: str) -> list[str]:
    path = bank.directory / "settings-of-this-test.toml"
    path.unlink(missing_ok=True)
    save_settings(bank.settings, path)
    return ["token", "unblock", "--settings", str(path), "--language", "en", *more]


def typed_at_terminal(bank: Bank, *lines: str) -> str:
    """What the command says, with its exit status, where these lines are typed at its questions."""
    command = f"main({arguments(bank)!r})"
    code = f"from kiosk.cli import main\ntry: {command}\nexcept SystemExit as end: print('status', end.code or 0)"
    return on_pty(code, "".join(f"{line}\n" for line in lines))


async def test_a_locked_token_opens_with_the_new_pin(locked: Bank) -> None:
    assert (await locked.visit(ScriptedDesk())).completion is None
    said = typed_at_terminal(locked, SO_PIN, NEW, NEW)
    assert "The customer's PIN is locked." in said
    assert "The new PIN is set, and the token opens with it." in said
    assert "status 0" in said
    assert (await locked.visit(ScriptedDesk(pins=[NEW]))).completion is not None
    events = locked.events()
    assert events.index(Event.UNBLOCKING) < events.index(Event.UNBLOCKED)
    for secret in (SO_PIN, NEW):
        assert secret not in said
        assert secret.encode() not in locked.journal_bytes()


async def test_a_wrong_security_officers_pin_changes_nothing(locked: Bank) -> None:
    said = typed_at_terminal(locked, "87654321", NEW, NEW)
    assert "The security officer's PIN is wrong." in said
    assert "status 1" in said
    assert Event.UNBLOCKED not in locked.events()
    assert not await opens(locked, NEW)


async def test_what_is_no_pin_and_what_is_not_the_same_twice_is_asked_again(locked: Bank) -> None:
    said = typed_at_terminal(locked, SO_PIN, "123", "abcd", NEW, "65432100", NEW, NEW)
    assert said.count("Please type 4 to 16 digits.") == 2
    assert said.count("The two entries were not the same.") == 1
    assert await opens(locked, NEW)


@pytest.mark.parametrize("answer", ["no", "YES", ""])
async def test_a_pin_that_still_holds_is_replaced_only_after_a_yes(bank: Bank, answer: str) -> None:
    said = typed_at_terminal(bank.with_policy(staff_unblock=True), answer)
    assert "Nothing was changed." in said
    assert "status 1" in said
    assert await opens(bank, DEMO_PIN)


async def test_the_last_try_of_the_security_officer_needs_a_yes(locked: Bank) -> None:
    raise_flag(locked.directory / "tokens", TokenFlag.SO_PIN_FINAL_TRY)
    said = typed_at_terminal(locked, "no")
    assert "only one try left for the security officer's PIN" in said
    assert Event.UNBLOCKING not in locked.events()


async def test_a_locked_security_officer_is_told_before_anything_is_typed(locked: Bank) -> None:
    raise_flag(locked.directory / "tokens", TokenFlag.SO_PIN_LOCKED)
    said = typed_at_terminal(locked)
    assert "The security officer's PIN is locked." in said
    assert "status 1" in said


async def test_policy_is_off_by_default(bank: Bank) -> None:
    said = typed_at_terminal(bank)
    assert "By policy, staff may not unblock tokens here" in said
    assert "status 1" in said


async def test_a_token_that_is_not_in(locked: Bank) -> None:
    code = f"from kiosk.cli import main\nmain({arguments(locked, '--serial', 'ffff')!r})"
    assert "none with that serial number" in on_pty(code, "")


async def test_no_pin_comes_through_a_pipe(locked: Bank) -> None:
    result = CliRunner().invoke(main, arguments(locked), input=f"{SO_PIN}\n{NEW}\n{NEW}\n")
    assert result.exit_code == 1
    assert "through a pipe" in result.output


def test_settings_that_do_not_exist(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["token", "unblock", "--settings", str(tmp_path / "none.toml")])
    assert result.exit_code == 1
    assert "cannot be read" in result.output
