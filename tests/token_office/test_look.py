"""`kiosk token list` and `inspect`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from kiosk.demo_bank import add_software_token, make_software_token
from kiosk.desk import SavingStep
from kiosk.settings import DEMO_PIN
from kiosk.text_keys import TextKey
from kiosk.texts import Texts
from kiosk.token_office.records import _ITEMS
from kiosk.tokens.inventory import ItemKind
from tests.bank import Bank, open_bank
from tests.flows.test_conversation import cut_at
from tests.scripted_desk import ScriptedDesk
from tests.token_office.counter import run, type_at

ID = "TKYM1408054"


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank") as bank:
        yield bank


async def test_every_token_that_is_in_is_listed(bank: Bank) -> None:
    await add_software_token(bank.settings.token, "SECOND")
    for language, says in (("ja", "暗証番号: 設定済み"), ("en", "PIN: set")):
        told = await run(bank, "list", "--language", language)
        assert told.status == 0
        assert told.text.count(says) == 2
        assert told.text.count("kiosk token initialise") == 1
        assert "SHINKIN-USB" in told.text
        assert "SECOND" in told.text
    *records, blank = json.loads((await run(bank, "list", "--json")).text)
    assert (blank["initialised"], blank["key_kinds"]) == (False, []), "SoftHSM has one more, which is blank"
    assert all(each["initialised"] for each in records)
    assert {each["label"] for each in records} == {"SHINKIN-USB", "SECOND"}
    assert len({each["serial"] for each in records}) == 2
    assert all("ec-p256" in each["key_kinds"] and each["pin"]["set"] and each["reader"] for each in records)


@pytest.mark.tokens
async def test_of_several_tokens_one_must_be_named(bank: Bank) -> None:
    await add_software_token(bank.settings.token, "SECOND")
    several = await run(bank, "inspect", "--language", "en")
    assert several.status == 3
    assert "--serial" in several.text
    (second,) = (each for each in json.loads((await run(bank, "list", "--json")).text) if each["label"] == "SECOND")
    named = await run(bank, "inspect", "--serial", second["serial"], "--json")
    assert json.loads(named.text)["token"] == second
    assert (await run(bank, "inspect", "--serial", "ff")).status == 3


async def test_without_a_token(bank: Bank) -> None:
    for each in (bank.directory / "tokens").iterdir():
        for file in each.iterdir():
            file.unlink()
        each.rmdir()
    assert [each["initialised"] for each in json.loads((await run(bank, "list", "--json")).text)] == [False]
    nothing = await run(bank, "inspect", "--language", "en")
    assert (nothing.status, "No USB token" in nothing.text) == (3, True)


@pytest.mark.tokens
async def test_without_the_pin_nothing_is_told_of_what_it_hides(bank: Bank) -> None:
    (held,) = (await bank.inventory()).credentials
    told = await run(bank, "inspect", "--language", "en")
    assert told.status == 0
    assert "Keys are hidden" in told.text
    assert "without its key" not in told.text
    assert held.certificate.serial in told.text
    content = json.loads((await run(bank, "inspect", "--json")).text)
    assert not content["pin_given"]
    assert sorted(each["kind"] for each in content["items"]) == ["certificate", "public-key"]
    assert (await type_at(bank, "inspect", typing=[("PIN.*: ", "")])).text.count("Keys are hidden") == 1


async def test_with_the_pin_everything_is_named(bank: Bank) -> None:
    with pytest.raises(ExceptionGroup):
        await bank.visit(ScriptedDesk(at_step=cut_at(SavingStep.REQUEST)))
    told = await type_at(bank, "inspect")
    assert told.status == 0
    assert "Certificate with its key" in told.text
    assert "Key of a renewal that is unfinished" in told.text
    assert "20 days left" in told.text
    assert DEMO_PIN not in told.text, "nothing is echoed"
    in_json = await type_at(bank, "inspect", "--json")
    content = json.loads(in_json.text[in_json.text.index("{") :])
    credential, successor = content["items"]
    assert (credential["kind"], credential["ours"], credential["objects"]) == (
        "credential",
        True,
        ["private-key", "public-key", "certificate"],
    )
    assert (credential["certificate"]["id"], credential["certificate"]["days_left"]) == (ID, 20)
    assert (successor["kind"], successor["ours"], successor["certificate"]) == ("successor-key", True, None)


@pytest.mark.tokens
async def test_a_wrong_pin_is_given_once_and_costs_one_try(bank: Bank) -> None:
    told = await type_at(bank, "inspect", typing=[("PIN.*: ", "999999")])
    assert told.status == 1
    assert "The PIN is wrong" in told.text
    short = await type_at(bank, "inspect", typing=[("PIN.*: ", "1")])
    assert short.status == 1
    assert "was not sent" in short.text
    assert "20 days left" in (await type_at(bank, "inspect")).text


async def test_an_empty_token_is_told_as_such(bank: Bank) -> None:
    await make_software_token(bank.directory, bank.settings.token)
    assert "There is nothing on it" in (await type_at(bank, "inspect")).text


def test_every_kind_has_its_words_in_every_language() -> None:
    assert set(_ITEMS) == set(ItemKind)
    for language in ("ja", "en"):
        told = [Texts(language)(cast("TextKey", f"token.item.{kind.value}")) for kind in ItemKind]
        assert len(set(told)) == len(ItemKind)
        assert not any(each.startswith("token.") for each in told)
