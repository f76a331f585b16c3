"""Each line that has a remedy is provoked, and its remedy said in every language."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from kiosk.cmp.errors import TransferFailure
from kiosk.doctor import ca, module, pc, writing
from kiosk.doctor.examination import CHECKS, FAILED, TOO_LONG, examine
from kiosk.doctor.findings import Check, Saying, Verdict
from kiosk.text_keys import TextKey
from kiosk.texts import Texts, catalogue, languages
from kiosk.tokens.modules import Known
from kiosk.tokens.pc import PcFault
from kiosk.tokens.wire import KeyOrigin
from tests.cmp.pki import NOW, certificate, new_key
from tests.doctor import ca_cases, machine_cases, module_cases, screen_cases, writing_cases
from tests.doctor.cases import CASES, House

assert ca_cases, (machine_cases, module_cases, screen_cases, writing_cases)

ELSEWHERE = dict.fromkeys(("doctor.pc.locked", "doctor.pc.read-only", "doctor.pc.no-login"), "tests/pc/test_doctor.py")
"""What only an ordinary user can provoke."""
SAYINGS = {saying.text: saying for check in CHECKS for saying in check.sayings} | {
    saying.text: saying for saying in (FAILED, TOO_LONG)
}
WITH_REMEDY = {text for text, saying in SAYINGS.items() if saying.remedy}
HERE = {FAILED.text, TOO_LONG.text}
"""Provoked by tests of this folder that are no cases."""


@pytest.mark.parametrize("text", CASES)
async def test_it_is_said_with_its_remedy(text: str, house: House) -> None:
    wanted = SAYINGS[text]  # type: ignore[index]
    checks = [check for check in CHECKS if wanted in check.sayings]
    async with CASES[text](house) as site:
        found = [(check, finding) async for check, finding in examine(site, checks)]
    said = [finding for _, finding in found if finding.saying == wanted]
    assert said, found
    assert all(finding.saying in check.sayings for check, finding in found)
    for language in languages():
        texts = Texts(language)
        words = [said[0].found(texts), said[0].remedy(texts) or ""]
        assert all(words)
        assert not any("{" in each for each in words), words


def test_every_line_with_a_remedy_is_provoked() -> None:
    assert WITH_REMEDY - CASES.keys() - HERE == ELSEWHERE.keys()
    assert CASES.keys() <= WITH_REMEDY
    assert all(f'"{text}"' in Path(file).read_text() for text, file in ELSEWHERE.items())


@pytest.mark.parametrize("text", SAYINGS)
def test_every_line_has_its_words(text: TextKey) -> None:
    for language in languages():
        texts = catalogue(language)
        assert texts[text]
        assert bool(texts.get(f"{text}.do")) == (SAYINGS[text].verdict in (Verdict.BAD, Verdict.WARNING))


def test_no_words_without_a_line() -> None:
    known = {*SAYINGS, *(saying.remedy for saying in SAYINGS.values()), *(check.name for check in CHECKS)}
    known |= {"doctor.do", "doctor.summary"}
    assert {key for key in catalogue("ja") if key.startswith("doctor.")} == known - {None}


def test_nothing_that_can_happen_is_without_a_line() -> None:
    assert pc.FAULTS.keys() == set(PcFault)
    assert ca.TRANSFER.keys() == set(TransferFailure)


def test_no_two_lines_are_called_alike() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    seen: dict[TextKey, Saying] = {}
    for check in CHECKS:
        for saying in check.sayings:
            assert seen.setdefault(saying.text, saying) == saying


@pytest.mark.parametrize(
    ("setting", "subject", "said"),
    [
        ("tls_roots", "Another", {"good"}),  # as in a system's file of roots
        ("roots", "Another", {"expired", "good"}),
        ("roots", "Root", {"good"}),
    ],
)
async def test_what_has_expired_beside_what_counts(house: House, setting: str, subject: str, said: set[str]) -> None:
    key = new_key()
    old = certificate(subject, key.public_key(), signing_key=key, authority=True, end=NOW - timedelta(days=1))
    trusted = (old, house.pki.root.certificate, house.pki.issuing.certificate)
    file = ca_cases.pem(house.folder / "several.pem", *trusted)
    site = ca_cases.with_ca(house, "http://127.0.0.1:1/")
    assert site.known.ca
    site.known = replace(site.known, ca=structs.replace(site.known.ca, **{setting: str(file)}))
    found = [finding.saying.text async for _, finding in examine(site, ca.CHECKS[:1])]
    assert set(found) == {f"doctor.trust.{each}" for each in said}


async def test_who_sees_tokens_without_pcscd_needs_none(house: House) -> None:
    site = module_cases.with_tokens(house, module_cases.TOKEN)
    found = [finding.saying.text async for _, finding in examine(site, module.CHECKS[-1:])]
    assert found == ["doctor.pcsc.without"]


async def test_what_can_be_written_with_the_officers_pin(house: House) -> None:
    rows = (writing_cases.OFFICER_WRITES, Known(label="OTHER", so_login_to_write=True))
    site = writing_cases.told(house, *rows, so_pin_file=writing_cases.so_pin_file(house))
    found = [finding.saying.text async for _, finding in examine(site, writing.CHECKS)]
    assert found == [
        "doctor.so-pin.good",
        "doctor.key-origin.inside",
        "doctor.known.good",
        "doctor.known.elsewhere",
    ]


@pytest.mark.parametrize("content", [None, ""])
async def test_a_file_without_the_officers_pin(house: House, content: str | None) -> None:
    file = writing_cases.so_pin_file(house)
    file.unlink() if content is None else file.write_text(content)
    site = writing_cases.told(house, writing_cases.OFFICER_WRITES, so_pin_file=file)
    found = [finding.saying.text async for _, finding in examine(site, writing.CHECKS[:1])]
    assert found == ["doctor.so-pin.unusable"]


async def test_keys_are_imported_where_a_token_makes_none(house: House) -> None:
    site = writing_cases.with_origin(house, KeyOrigin.EXPORT, [])
    found = [finding.saying.text async for _, finding in examine(site, writing.CHECKS[1:2])]
    assert found == ["doctor.key-origin.export"]


async def test_a_check_that_fails_is_told_and_the_others_go_on(house: House) -> None:
    async def fail(_: object) -> list[object]:
        raise KeyError("a secret")

    site = house.site()
    broken = Check("doctor.check.zone", fail, ())  # type: ignore[arg-type]
    found = [finding async for _, finding in examine(site, [broken, *CHECKS[:1]])]
    assert [finding.saying for finding in found] == [FAILED, CHECKS[0].sayings[0]]
    assert found[0].values == {"kind": "KeyError"}


async def test_a_check_that_never_ends_is_told(house: House) -> None:
    async def wait(_: object) -> list[object]:
        await asyncio.Event().wait()
        return []

    endless = Check("doctor.check.zone", wait, ())  # type: ignore[arg-type]
    found = [finding async for _, finding in examine(house.site(), [endless], limit=0.05)]
    assert [finding.saying for finding in found] == [TOO_LONG]
