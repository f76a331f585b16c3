"""Whole renewals over tokens that are otherwise than most, played by SoftHSM: real keys, a real CA process."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kiosk.ca.enrolment import enrol
from kiosk.clock import system_clock
from kiosk.credentials import HolderRule
from kiosk.demo_bank import TOKEN_LABEL, Customer, DemoBank, opened, prepare, softhsm
from kiosk.desk import SavingStep
from kiosk.errors import Changed, Code
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN
from kiosk.tokens import wire
from kiosk.tokens.errors import TokenError
from kiosk.tokens.keys import public_key
from kiosk.tokens.modules import Known
from kiosk.tokens.process import TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import FailureKind, KeyKind, KeyOrigin, ObjectKind, SignatureKind
from tests.bank import Bank, child_processes, open_bank
from tests.ready_ca import running_ready_ca
from tests.scripted_desk import ScriptedDesk
from tests.tokens.own_key import KEY_ID, make_key

_SO_PIN = "12345678"


def with_token(bank: Bank, **settings: object) -> Bank:
    token = msgspec.structs.replace(bank.settings.token, **settings)
    return Bank(DemoBank(bank.directory, msgspec.structs.replace(bank.settings, token=token)))


def without(bank: Bank, mechanisms: str) -> None:
    """Let SoftHSM offer everything but these mechanisms; 2.6.1 overlooks the first one it is told."""
    with (bank.directory / "softhsm2.conf").open("a") as configuration:
        configuration.write(f"slots.mechanisms = -CKM_MD5_RSA_PKCS,{mechanisms}\n")


async def renewed(bank: Bank, desk: ScriptedDesk | None = None) -> None:
    """A visit renews the one credential; old and new are as they have to be, and nothing is left over."""
    old, before = await bank.credential(), child_processes()
    outcome = await bank.visit(desk or ScriptedDesk())
    assert outcome.problem is None, outcome.problem
    new = await bank.credential()
    assert outcome.completion is not None
    assert new.certificate == outcome.completion.certificate
    assert new.certificate.public_key_der != old.certificate.public_key_der
    assert bank.states() == {old.certificate.serial: "superseded", new.certificate.serial: "valid"}
    assert sorted(each.kind for each in (await bank.inventory()).objects) == sorted(ObjectKind)
    assert child_processes() == before


@asynccontextmanager
async def bank_with_key(directory: Path, curve: str, *, always_authenticates: bool = False) -> AsyncIterator[Bank]:
    """A bank whose customer's key was made by another program."""
    directory.mkdir()
    await prepare(directory, (), keep=False)
    module, customer = softhsm(directory), Customer()
    make_key(module, TOKEN_LABEL, curve, always_authenticates=always_authenticates)
    process = TokenProcess.start(module)
    facts = next(each for each in await find_tokens(process) if each.label == TOKEN_LABEL)
    async with Token(module, process, facts, HolderRule()) as token:
        await token.log_in(Pin(bytearray(DEMO_PIN, "ascii")))
        halves = (await token.inventory()).objects
        told = next(each.public for each in halves if each.kind is ObjectKind.PUBLIC_KEY)
        assert told is not None
        first, last = customer.validity(system_clock())
        certificate = enrol(
            directory / "ca",
            subject=customer.subject,
            public_key=public_key(told),
            not_before=first,
            not_after=last,
            holder_id=customer.holder_id,
            kind=customer.kind.value,
        )
        await token.write_certificate(certificate, KEY_ID, customer.common_name)
    with opened(directory, "ja", running_ready_ca) as demo:
        yield Bank(demo)


async def test_an_old_key_on_p384_signs_with_the_digest_that_goes_with_it(tmp_path: Path) -> None:
    async with bank_with_key(tmp_path / "bank", "secp384r1") as bank:
        key = (await bank.credential()).certificate.public_key
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp384r1"
        await renewed(bank)


async def test_an_old_key_that_wants_the_pin_at_every_signature(tmp_path: Path) -> None:
    async with bank_with_key(tmp_path / "bank", "secp256r1", always_authenticates=True) as bank:
        desk = ScriptedDesk()
        await renewed(bank, desk)
        assert desk.asked.count("pin") == 1, "the customer is asked once"


