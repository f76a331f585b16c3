"""`kiosk token enrol`: a fresh USB is prepared for an ID, and serves at the kiosk."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from pkcs11 import TokenFlag

from kiosk.cli import main
from kiosk.clock import one_year_after, system_clock
from kiosk.demo_bank import DemoBank, make_software_token
from kiosk.errors import Code
from kiosk.journal import Event
from kiosk.settings import DEMO_PIN, save_settings
from kiosk.tokens.inventory import PENDING_LABEL, ItemKind
from kiosk.tokens.wire import KeyKind, ObjectKind
from tests.bank import Bank, labels_shown, open_bank
from tests.scripted_desk import ScriptedDesk
from tests.token_office.counter import Done, run, type_at
from tests.tokens.acting_module import ActingModule

ID = "TKYM1408054"
PIN = ("PIN.*: ", DEMO_PIN)
ALL_YEAR = 400


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    """A fresh token, a kiosk that renews at any time, and keys that are quickly made."""
    async with open_bank(tmp_path / "bank", ca_policy=f"window_days = {ALL_YEAR}\n") as bank:
        await make_software_token(bank.directory, bank.settings.token)
        policy = msgspec.structs.replace(bank.settings.policy, window_days=ALL_YEAR, key_kinds=(KeyKind.EC_P256,))
        settings = msgspec.structs.replace(bank.settings, policy=policy)
        (bank.directory / "kiosk.toml").unlink()
        save_settings(settings, bank.directory / "kiosk.toml")
        yield Bank(DemoBank(bank.directory, settings))


def seen_by_pkcs11_tool(bank: Bank) -> str:
    """What OpenSC's own tool sees on the token."""
    module = bank.settings.token
    command = ["pkcs11-tool", "--module", module.module, "--login", "--pin", DEMO_PIN, "--list-objects"]
    return subprocess.run(command, env=module.environment, capture_output=True, text=True, check=True).stdout


def issue_at_ca(bank: Bank, request: Path, issued: Path) -> None:
    """As a teller does elsewhere."""
    command = ["ca", "issue", "--csr", request, "--for", ID, "--out", issued, "--directory", bank.directory / "ca"]
    done = CliRunner().invoke(main, [str(each) for each in command])
    assert done.exit_code == 0, done.output


async def enrol(bank: Bank, code: str) -> Done:
    return await type_at(bank, "enrol", ID, typing=[PIN, ("Code.*: ", code)])


async def test_a_fresh_token_is_prepared_by_command_and_renewed_at_the_kiosk(bank: Bank) -> None:
    code = bank.code()
    told = await enrol(bank, code)
    assert told.status == 0, told.text
    assert "Done. TKYM1408054 1403" in told.text
    first = await bank.credential()
    assert bank.states()[first.certificate.serial] == "valid"
    assert first.certificate.serial in told.text
    assert DEMO_PIN not in told.text
    assert code.encode() not in bank.journal_bytes()
    assert bank.events()[0] == Event.ENROLMENT_WANTED
    assert bank.events()[-1] == Event.COMPLETED
    seen = seen_by_pkcs11_tool(bank)
    assert [seen.count(each) for each in ("Private Key Object", "Public Key Object", "Certificate Object")] == [1, 1, 1]
    assert seen.count(first.certificate.common_name) >= 2
    assert PENDING_LABEL not in seen
    assert first.key_id.hex() in seen

    while one_year_after(system_clock()) <= first.certificate.not_after + timedelta(seconds=1):  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # a renewed certificate ends later than the old one
    outcome = await bank.visit(ScriptedDesk())
    assert outcome.completion is not None
    second = await bank.credential()
    assert bank.states()[first.certificate.serial] == "superseded"
    assert bank.states()[second.certificate.serial] == "valid"
    seen = seen_by_pkcs11_tool(bank)
    assert second.key_id.hex() in seen
    assert first.key_id.hex() not in seen
    assert PENDING_LABEL not in seen, "nothing is, as far as an operator can see"


async def test_a_pin_that_only_the_reader_knows_is_typed_there_and_once_more_for_the_proof(
    bank: Bank, tmp_path: Path
) -> None:
    reader = ActingModule(bank, tmp_path / "acting")
    reader.raise_flags(TokenFlag.PROTECTED_AUTHENTICATION_PATH)
    reader.type_at_pad(DEMO_PIN, DEMO_PIN)
    save_settings(reader.bank.settings, bank.directory / "kiosk.toml")
    told = await type_at(bank, "enrol", ID, typing=[("Code.*: ", bank.code())])
    assert told.status == 0, told.text
    assert told.text.index("on the keys of the reader.") < told.text.index("on the keys of the reader once more")
    assert reader.calls == ["login pad", "login pad"]
    assert (await run(bank, "inspect", "--language", "en")).text.count("Keys are hidden") == 1
    assert len(reader.calls) == 2, "without anybody there the reader is not woken"

    reader.answer(0xA0)
    wrong = await type_at(bank, "inspect", typing=[])
    assert (wrong.status, "The PIN is wrong" in wrong.text) == (1, True)
    cancelled = await type_at(bank, "inspect", typing=[])
    assert (cancelled.status, Code.PAD_CANCELLED in cancelled.text) == (1, True)


