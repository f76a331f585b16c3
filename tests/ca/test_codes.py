"""One-time codes: what the CA promises to who has one, how it counts tries, and what it does not tell."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from kiosk.ca.admission import Admission
from kiosk.ca.issuing import Issuing
from kiosk.ca.policy import Policy
from kiosk.ca.refusals import Refusal
from kiosk.ca.schema import CODES, TRIES, CertificateState, CodeState, PromiseKind, PromiseState
from kiosk.clock import one_year_after
from kiosk.cmp import der
from kiosk.cmp.envelope import Header, Message, Protector, read_message
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import MacKind, SharedSecret
from kiosk.cmp.requests import write_pkcs10, write_request
from kiosk.cmp.responses import read_responses
from kiosk.cmp.vocabulary import CA_CERTIFICATES, IMPLICIT_CONFIRM, BodyType, FailInfo, Status
from kiosk.credentials import HolderKind, HolderRule
from tests.ca.bank import START, Bank, Greedy, Talk, certificate_of, new_key, on_both, refusal, status_of, subject
from tests.ca.code_cells import CELLS, TABLE, Enrolment, check_cell, issued, issued_and_expired
from tests.ca.dump import dump

pytestmark = on_both

IR, IP, ERROR, PKICONF = BodyType.IR, BodyType.IP, BodyType.ERROR, BodyType.PKICONF
QUESTION = write_general([Info(CA_CERTIFICATES)])
DAY = timedelta(days=1)


def code_states(bank: Bank) -> list[str]:
    with bank.book.read() as connection:
        return list(connection.execute(select(CODES.c.state).order_by(CODES.c.id)).scalars())


def secrets_kept(bank: Bank) -> list[bool]:
    """Of each code, whether anything of it is still in the ledger."""
    with bank.book.read() as connection:
        return [sealed != b"" for sealed in connection.execute(select(CODES.c.sealed).order_by(CODES.c.id)).scalars()]


def failures(bank: Bank) -> list[int]:
    with bank.book.read() as connection:
        return list(connection.execute(select(TRIES.c.failures)).scalars())


def tried(bank: Bank) -> set[bytes]:
    with bank.book.read() as connection:
        return set(connection.execute(select(TRIES.c.reference)).scalars())


@pytest.mark.parametrize("mac", MacKind)
@pytest.mark.parametrize("pvno", [2, 3])
@pytest.mark.parametrize("kind", HolderKind)
async def test_a_code_gets_a_certificate_and_is_used_up(bank: Bank, mac: MacKind, pvno: int, kind: HolderKind) -> None:
    code = replace(bank.newcomer(kind=kind), kind=mac)
    talk = Talk(bank, code, pvno)
    answer = await talk.request(IR, new_key())
    certificate = certificate_of(answer)
    answer.verify_mac(code.secret)
    assert (answer.header.pvno, answer.header.sender_key_id, answer.body_type) == (pvno, code.reference, IP)
    assert read_responses(answer.body).ca_pubs == (bank.authority.root.der,)
    assert answer.extra_certificates == (bank.authority.issuing.der,)
    assert certificate.not_after == one_year_after(START)
    holder = HolderRule().holder_of(certificate)
    assert (holder.id, holder.kind) == ("TKYM1408054", kind)
    assert certificate.common_name == "TKYM1408054 1403"
    assert bank.state(certificate) is CertificateState.UNCONFIRMED
    closing = await talk.confirm()
    closing.verify_mac(code.secret)
    assert closing.body_type == PKICONF
    assert bank.state(certificate) is CertificateState.VALID
    assert code_states(bank) == [CodeState.USED]
    assert bank.promises() == [(PromiseKind.CODE, PromiseState.CONFIRMED)]


async def test_a_request_in_pkcs10_by_a_code(bank: Bank) -> None:
    code, key = bank.newcomer(), new_key()
    talk = Talk(bank, code)
    answer = await talk.say(BodyType.P10CR, await write_pkcs10(key, der.EMPTY_SEQUENCE))
    assert (answer.body_type, status_of(answer).status) == (BodyType.CP, Status.ACCEPTED)
    assert read_responses(answer.body).responses[0].request_id == -1
    assert read_responses(answer.body).ca_pubs == (bank.authority.root.der,)
    assert (await talk.confirm(request_id=-1)).body_type == PKICONF


# --- design decision 7 for codes, cell by cell ------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "same_key"), CELLS)
async def test_every_cell(bank: Bank, row: str, same_key: bool) -> None:
    await check_cell(bank, row, same_key=same_key)


def test_the_table_says_how_many_cells_it_has() -> None:
    print(f"{len(CELLS)} cells for one-time codes")
    assert len(CELLS) == 2 * len(TABLE)


async def test_what_was_issued_in_time_can_be_confirmed_after_the_code_has_expired(bank: Bank) -> None:
    enrolment = Enrolment(bank, bank.newcomer())
    await issued_and_expired(enrolment)
    assert enrolment.talk is not None
    assert (await enrolment.talk.confirm()).body_type == PKICONF


async def test_a_replaced_code_takes_what_it_began_along(bank: Bank) -> None:
    enrolment = Enrolment(bank, bank.newcomer())
    await issued(enrolment)
    assert enrolment.talk is not None
    assert enrolment.talk.last is not None
    certificate = certificate_of(enrolment.talk.last)
    newer = bank.code("TKYM1408054")
    assert bank.state(certificate) is CertificateState.REVOKED
    assert refusal(await enrolment.talk.confirm()) == (ERROR, {FailInfo.BAD_MESSAGE_CHECK})
    answer = await Talk(bank, newer).request(IR, new_key())
    assert status_of(answer).status == Status.ACCEPTED
    assert code_states(bank) == [CodeState.REPLACED, CodeState.OPEN]
    assert secrets_kept(bank) == [False, True]


async def test_a_key_belongs_to_the_first_who_brought_it(bank: Bank) -> None:
    first, second, key = bank.newcomer("FIRST"), bank.newcomer("SECOND"), new_key()
    await Talk(bank, first).request(IR, key)
    answer = await Talk(bank, second).request(IR, key)
    assert refusal(answer) == (IP, {FailInfo.DUPLICATE_CERT_REQ})


# --- what is named ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (None, Status.ACCEPTED),
        (der.EMPTY_SEQUENCE, Status.ACCEPTED),
        ("the whole subject", Status.ACCEPTED),
        ("the whole subject in other strings", Status.GRANTED_WITH_MODS),
        ("the ID", Status.GRANTED_WITH_MODS),
        ("another ID", Status.REJECTION),
        ("another bank's subject", Status.REJECTION),
    ],
    ids=str,
)
async def test_a_template_is_empty_or_names_the_holder(bank: Bank, name: bytes | str | None, status: Status) -> None:
    def common(value: str) -> bytes:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)]).public_bytes()

    def printable(name: x509.Name) -> bytes:
        utf8, other = (bytes([tag, len("TKYM1408054 1403")]) + b"TKYM1408054 1403" for tag in (0x0C, 0x13))
        assert utf8 in name.public_bytes()
        return name.public_bytes().replace(utf8, other)

    names = {
        "the whole subject": subject().public_bytes(),
        "the whole subject in other strings": printable(subject()),
        "the ID": common("TKYM1408054"),
        "another ID": common("TKYM1408055"),
        "another bank's subject": subject("TKYM1408054 1404").public_bytes(),
    }
    wanted = names[name] if isinstance(name, str) else name
    answer = await Talk(bank, bank.newcomer()).request(IR, new_key(), wanted)
    assert status_of(answer).status == status
    if status == Status.REJECTION:
        assert status_of(answer).failures == {FailInfo.NOT_AUTHORIZED}
    else:
        assert certificate_of(answer).subject_der == subject().public_bytes()


@pytest.mark.parametrize("sender", ["TKYM1408054", "TKYM1408054 1403"])
async def test_the_sender_may_be_the_holders_name(bank: Bank, sender: str) -> None:
    code = replace(bank.newcomer(), sender=subject(sender).public_bytes())
    assert (await bank.ask(code, BodyType.GENM, QUESTION)).body_type == BodyType.GENP


# --- what a code protects ---------------------------------------------------------------------------------------------


async def test_a_question_by_a_code_is_answered_by_it(bank: Bank) -> None:
    code = bank.newcomer()
    answer = await bank.ask(code, BodyType.GENM, QUESTION)
    assert answer.body_type == BodyType.GENP
    answer.verify_mac(code.secret)


async def test_an_error_is_protected_by_the_code_only_once_that_was_verified(bank: Bank) -> None:
    code = bank.newcomer()
    nothing_asked = await bank.ask(code, BodyType.GENM, b"\x30\x00")
    assert nothing_asked.body_type == ERROR
    nothing_asked.verify_mac(code.secret)
    wrong = await bank.ask(replace(code, secret=b"0" * 17), BodyType.GENM, QUESTION)
    assert wrong.body_type == ERROR
    wrong.verify_protection(bank.authority.signer.certificate.public_key)


async def test_an_expired_code_is_told_to_whoever_has_it(bank: Bank) -> None:
    code = bank.newcomer()
    bank.now += bank.policy.code_life + timedelta(seconds=1)
    answer = await bank.ask(code, BodyType.GENM, QUESTION)
    assert refusal(answer) == (ERROR, {FailInfo.NOT_AUTHORIZED})
    assert "expired" in "".join(status_of(answer).text)
    answer.verify_mac(code.secret)


async def test_nobody_confirms_for_another(bank: Bank) -> None:
    first, second = bank.newcomer("FIRST"), bank.newcomer("SECOND")
    talk = Talk(bank, first)
    certificate = certificate_of(await talk.request(IR, new_key()))
    for other in (second, bank.holder()):
        talk.protector, kept = other, talk.last
        assert refusal(await talk.confirm()) == (ERROR, {FailInfo.NOT_AUTHORIZED})
        talk.last = kept
    assert bank.state(certificate) is CertificateState.UNCONFIRMED


# --- guessing ---------------------------------------------------------------------------------------------------------


async def test_eleven_wrong_codes_pause_the_id_and_the_right_one_works_afterwards(bank: Bank) -> None:
    code = bank.newcomer()
    wrong = replace(code, secret=b"0" * 17)
    for _ in range(bank.policy.most_tries):
        assert refusal(await bank.ask(wrong, BodyType.GENM, QUESTION)) == (ERROR, {FailInfo.BAD_MESSAGE_CHECK})
    for each in (wrong, code):
        answer = await bank.ask(each, BodyType.GENM, QUESTION)
        assert refusal(answer) == (ERROR, {FailInfo.SYSTEM_UNAVAIL})
        answer.verify_protection(bank.authority.signer.certificate.public_key)
    bank.now += bank.policy.pause
    assert status_of(await Talk(bank, code).request(IR, new_key())).status == Status.ACCEPTED
    assert failures(bank) == []


async def test_after_a_pause_there_are_all_tries_again(bank: Bank) -> None:
    wrong = replace(bank.newcomer(), secret=b"0" * 17)
    for _ in range(3):
        for _ in range(bank.policy.most_tries):
            assert refusal(await bank.ask(wrong, BodyType.GENM, QUESTION))[1] == {FailInfo.BAD_MESSAGE_CHECK}
        assert refusal(await bank.ask(wrong, BodyType.GENM, QUESTION))[1] == {FailInfo.SYSTEM_UNAVAIL}
        bank.now += bank.policy.pause


async def test_a_good_code_takes_back_its_own_try_so_that_a_recording_gives_nobody_more(bank: Bank) -> None:
    code = bank.newcomer()
    wrong = replace(code, secret=b"0" * 17)
    recorded = await bank.write(code, BodyType.GENM, QUESTION)
    for count in range(1, bank.policy.most_tries):
        assert refusal(await bank.ask(wrong, BodyType.GENM, QUESTION))[1] == {FailInfo.BAD_MESSAGE_CHECK}
        assert (await bank.send(recorded)).body_type == BodyType.GENP
        assert failures(bank) == [count]
    assert refusal(await bank.ask(wrong, BodyType.GENM, QUESTION))[1] == {FailInfo.BAD_MESSAGE_CHECK}
    assert refusal(await bank.send(recorded))[1] == {FailInfo.SYSTEM_UNAVAIL}


async def test_a_code_that_was_used_leaves_no_failed_tries(bank: Bank) -> None:
    code = bank.newcomer()
    await bank.ask(replace(code, secret=b"0" * 17), BodyType.GENM, QUESTION)
    talk = Talk(bank, code)
    await talk.request(IR, new_key())
    assert failures(bank) == [1]
    await talk.confirm()
    assert failures(bank) == []


async def test_of_references_without_end_only_the_last_are_remembered(bank: Bank) -> None:
    bank.obey(Policy(most_references=3))
    known = bank.newcomer()
    paused = SharedSecret(reference=b"PAUSED", secret=b"0" * 17, iterations=100)
    for _ in range(bank.policy.most_tries):
        await bank.ask(paused, BodyType.GENM, QUESTION)
    await bank.ask(replace(known, secret=b"0" * 17), BodyType.GENM, QUESTION)
    for number in range(10):
        bank.now += timedelta(seconds=1)
        stranger = SharedSecret(reference=b"%d" % number, secret=b"0" * 17, iterations=100)
        assert refusal(await bank.ask(stranger, BodyType.GENM, QUESTION))[1] == {FailInfo.BAD_MESSAGE_CHECK}
    assert tried(bank) == {b"PAUSED", b"6", b"7", b"8", b"9"}
    assert refusal(await bank.ask(paused, BodyType.GENM, QUESTION))[1] == {FailInfo.SYSTEM_UNAVAIL}


async def test_unless_a_bank_says_so_nobody_makes_the_ca_work_harder_than_the_kiosk_does(bank: Bank) -> None:
    kiosk = SharedSecret(reference=b"NOBODY", secret=b"0" * 17)
    assert refusal(await bank.ask(kiosk, BodyType.GENM, QUESTION))[1] == {FailInfo.BAD_MESSAGE_CHECK}
    harder = replace(kiosk, iterations=kiosk.iterations + 1)
    assert refusal(await bank.ask(harder, BodyType.GENM, QUESTION))[1] == {FailInfo.BAD_ALG}
    assert failures(bank) == [1]
    bank.obey(Policy(most_iterations=harder.iterations))
    assert refusal(await bank.ask(harder, BodyType.GENM, QUESTION))[1] == {FailInfo.BAD_MESSAGE_CHECK}


async def test_the_pause_of_one_is_nobody_elses(bank: Bank) -> None:
    first, second = bank.newcomer("FIRST"), bank.newcomer("SECOND")
    for _ in range(bank.policy.most_tries):
        await bank.ask(replace(first, secret=b"0" * 17), BodyType.GENM, QUESTION)
    assert (await bank.ask(second, BodyType.GENM, QUESTION)).body_type == BodyType.GENP


async def test_who_is_known_cannot_be_found_out(bank: Bank) -> None:
    """No holder, no code, a used code, a wrong code: the same answers in the same order, the pause included."""
    bank.newcomer("WRONG")
    used = bank.newcomer("USED")
    talk = Talk(bank, used)
    await talk.request(IR, new_key())
    await talk.confirm()
    bank.holder()  # holder-1 has a certificate and never had a code
    told = []
    for reference in (b"WRONG", b"USED", b"holder-1", b"NOBODY"):
        stranger = SharedSecret(reference=reference, secret=b"0" * 17, iterations=100)
        answers = [await bank.ask(stranger, IR, await write_request(new_key())) for _ in range(12)]
        told.append([(each.body_type, status_of(each)) for each in answers])
        assert all(each.header.protection_algorithm == bank.authority.signer.algorithm for each in answers)
    assert told[0] == told[1] == told[2] == told[3]


def admission_of(bank: Bank) -> Admission:
    authority = bank.authority
    return Admission(bank.book, authority.vault, bank.policy, authority.issuing.subject_der, authority.random)


class PowerCut(Exception):
    pass


class CutMessage(Message):
    """One at whose MAC the power fails."""

    @classmethod
    def of(cls, message: Message) -> Self:
        return cls(**{each.name: getattr(message, each.name) for each in fields(Message)})

    def verify_mac(self, secret: bytes) -> None:  # noqa: ARG002
        raise PowerCut


async def test_a_try_is_counted_before_the_mac_is_computed(bank: Bank) -> None:
    message = read_message(await bank.write(bank.newcomer(), BodyType.GENM, QUESTION))
    cut, admission = CutMessage.of(message), admission_of(bank)
    with pytest.raises(PowerCut):
        admission.admit(cut, bank.now)
    assert failures(bank) == [1]
    admission.admit(message, bank.now)
    assert failures(bank) == [1], "nobody can tell whether the try that was cut was a good one"


@pytest.mark.parametrize(
    "asked",
    [{"iterations": 99}, {"iterations": 100_001}, {"iterations": 2**31}, {"salt": b"s" * 7}, {"salt": b"s" * 65}],
    ids=str,
)
@pytest.mark.parametrize("mac", MacKind)
async def test_what_asks_for_too_much_costs_nothing_and_is_no_try(
    bank: Bank, asked: dict[str, object], mac: MacKind
) -> None:
    code = bank.newcomer()

    greedy: Protector = Greedy(replace(code, kind=mac, **asked))  # type: ignore[arg-type]
    answer = await bank.ask(greedy, BodyType.GENM, QUESTION)
    assert refusal(answer) == (ERROR, {FailInfo.BAD_ALG})
    assert failures(bank) == []


@pytest.mark.parametrize("mac", MacKind)
async def test_no_mac_is_computed_for_whoever_asks_for_too_much(bank: Bank, mac: MacKind) -> None:
    code = replace(bank.newcomer(), kind=mac)

    async def admit(iterations: int) -> None:
        asked = await bank.write(Greedy(replace(code, iterations=iterations)), BodyType.GENM, QUESTION)
        admission_of(bank).admit(CutMessage.of(read_message(asked)), bank.now)

    for iterations in (bank.policy.most_iterations + 1, 2**31):
        with pytest.raises(Refusal):
            await admit(iterations)
    with pytest.raises(PowerCut):
        await admit(bank.policy.most_iterations)


async def test_nothing_secret_is_in_the_ledger_or_in_a_log(
    bank: Bank, kind_of_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = bank.newcomer()
    caplog.set_level(0)
    talk = Talk(bank, code)
    await talk.request(IR, new_key())
    await talk.confirm()
    await bank.ask(replace(code, secret=b"0" * 17), IR, b"\x30\x00")
    files = [*bank.authority.directory.iterdir(), *tmp_path.glob("ledger*")]
    own = {"ledger.sqlite", "ledger.sqlite-wal"} if kind_of_database == "sqlite" else {"ledger.toml"}
    assert {"codes.key", *own} <= {path.name for path in files}
    stored = b"".join(path.read_bytes() for path in files) + repr(dump(bank.book, without=())).encode()
    assert code.secret not in stored
    assert code.secret.decode() not in caplog.text
    assert code.secret.decode() not in repr(code)


async def test_a_code_that_was_altered_in_the_ledger_is_a_fault_of_ours(bank: Bank) -> None:
    code = bank.newcomer("FIRST")
    bank.newcomer("SECOND")
    with bank.book.begin() as connection:
        sealed = connection.execute(select(CODES.c.sealed).where(CODES.c.holder == "SECOND")).scalar_one()
        connection.execute(CODES.update().where(CODES.c.holder == "FIRST").values(sealed=sealed))
    answer = await bank.ask(code, BodyType.GENM, QUESTION)
    assert refusal(answer) == (ERROR, {FailInfo.SYSTEM_FAILURE})
    answer.verify_protection(bank.authority.signer.certificate.public_key)


async def test_a_bank_may_want_less_work(bank: Bank) -> None:
    code = bank.newcomer()
    bank.obey(Policy(most_iterations=100))
    assert (await bank.ask(code, BodyType.GENM, QUESTION)).body_type == BodyType.GENP
    answer = await bank.ask(replace(code, iterations=101), BodyType.GENM, QUESTION)
    assert refusal(answer) == (ERROR, {FailInfo.BAD_ALG})
    assert failures(bank) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"pvno": 1},
        {"transaction_id": None},
        {"sender_nonce": b"short"},
        {"recipient_nonce": b"r" * 16},
        {"message_time": None},
        {"message_time": START + DAY},
        {"general_info": (Info(IMPLICIT_CONFIRM),)},
    ],
    ids=str,
)
async def test_a_header_that_is_wrong_is_no_try(bank: Bank, changes: dict[str, object]) -> None:
    wrong = replace(bank.newcomer(), secret=b"0" * 17)

    def spoil(sent: Header) -> Header:
        return replace(sent, **changes)  # type: ignore[arg-type]

    answer = await bank.ask(wrong, BodyType.GENM, QUESTION, spoil)
    assert answer.body_type == ERROR
    assert FailInfo.BAD_MESSAGE_CHECK not in status_of(answer).failures
    assert failures(bank) == []


async def test_a_code_replaced_while_its_message_is_read_gets_nothing(bank: Bank) -> None:
    code = bank.newcomer()
    message = read_message(await bank.write(code, IR, await write_request(new_key())))
    admitted = admission_of(bank).admit(message, bank.now)
    bank.code("TKYM1408054")
    reply = Issuing(bank.authority, bank.book, bank.policy).ask(admitted, IR, b"n" * 16)
    (response,) = read_responses(reply.body).responses
    assert response.status.failures == {FailInfo.NOT_AUTHORIZED}
    assert response.certificate is None
    assert (bank.issued(), bank.rows()) == (0, 0)


# --- at the same time -------------------------------------------------------------------------------------------------


async def test_the_same_key_from_many_sides_gets_one_certificate(bank: Bank) -> None:
    code, key = bank.newcomer(), new_key()
    answers = await asyncio.gather(*(Talk(bank, code).request(IR, key) for _ in range(8)))
    assert len({certificate_of(answer).fingerprint for answer in answers}) == 1
    assert (bank.issued(), bank.rows()) == (1, 1)


async def test_of_many_keys_one_gets_the_certificate(bank: Bank) -> None:
    code = bank.newcomer()
    answers = await asyncio.gather(*(Talk(bank, code).request(IR, new_key()) for _ in range(8)))
    statuses = sorted(status_of(answer).status for answer in answers)
    assert statuses == [Status.ACCEPTED] + [Status.REJECTION] * 7
    assert (bank.issued(), bank.rows()) == (1, 1)


async def test_confirmed_from_two_sides_it_is_used_once(bank: Bank) -> None:
    code, key = bank.newcomer(), new_key()
    talks = [Talk(bank, code) for _ in range(2)]
    for talk in talks:
        await talk.request(IR, key)
    closed = await asyncio.gather(*(talk.confirm() for talk in talks))
    kinds = sorted(answer.body_type for answer in closed)
    assert PKICONF in kinds
    assert bank.promises() == [(PromiseKind.CODE, PromiseState.CONFIRMED)]
    assert code_states(bank) == [CodeState.USED]


async def test_parallel_guesses_are_all_counted(bank: Bank) -> None:
    wrong = replace(bank.newcomer(), secret=b"0" * 17)
    answers = await asyncio.gather(*(bank.ask(wrong, BodyType.GENM, QUESTION) for _ in range(25)))
    tried = [each for each in answers if status_of(each).failures == {FailInfo.BAD_MESSAGE_CHECK}]
    assert len(tried) == bank.policy.most_tries