LEFT_OUT = {
    "CKM_SHA256_RSA_PKCS,CKM_RSA_PKCS_PSS,CKM_SHA256_RSA_PKCS_PSS": [SignatureKind.RSA_PKCS1],
    "CKM_RSA_PKCS,CKM_RSA_PKCS_PSS,CKM_SHA256_RSA_PKCS_PSS": [SignatureKind.RSA_PKCS1],
    "CKM_RSA_PKCS,CKM_SHA256_RSA_PKCS,CKM_SHA256_RSA_PKCS_PSS": [SignatureKind.RSA_PSS],
    "CKM_RSA_PKCS,CKM_SHA256_RSA_PKCS,CKM_RSA_PKCS_PSS": [SignatureKind.RSA_PSS],
    "CKM_RSA_PKCS,CKM_SHA256_RSA_PKCS,CKM_RSA_PKCS_PSS,CKM_SHA256_RSA_PKCS_PSS": [],
}


@pytest.fixture
async def rsa_bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with open_bank(tmp_path / "bank", kind=KeyKind.RSA_2048) as bank:
        yield bank


@pytest.mark.parametrize("left_out", LEFT_OUT)
async def test_an_rsa_key_signs_by_whatever_is_offered(rsa_bank: Bank, left_out: str) -> None:
    without(rsa_bank, left_out)
    async with await rsa_bank.open_token() as token:
        (credential,) = (await token.inventory()).credentials
        kinds = await token.key_kinds()
        if LEFT_OUT[left_out]:
            assert await token.proves(credential)
            assert token.signs_rsa_by_pss_only is (LEFT_OUT[left_out] == [SignatureKind.RSA_PSS])
            assert kinds == list(KeyKind)
        else:
            with pytest.raises(TokenError) as raised:
                await token.proves(credential)
            assert raised.value.kind is FailureKind.UNSUITABLE
            assert kinds == [KeyKind.EC_P256], "no key is made that could not sign"


@pytest.mark.parametrize(
    "left_out", ["CKM_RSA_PKCS,CKM_SHA256_RSA_PKCS", "CKM_RSA_PKCS,CKM_SHA256_RSA_PKCS,CKM_RSA_PKCS_PSS"]
)
async def test_where_pss_is_all_there_is_the_whole_renewal_is_protected_by_it(rsa_bank: Bank, left_out: str) -> None:
    without(rsa_bank, left_out)
    await renewed(rsa_bank)


async def test_without_a_mechanism_for_rsa_the_kind_that_can_be_made_is_made(bank: Bank) -> None:
    without(bank, "CKM_RSA_PKCS_KEY_PAIR_GEN")
    await renewed(bank.with_policy(key_kinds=(KeyKind.RSA_2048, KeyKind.EC_P256)))
    assert isinstance((await bank.credential()).certificate.public_key, ec.EllipticCurvePublicKey)


def exporting(bank: Bank, *kinds: KeyKind) -> Bank:
    return bank.with_policy(key_origin=KeyOrigin.EXPORT, key_kinds=kinds or (KeyKind.EC_P256,))


@pytest.mark.parametrize("kind", list(KeyKind))
async def test_a_token_that_makes_no_keys_gets_one_that_cannot_be_taken_out_again(bank: Bank, kind: KeyKind) -> None:
    without(bank, "CKM_RSA_PKCS_KEY_PAIR_GEN,CKM_EC_KEY_PAIR_GEN")
    desk = ScriptedDesk()
    await renewed(exporting(bank, kind), desk)
    asked = dict(zip(desk.asked, desk.seen, strict=True))
    assert asked["key-export"] is KeyOrigin.EXPORT, "and the customer has been told so"
    attributes = exported_key(bank)
    assert "never extractable" not in attributes, "it has been outside"
    assert "sensitive" in attributes
    assert ", local" not in attributes
    assert "extract" not in attributes