async def test_a_new_key_that_wants_the_pin_for_each_signature_has_it_typed_at_the_reader(
    bank: Bank, tmp_path: Path
) -> None:
    reader = ActingModule(bank, tmp_path / "acting")
    reader.raise_flags(TokenFlag.PROTECTED_AUTHENTICATION_PATH)
    reader.want_pin_at_every_signature()
    reader.type_at_pad(*[DEMO_PIN] * 9)
    save_settings(reader.bank.settings, bank.directory / "kiosk.toml")
    told = await type_at(bank, "enrol", ID, typing=[("Code.*: ", bank.code())])
    assert told.status == 0, told.text
    assert told.text.count("wants the PIN for each signature") == reader.calls.count("sign pad") > 0


@pytest.mark.tokens
async def test_a_slip_costs_no_try_and_a_wrong_code_is_told_by_its_number(bank: Bank) -> None:
    code = bank.code()
    slip = code[:-1] + str((int(code[-1]) + 1) % 10)
    typing = [PIN, ("Code.*: ", slip), ("no code.*Code.*: ", code)]
    told = await type_at(bank, "enrol", ID, typing=typing)
    assert told.status == 0, told.text
    refused = await enrol(bank, code)
    assert refused.status == 1
    assert Code.CODE_NOT_ACCEPTED in refused.text
    assert "Nothing about your certificate has changed" in refused.text
    assert Event.CODE_REFUSED in bank.events()


async def test_what_is_missing_is_told_before_anything_is_done(bank: Bank) -> None:
    assert (await run(bank, "enrol", ID, "--language", "en")).text.count("The PIN is needed") == 1
    assert (await run(bank, "enrol", "nobody", "--language", "en")).text.count("form of an ID") == 1
    nothing = await type_at(bank, "enrol", ID, typing=[PIN, ("Code.*: ", "")])
    assert (nothing.status, "No code was typed" in nothing.text) == (1, True)
    assert (await run(bank, "enrol", ID, "--csr", "a", "--certificate", __file__)).status == 2
    assert (await bank.inventory()).objects == ()


@pytest.mark.tokens
async def test_a_certificate_that_comes_from_elsewhere(bank: Bank, tmp_path: Path) -> None:
    request, issued = tmp_path / "request.pem", tmp_path / "issued.pem"
    asked = await type_at(bank, "enrol", ID, "--csr", str(request))
    assert asked.status == 0, asked.text
    (begun,) = (await bank.inventory()).items
    assert (begun.kind, len(begun.objects)) == (ItemKind.PENDING_KEY, 2)
    assert (await type_at(bank, "enrol", ID, "--csr", str(request))).status == 1, "a file is not written over"
    again = tmp_path / "again.pem"
    assert (await type_at(bank, "enrol", ID, "--csr", str(again))).status == 0
    assert len((await bank.inventory()).objects) == 2, "the same key once more"

    issue_at_ca(bank, again, issued)
    stored = await type_at(bank, "enrol", ID, "--certificate", str(issued))
    assert stored.status == 0, stored.text
    new = await bank.credential()
    assert new.holder.id == ID
    assert bank.states()[new.certificate.serial] == "valid"
    inventory = await bank.inventory()
    assert labels_shown(inventory) == {new.certificate.common_name}
    assert sorted(each.kind for each in inventory.objects) == sorted(ObjectKind)


@pytest.mark.tokens
async def test_a_certificate_that_does_not_fit_is_not_stored(bank: Bank, tmp_path: Path) -> None:
    request, issued = tmp_path / "request.pem", tmp_path / "issued.pem"
    assert (await type_at(bank, "enrol", ID, "--csr", str(request))).status == 0
    issue_at_ca(bank, request, issued)
    other = await type_at(bank, "enrol", "TKYM1408055", "--certificate", str(issued), typing=[])
    assert (other.status, "another ID" in other.text) == (1, True)
    none = await type_at(bank, "enrol", ID, "--certificate", str(request), typing=[])
    assert (none.status, "No certificate can be read" in none.text) == (1, True)
    await make_software_token(bank.directory, bank.settings.token)
    no_key = await type_at(bank, "enrol", ID, "--certificate", str(issued))
    assert (no_key.status, "not on the token" in no_key.text) == (1, True)
    assert (await bank.inventory()).objects == ()
