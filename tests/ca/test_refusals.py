"""Every row of the table of refusals, and that nothing is missing in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import kiosk.ca
from kiosk.ca import ledger, succession
from kiosk.ca.policy import KNOWN_KEY_KINDS, Policy, key_kind
from kiosk.ca.schema import CERTIFICATES, CertificateState
from kiosk.cmp import der
from kiosk.cmp.algorithms import NULL
from kiosk.cmp.envelope import Header, Message, read_message
from kiosk.cmp.errors import MalformedMessage
from kiosk.cmp.general import read_template, write_general, write_template
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import is_mac
from kiosk.cmp.signing import Signer
from kiosk.cmp.status import StatusInfo
from kiosk.cmp.vocabulary import CA_CERTIFICATES, IMPLICIT_CONFIRM, NONCE_LENGTH, BodyType, FailInfo, Status
from tests.ca.bank import Bank, Talk, certificate_of, new_key, refusal, status_of
from tests.ca.dump import COUNTERS, dump
from tests.ca.refusals import CASES, NEVER, NOT_REFUSED, PAGE, Case, page
from tests.ca.rfc9483 import CHECKS, OWN
from tests.ca.spoiled import QUESTION, Draft, draft, header, names_none, unknown, update

LONGEST_NONCE = 64
CERTIFICATE_PROFILE = "1.3.6.1.5.5.7.4.21"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.wrong)
async def test_it_is_refused(case: Case, bank: Bank) -> None:
    request = await case.send(bank)
    with bank.book.begin() as connection:
        succession.lapse(connection, bank.now)
    changing = COUNTERS | case.changes
    before = dump(bank.book, changing)
    raw = await bank.responder.answer(request, case.at)
    answer = read_message(raw)
    status = status_of(answer)
    assert refusal(answer) == (case.body_type, {case.said.failure})
    assert (status.status, status.text) == (Status.REJECTION, (case.said.text,))
    check_protection(answer, bank, by_mac=case.by_mac)
    check_echo(request, answer)
    assert dump(bank.book, changing) == before
    for secret in bank.secrets:
        assert secret not in raw


def check_protection(answer: Message, bank: Bank, *, by_mac: bool) -> None:
    """By the CA's signer; by the code only where the request's own MAC was right."""
    assert answer.header.protection_algorithm is not None
    assert is_mac(answer.header.protection_algorithm) is by_mac
    if by_mac:
        answer.verify_mac(bank.secrets[0])
    else:
        answer.verify_protection(bank.authority.signer.certificate.public_key)
        assert answer.extra_certificates[0] == bank.authority.signer.certificate.der
    assert answer.header.sender == bank.authority.signer.certificate.subject_der
    assert answer.header.message_time == bank.now


def check_echo(request: bytes, answer: Message) -> None:
    """Transaction id and nonce come back, a fresh nonce comes along (RFC 9483 §3.1)."""
    assert len(answer.header.sender_nonce or b"") == NONCE_LENGTH
    try:
        asked = read_message(request).header
    except MalformedMessage:
        assert len(answer.header.transaction_id or b"") == NONCE_LENGTH
        return
    assert answer.header.pvno == (asked.pvno if asked.pvno in (2, 3) else 2)
    if len(asked.transaction_id or b"") in range(1, LONGEST_NONCE + 1):
        assert answer.header.transaction_id == asked.transaction_id
    if len(asked.sender_nonce or b"") <= LONGEST_NONCE:
        assert answer.header.recipient_nonce == asked.sender_nonce


def test_the_table_says_how_long_it_is() -> None:
    print(f"{len(CASES)} refusals, {len(NOT_REFUSED)} checks that cannot fail here")
    assert len({case.wrong for case in CASES}) == len(CASES)


def test_every_check_of_the_rfc_has_its_rows_or_a_reason_why_nothing_fails_it() -> None:
    reasons = {each.check for each in NOT_REFUSED}
    for check in CHECKS:
        assert bool(check.said) is not bool(check.cannot_fail), check.what
        assert not check.cannot_fail or check.cannot_fail in reasons, check.what
        shown = {case.said for case in check.rows()}
        assert shown == set(check.said), f"§{check.section}: {check.what}"
    without = sum(bool(check.cannot_fail) for check in CHECKS)
    print(
        f"{len(CHECKS)} checks of RFC 9483: {len(CHECKS) - without} with their rows, {without} that nothing fails here"
    )


def test_every_row_sets_a_bit_that_the_rfc_names_for_its_check_unless_it_is_said_why_not() -> None:
    for check in CHECKS:
        unlike = {said.failure for said in check.said} - check.bits if check.bits else set()
        assert bool(unlike) is bool(check.unlike), f"§{check.section}: {check.what}"


def test_every_row_is_of_a_check_or_a_bound_of_our_own() -> None:
    of_checks = {id(case) for check in CHECKS for case in check.rows()}
    others = [case for case in CASES if id(case) not in of_checks and not case.section.startswith("RFC")]
    assert {case.said for case in others} == set(OWN)


def test_every_bit_is_in_a_row_or_never_set() -> None:
    used = {case.said.failure for case in CASES}
    assert used | set(NEVER) == set(FailInfo)
    assert not used & set(NEVER)


def test_every_refusal_in_the_code_has_a_row_and_every_row_one_in_the_code() -> None:
    raised, rows = set(refusals_in_the_code()), {(case.said.failure.name, case.said.text) for case in CASES}
    without_row = [each for each in raised if not any(matches(each, row) for row in rows)]
    made_up = [row for row in rows if not any(matches(each, row) for each in raised)]
    assert not without_row
    assert not made_up


def test_the_page_for_engineers_has_the_table_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.ca.refusals writes it anew"


def matches(raised: tuple[str, str], row: tuple[str, str]) -> bool:
    return raised[0] == row[0] and re.fullmatch(raised[1], row[1]) is not None


def refusals_in_the_code() -> Iterator[tuple[str, str]]:
    """Each `Refusal(FailInfo.X, text)` of the CA: the bit, and a pattern of the text."""
    for path in sorted(Path(kiosk.ca.__path__[0]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                failure, text = node.args
                assert isinstance(failure, ast.Attribute), f"{path}:{node.lineno}"
                yield failure.attr, pattern_of(text)


def pattern_of(text: ast.expr) -> str:
    """What is put into a text may be numbers only: nothing that a client sent, nothing that only the CA knows."""
    if isinstance(text, ast.JoinedStr):
        return "".join(pattern_of(part) if isinstance(part, ast.Constant) else r"\d+" for part in text.values)
    assert isinstance(text, ast.Constant)
    return re.escape(str(text.value))


# --- what is not refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BodyType.IR, BodyType.CR, BodyType.KUR])
async def test_a_good_draft_is_granted_so_the_table_tests_what_it_says(bank: Bank, kind: BodyType) -> None:
    assert status_of(await bank.send(await draft(kind=kind)(bank))).status == Status.ACCEPTED


async def test_what_is_asked_beyond_the_profile_is_left_out_and_said(bank: Bank) -> None:
    def extended(_: Bank, drafted: Draft) -> None:
        drafted.template.extensions = [der.any_value(b"\x30\x00")]

    assert status_of(await bank.send(await draft(extended)(bank))).status == Status.GRANTED_WITH_MODS


async def test_an_empty_subject_means_the_old_one(bank: Bank) -> None:
    def empty(_: Bank, drafted: Draft) -> None:
        drafted.template.subject = []

    answer = await bank.send(await draft(empty)(bank))
    assert status_of(answer).status == Status.ACCEPTED


async def test_whoever_protects_a_kur_need_not_be_named_in_it(bank: Bank) -> None:
    assert status_of(await bank.send(await draft(names_none)(bank))).status == Status.ACCEPTED


async def test_a_client_may_return_what_it_was_told(bank: Bank) -> None:
    talk = Talk(bank, bank.holder())
    await talk.request(BodyType.CR, new_key())
    answer = await talk.confirm(status=StatusInfo(Status.GRANTED_WITH_MODS))
    assert answer.body_type == BodyType.PKICONF


async def test_other_certificates_come_along_in_any_order(bank: Bank) -> None:
    def crowded(_: Bank, holder: Signer) -> Signer:
        return Signer(holder.key, holder.certificate, (bank.holder().certificate, bank.authority.root, *holder.chain))

    assert status_of(await bank.send(await update(claim=crowded)(bank))).status == Status.ACCEPTED


async def test_a_value_that_should_not_be_in_a_question_is_not_read(bank: Bank) -> None:
    question = write_general([Info(CA_CERTIFICATES, NULL)])
    answer = await bank.ask(bank.holder(), BodyType.GENM, question, implicitly)
    assert answer.body_type == BodyType.GENP


def implicitly(sent: Header) -> Header:
    return replace(sent, general_info=(Info(IMPLICIT_CONFIRM, NULL), Info(CERTIFICATE_PROFILE, NULL)))


async def test_an_empty_confirmation_rejects(bank: Bank) -> None:
    talk = Talk(bank, bank.holder())
    issued = certificate_of(await talk.request(BodyType.CR, new_key()))
    answer = await talk.say(BodyType.CERTCONF, der.EMPTY_SEQUENCE)
    assert answer.body_type == BodyType.PKICONF
    assert bank.state(issued) == "revoked"


@pytest.mark.parametrize(
    "change",
    [{"recipient": None}, {"recipient": der.EMPTY_SEQUENCE}, {"pvno": 3}],
    ids=["no directoryName", "the empty name", "version 3"],
)
async def test_what_is_to_be_handled_gracefully_is(bank: Bank, change: dict[str, object]) -> None:
    assert status_of(await bank.send(await header(**change)(bank))).status == Status.ACCEPTED


async def test_a_signer_needs_no_chain_and_no_key_id(bank: Bank) -> None:
    def alone(_: Bank, holder: Signer) -> Signer:
        return Signer(holder.key, holder.certificate)

    assert status_of(await bank.send(await update(claim=alone)(bank))).status == Status.ACCEPTED


# --- around them ------------------------------------------------------------------------------------------------------


def test_curves_that_only_look_alike_are_told_apart() -> None:
    assert key_kind(ec.generate_private_key(ec.SECP256R1()).public_key()) == "ec-p256"
    assert key_kind(ec.generate_private_key(ec.SECP256K1()).public_key()) == "ec-secp256k1"
    assert key_kind(ec.generate_private_key(ec.BrainpoolP256R1()).public_key()) == "ec-brainpoolP256r1"


async def test_a_fault_of_ours_is_told_in_a_protected_error_and_logged(
    bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    holder = bank.holder()
    with bank.book.begin() as connection:
        connection.execute(CERTIFICATES.update().values(der=b"\x30\x00"))
    answer = await bank.ask(holder, BodyType.GENM, QUESTION)
    assert refusal(answer) == (BodyType.ERROR, {FailInfo.SYSTEM_FAILURE})
    answer.verify_protection(bank.authority.signer.certificate.public_key)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "UnreadableCertificate" not in "".join(status_of(answer).text)


@pytest.mark.parametrize("length", [0, 65, 20_000])
async def test_what_anybody_sends_is_not_returned_at_any_length(bank: Bank, length: int) -> None:
    request = await header(transaction_id=b"t" * length, sender_nonce=b"n" * 65)(bank)
    answer = await bank.send(request)
    assert answer.body_type == BodyType.ERROR
    assert len(answer.header.transaction_id or b"") == NONCE_LENGTH
    assert answer.header.recipient_nonce is None


async def test_who_is_not_known_yet_is_taken_once_he_is(bank: Bank) -> None:
    stranger = unknown(bank, bank.holder())
    assert refusal(await bank.ask(stranger, BodyType.GENM, QUESTION)) == (BodyType.ERROR, {FailInfo.SIGNER_NOT_TRUSTED})
    with bank.book.begin() as connection:
        ledger.record(connection, stranger.certificate, holder="holder-1", state=CertificateState.VALID, now=bank.now)
    assert (await bank.ask(stranger, BodyType.GENM, QUESTION)).body_type == BodyType.GENP


async def test_who_is_not_known_is_told_so_while_another_writes(bank: Bank) -> None:
    stranger, holder = await update(claim=unknown)(bank), bank.holder()
    question = await bank.write(holder, BodyType.GENM, QUESTION)
    with bank.book.begin() as connection:
        connection.execute(CERTIFICATES.update().values(reason=None))
        assert refusal(await bank.send(stranger)) == (BodyType.ERROR, {FailInfo.SIGNER_NOT_TRUSTED})
        assert (await bank.send(question)).body_type == BodyType.GENP


@pytest.mark.parametrize("kinds", [frozenset(), {"rsa-1024"}, {"ec-p521"}, {"ed25519", "ec-p256"}, {"elliptic"}])
def test_a_policy_names_kinds_of_key_that_can_be_certified(kinds: Set[str]) -> None:
    with pytest.raises(ValueError, match="ec-p256"):
        Policy(key_kinds=frozenset(kinds))


def test_every_kind_of_key_that_a_policy_may_name_can_be_told() -> None:
    policy = Policy(key_kinds=KNOWN_KEY_KINDS)
    assert read_template(write_template(policy.key_kinds)).key_kinds == KNOWN_KEY_KINDS
