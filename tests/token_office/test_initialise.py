"""`kiosk token initialise`: a blank USB, or one that nobody needs any more, gets a PIN and is prepared for an ID."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from pkcs11 import TokenFlag

from kiosk.clock import one_year_after, system_clock
from kiosk.demo_bank import TOKEN_LABEL, DemoBank
from kiosk.journal import Event
from kiosk.settings import save_settings
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import find_tokens
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.scripted_desk import ScriptedDesk
from tests.token_office.counter import Done, run, type_at
from tests.tokens.software_flags import raise_flag

ID = "TKYM1408054"
SO_PIN = "12345678"
NEW = "65432109"
ALL_YEAR = 400
NEW_OFFICER = [("New security officer's PIN: ", "87654321"), ("once more: ", "87654321")]
OFFICER = [("officer's PIN: ", SO_PIN)]
NEW_PIN = [(r"digits\): ", NEW), ("once more: ", NEW)]


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """A kiosk that renews at any time, and keys that are quickly made; the customer's token is in."""
    async with open_bank(tmp_path / "bank", ca_policy=f"window_days = {ALL_YEAR}\n") as bank:
        policy = msgspec.structs.replace(bank.settings.policy, window_days=ALL_YEAR, key_kinds=(KeyKind.EC_P256,))
        settings = msgspec.structs.replace(bank.settings, policy=policy)
        save_settings(settings, bank.directory / "kiosk.toml")
        yield Bank(DemoBank(bank.directory, settings))


@pytest.fixture
def blank(bank: Bank) -> Bank:
    """As SoftHSM shows it where nobody has made a token: one slot with a blank one."""
    for each in (bank.directory / "tokens").iterdir():
        for file in each.iterdir():
            file.unlink()
        each.rmdir()
    return bank


async def serial_of(bank: Bank) -> str:
    process = TokenProcess.start(bank.settings.token)
    try:
        (facts,) = await find_tokens(process)
        return facts.serial
    finally:
        await process.end()


async def initialise(bank: Bank, *typing: tuple[str, str], serial: str = "", label: str = TOKEN_LABEL) -> Done:
    return await type_at(bank, "initialise", "--label", label, "--serial", serial, typing=typing)


async def test_a_blank_token_is_initialised_prepared_and_renewed_at_the_kiosk(blank: Bank) -> None:
    assert "Blank" in (await run(blank, "list", "--language", "en")).text
    done = await initialise(blank, *NEW_OFFICER, *NEW_PIN)
    assert done.status == 0, done.text
    assert await serial_of(blank) in done.text
    assert [event for event in blank.events() if event.startswith("initialis")] == ["initialising", "initialised"]
    for secret in ("87654321", NEW):
        assert secret not in done.text
        assert secret.encode() not in blank.journal_bytes()

    enrolled = await type_at(blank, "enrol", ID, typing=[("PIN.*: ", NEW), ("Code.*: ", blank.code())])
    assert enrolled.status == 0, enrolled.text
    async with await blank.open_token(pin=NEW) as token:
        (first,) = (await token.inventory()).credentials
    while one_year_after(system_clock()) <= first.certificate.not_after + timedelta(seconds=1):  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # a renewed certificate ends later than the old one
    assert (await blank.visit(ScriptedDesk(pins=[NEW]))).completion is not None
    assert blank.states()[first.certificate.serial] == "superseded"


async def test_a_token_in_use_is_emptied_only_by_its_own_number(bank: Bank) -> None:
    serial = await serial_of(bank)
    (held,) = (await bank.inventory()).credentials
    refused = await initialise(bank, ("serial number.*: ", "yes"), serial=serial)
    assert (refused.status, "Nothing was changed" in refused.text) == (1, True)
    assert held.certificate.serial in refused.text
    assert "certificates in date on it: 1" in refused.text
    assert Event.INITIALISING not in bank.events()
    assert (await bank.inventory()).credentials == (held,)

    done = await initialise(bank, ("serial number.*: ", serial), *OFFICER, *NEW_PIN, serial=serial, label="新しいUSB")
    assert done.status == 0, done.text
    async with await bank.open_token("新しいUSB", NEW) as token:
        assert (await token.inventory()).objects == ()


async def test_a_wrong_officers_pin_loses_nothing(bank: Bank) -> None:
    serial = await serial_of(bank)
    typing = [("serial number.*: ", serial), (OFFICER[0][0], "99999999"), *NEW_PIN]
    done = await initialise(bank, *typing, serial=serial)
    assert (done.status, "officer's PIN is wrong" in done.text) == (1, True)
    assert len((await bank.inventory()).credentials) == 1
    assert Event.INITIALISED not in bank.events()
    assert Event.PROBLEM in bank.events()


@pytest.mark.tokens
async def test_without_a_number_no_token_in_use_is_meant(bank: Bank) -> None:
    done = await initialise(bank, ("New security officer's PIN: ", ""))
    assert "A blank token" in done.text, "SoftHSM has one beside each token in use"
    assert (done.status, len((await bank.inventory()).credentials)) == (1, 1)


@pytest.mark.tokens
async def test_an_officers_pin_that_the_token_would_not_take_is_asked_again(blank: Bank) -> None:
    again = ("4 to 255 letters.*New security officer's PIN: ", "")
    done = await initialise(blank, (NEW_OFFICER[0][0], "123"), again)
    assert (done.status, "Nothing was changed" in done.text) == (1, True)
    assert json.loads((await run(blank, "list", "--json")).text)[0]["initialised"] is False


@pytest.mark.tokens
@pytest.mark.parametrize(
    ("flag", "says"),
    [
        (TokenFlag.SO_PIN_LOCKED, "officer's PIN is locked"),
        (TokenFlag.PROTECTED_AUTHENTICATION_PATH, "typed at the reader"),
    ],
)
async def test_what_cannot_be_done_is_told_before_anything_is_typed(bank: Bank, flag: TokenFlag, says: str) -> None:
    raise_flag(bank.directory / "tokens", flag)
    done = await initialise(bank, serial=await serial_of(bank))
    assert (done.status, says in done.text) == (1, True)


@pytest.mark.tokens
async def test_labels_and_numbers_that_will_not_do(blank: Bank) -> None:
    for label, says in (("", "--label"), ("長" * 11, "32 bytes"), ("a\nb", "32 bytes")):
        done = await run(blank, "initialise", "--label", label, "--language", "en")
        assert (done.status, says in done.text) == (1, True), done.text
    assert (await run(blank, "initialise", "--label", "A", "--serial", "ffff")).status == 3
    piped = await run(blank, "initialise", "--label", "A", "--language", "en", typed="8765\n" * 4)
    assert (piped.status, "through a pipe" in piped.text) == (1, True)
    named = msgspec.structs.replace(blank.settings.token, token_label=TOKEN_LABEL)
    save_settings(msgspec.structs.replace(blank.settings, token=named), blank.directory / "kiosk.toml")
    other = await run(blank, "initialise", "--label", "OTHER", "--language", "en")
    assert (other.status, TOKEN_LABEL in other.text) == (1, True)