def exported_key(bank: Bank) -> str:
    """What OpenSC's own tool says of how the private key may be used and was made."""
    settings = bank.settings.token
    told = subprocess.run(
        ["pkcs11-tool", "--module", settings.module, "--token-label", TOKEN_LABEL, "--login", "--pin", DEMO_PIN, "-O"],
        env=dict(settings.environment),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return next(line for line in told.split("Private Key Object")[1].splitlines() if "Access:" in line)


async def test_without_the_policy_such_a_token_is_told_as_one_that_makes_no_keys(bank: Bank) -> None:
    without(bank, "CKM_RSA_PKCS_KEY_PAIR_GEN,CKM_EC_KEY_PAIR_GEN")
    outcome = await bank.visit(ScriptedDesk())
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.NO_SUITABLE_KEY_KIND, Changed.NOTHING)


async def test_what_such_a_token_takes_is_told_without_a_pin(bank: Bank) -> None:
    without(bank, "CKM_RSA_PKCS_KEY_PAIR_GEN,CKM_EC_KEY_PAIR_GEN")
    process = TokenProcess.start(bank.settings.token)
    (facts,) = await find_tokens(process)
    kinds = [await process.call(wire.KeyKindsInSlot(facts.slot_id, origin), list[KeyKind], 10) for origin in KeyOrigin]
    await process.end()
    assert kinds == [[], list(KeyKind)]


async def test_the_process_that_has_held_the_private_key_is_gone_before_anything_is_asked_of_the_ca(bank: Bank) -> None:
    processes: list[set[int]] = []

    def note(step: SavingStep) -> None:
        if step in (SavingStep.KEY, SavingStep.REQUEST):
            processes.append(child_processes())

    before = child_processes()
    await renewed(exporting(bank), ScriptedDesk(at_step=note))
    at_key, at_request = processes
    fresh = at_request - before
    assert len(fresh) == 1, "neither the one that made the key nor the one that began the visit is left"
    assert fresh < at_key, "it was waiting since the questions"


async def test_an_exported_key_is_found_again_where_the_renewal_was_cut(bank: Bank) -> None:
    class Cut(Exception):
        pass

    def cut(step: SavingStep) -> None:
        if step is SavingStep.REQUEST:
            raise Cut

    before = child_processes()
    with pytest.raises(ExceptionGroup) as raised:
        await exporting(bank).visit(ScriptedDesk(at_step=cut))
    assert raised.group_contains(Cut)
    assert child_processes() == before
    pairs = [each for each in (await bank.inventory()).objects if each.kind is not ObjectKind.CERTIFICATE]
    assert len(pairs) == 4, "the old pair and the new one"
    await renewed(exporting(bank))


def officer_writes(bank: Bank, tmp_path: Path, so_pin: str) -> Bank:
    path = tmp_path / "so-pin"
    path.touch(mode=0o600)
    path.write_text(so_pin)
    return with_token(bank, known=(Known(library="*PKCS*", so_login_to_write=True),), so_pin_file=str(path))


async def test_the_officer_writes_in_the_customers_place_and_the_customer_goes_on(bank: Bank, tmp_path: Path) -> None:
    """SoftHSM lets its officer write what is public: a certificate, not a private key."""
    async with await officer_writes(bank, tmp_path, _SO_PIN).open_token() as token:
        (credential,) = (await token.inventory()).credentials
        assert token.facts.traits.so_login_to_write
        certificate = next(each for each in (await token.inventory()).objects if each.kind is ObjectKind.CERTIFICATE)
        assert await token.remove(certificate)
        await token.write_certificate(credential.certificate, credential.key_id, "again")
        assert await token.proves(credential), "logged in as the customer again"


async def test_a_wrong_so_pin_changes_nothing_and_is_told_as_the_kiosks_fault(bank: Bank, tmp_path: Path) -> None:
    old = await bank.credential()
    desk = ScriptedDesk()
    outcome = await officer_writes(bank, tmp_path, "87654321").visit(desk)
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.changed) == (Code.WRITING_NOT_SET_UP, Changed.NOTHING)
    assert desk.asked.count("pin") == 1, "the customer is asked for nothing more"
    assert b"87654321" not in bank.journal_bytes()
    assert (await bank.credential()) == old
    assert bank.states() == {old.certificate.serial: "valid"}
