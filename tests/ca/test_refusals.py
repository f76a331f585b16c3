"""What the CA refuses, one row each: the request, the answer's type, the reason, and RFC 9483's section."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kiosk.ca import codes
from kiosk.ca.policy import KNOWN_KEY_KINDS, Policy, key_kind
from kiosk.ca.schema import CERTIFICATES
from kiosk.ca.vault import Vault
from kiosk.cmp import der
from kiosk.cmp.algorithms import NULL, PBM, Algorithm
from kiosk.cmp.envelope import Header, Message, read_message
from kiosk.cmp.general import read_template, write_general, write_template
from kiosk.cmp.infos import Info
from kiosk.cmp.mac import is_mac
from kiosk.cmp.polling import write_poll_request
from kiosk.cmp.responses import PKICONF_BODY, Confirmation, write_confirmation
from kiosk.cmp.signing import SoftwareKey
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CONFIRM_WAIT_TIME, IMPLICIT_CONFIRM, BodyType, FailInfo, Status
from tests.ca.bank import START, Bank, new_key, refusal, status_of, subject
from tests.ca.spoiled import (
    Draft,
    Otherwise,
    Send,
    another_issuer,
    another_subject,
    as_it_was,
    asking,
    bare,
    by_a_mute_signer,
    by_code,
    by_sha_1,
    ca_signer,
    confirming,
    draft,
    expired,
    flipped,
    garbled,
    general_info,
    header,
    late,
    names_another,
    names_none,
    names_the_old,
    no_key,
    not_yet_valid,
    number_of_pkcs10,
    number_one,
    of_a_waiting_transaction,
    own_serial,
    paused,
    pbm,
    pkcs10,
    plain,
    polling_what_is_issued,
    proven,
    rekeyed,
    renamed,
    revoked,
    rewritten,
    signed,
    signed_over_something_else,
    unknown,
    unprotected,
    unproven,
    update,
    version_one,
    vouched_for,
    waiting,
)

ERROR, KUP, IP, CP = BodyType.ERROR, BodyType.KUP, BodyType.IP, BodyType.CP
WRONG = FailInfo.BAD_MESSAGE_CHECK
POLL = write_poll_request([0])
IMPLICIT, IMPLICIT_5 = Info(IMPLICIT_CONFIRM, NULL), Info(IMPLICIT_CONFIRM, der.encode(5))
WAIT, WAIT_NOT = Info(CONFIRM_WAIT_TIME, der.write_time(START)), Info(CONFIRM_WAIT_TIME, der.write_octets(b"soon"))
HMAC, NO_PBM = Algorithm("1.2.840.113549.2.9"), Algorithm(PBM)
SHA_1, HMAC_1 = "1.3.14.3.2.26", "1.3.6.1.5.5.8.1.2"


@dataclass(frozen=True)
class Case:
    name: str
    section: str
    send: Send = field(repr=False)
    body_type: BodyType
    failure: FailInfo


WEAK, EXPONENT_3, CURVE, EDWARDS = (
    SoftwareKey(rsa.generate_private_key(65537, 2056)),
    SoftwareKey(rsa.generate_private_key(3, 2048)),
    SoftwareKey(ec.generate_private_key(ec.SECP384R1())),
    SoftwareKey(ed25519.Ed25519PrivateKey.generate()),
)

CASES = (
    Case("version 1", "3.5", header(pvno=1), ERROR, FailInfo.UNSUPPORTED_VERSION),
    Case("version 4", "3.5", header(pvno=4), ERROR, FailInfo.UNSUPPORTED_VERSION),
    Case("no transaction id", "3.5", header(transaction_id=None), ERROR, FailInfo.BAD_DATA_FORMAT),
    Case("short transaction id", "3.5", header(transaction_id=b"short"), ERROR, FailInfo.BAD_DATA_FORMAT),
    Case("no nonce", "3.5", header(sender_nonce=None), ERROR, FailInfo.BAD_SENDER_NONCE),
    Case("short nonce", "3.5", header(sender_nonce=b"n" * 15), ERROR, FailInfo.BAD_SENDER_NONCE),
    Case("huge nonce", "3.5", header(sender_nonce=b"n" * 65), ERROR, FailInfo.BAD_SENDER_NONCE),
    Case("no time", "3.5", header(message_time=None), ERROR, FailInfo.MISSING_TIME_STAMP),
    Case("too late", "3.5", late(timedelta(minutes=6)), ERROR, FailInfo.BAD_TIME),
    Case("too early", "3.5", late(-timedelta(minutes=6)), ERROR, FailInfo.BAD_TIME),
    Case("unprotected", "3.2", rewritten(unprotected), ERROR, FailInfo.BAD_MESSAGE_CHECK),
    Case("wrong signature", "3.5", rewritten(flipped), ERROR, FailInfo.BAD_MESSAGE_CHECK),
    Case("SHA-1", "3.5", rewritten(by_sha_1), ERROR, FailInfo.BAD_ALG),
    Case("no certificate of the signer", "3.3", rewritten(bare), ERROR, FailInfo.SIGNER_NOT_TRUSTED),
    Case("unreadable signer", "3.3", rewritten(garbled), ERROR, FailInfo.SIGNER_NOT_TRUSTED),
    Case("signer not in the ledger", "3.5", update(claim=unknown), ERROR, FailInfo.SIGNER_NOT_TRUSTED),
    Case("the CA's own signer", "3.5", update(claim=ca_signer), ERROR, FailInfo.SIGNER_NOT_TRUSTED),
    Case("another sender", "3.5", update(claim=renamed), ERROR, FailInfo.BAD_MESSAGE_CHECK),
    Case("another key id", "3.5", update(claim=rekeyed), ERROR, FailInfo.BAD_MESSAGE_CHECK),
    Case("signer not for signatures", "3.2", by_a_mute_signer, ERROR, FailInfo.SIGNER_NOT_TRUSTED),
    Case("revoked signer", "3.5", revoked, ERROR, FailInfo.CERT_REVOKED),
    Case("signer not valid yet", "3.5", not_yet_valid, ERROR, FailInfo.SIGNER_NOT_TRUSTED),
    Case("no kur in kur", "3.6", plain(BodyType.KUR, PKICONF_BODY), ERROR, FailInfo.BAD_DATA_FORMAT),
    Case("a type not spoken", "3.6", plain(13, b"\x30\x00"), ERROR, FailInfo.BAD_REQUEST),
    Case("an answer as a request", "3.6", plain(BodyType.KUP, b"\x30\x00"), ERROR, FailInfo.BAD_REQUEST),
    Case("nothing asked", "4.3", plain(BodyType.GENM, b"\x30\x00"), ERROR, FailInfo.BAD_REQUEST),
    Case("not told", "4.3", plain(BodyType.GENM, write_general([Info("1.2.3")])), ERROR, FailInfo.BAD_REQUEST),
    Case("no request", "4.1.3", plain(BodyType.KUR, b"\x30\x00"), KUP, FailInfo.BAD_REQUEST),
    Case("two requests", "4.1.3", proven(signed, 2), KUP, FailInfo.BAD_REQUEST),
    Case("certReqId 1", "4.1.3", draft(number_one), KUP, FailInfo.BAD_REQUEST),
    Case("more than 30 days left", "4.1.3", update(days_left=31), KUP, FailInfo.BAD_REQUEST),
    Case("another old certificate", "4.1.3", draft(names_another), KUP, FailInfo.BAD_CERT_ID),
    Case("no old certificate", "4.1.3", draft(names_none), KUP, FailInfo.BAD_CERT_ID),
    Case("another subject", "4.1.3", draft(another_subject), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("another issuer", "4.1.3", draft(another_issuer), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("a serial number", "4.1.1", draft(own_serial), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("X.509 version 1", "4.1.1", draft(version_one), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("no public key", "4.1.1", draft(no_key), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("RSA of an odd length", "4.1.1", draft(key=WEAK), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("RSA with the exponent 3", "4.1.1", draft(key=EXPONENT_3), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("P-384", "4.1.1", draft(key=CURVE), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("Ed25519", "4.1.1", draft(key=EDWARDS), KUP, FailInfo.BAD_CERT_TEMPLATE),
    Case("no proof of possession", "4.1.1", proven(unproven), KUP, FailInfo.BAD_POP),
    Case("proof by someone else's word", "4.1.1", proven(vouched_for), KUP, FailInfo.BAD_POP),
    Case("proof over other bytes", "4.1.1", proven(signed_over_something_else), KUP, FailInfo.BAD_POP),
    Case(
        "confirming nothing",
        "4.1.1",
        plain(BodyType.CERTCONF, write_confirmation(Confirmation(cert_hash=b"h"))),
        ERROR,
        FailInfo.BAD_REQUEST,
    ),
    Case("confirming another's", "4.1.1", confirming(other_signer=True), ERROR, FailInfo.NOT_AUTHORIZED),
    Case(
        "confirming without our nonce",
        "3.5",
        confirming(spoil=lambda sent: replace(sent, recipient_nonce=b"r" * 16)),
        ERROR,
        FailInfo.BAD_RECIPIENT_NONCE,
    ),
    Case(
        "confirming another certificate",
        "4.1.1",
        confirming(change=lambda confirmation: replace(confirmation, cert_hash=b"h" * 32)),
        ERROR,
        FailInfo.BAD_CERT_ID,
    ),
    Case(
        "confirming another request",
        "4.1.1",
        confirming(change=lambda confirmation: replace(confirmation, request_id=1)),
        ERROR,
        FailInfo.BAD_REQUEST,
    ),
    Case("neither yes nor no", "4.1.1", confirming(change=waiting), ERROR, FailInfo.BAD_REQUEST),
    Case("confirming what waits", "4.4", of_a_waiting_transaction, ERROR, FailInfo.BAD_REQUEST),
    Case("confirming twice", "4.1.1", confirming(times=2), ERROR, FailInfo.BAD_REQUEST),
    Case("confirming too late", "4.1.1", confirming(lapsed=True), ERROR, FailInfo.CERT_REVOKED),
    Case("polling without a request", "4.4", plain(BodyType.POLLREQ, POLL), ERROR, FailInfo.BAD_REQUEST),
    Case("polling what is issued", "4.4", polling_what_is_issued, ERROR, FailInfo.BAD_REQUEST),
    Case("no pollReq in pollReq", "3.6", plain(BodyType.POLLREQ, PKICONF_BODY), ERROR, FailInfo.BAD_DATA_FORMAT),
    # --- general information ------------------------------------------------------------------------------------------
    Case("a recipient nonce at first", "3.5", header(recipient_nonce=b"r" * 16), ERROR, FailInfo.BAD_RECIPIENT_NONCE),
    Case("implicitConfirm of something", "3.1", general_info(IMPLICIT_5), ERROR, FailInfo.BAD_REQUEST),
    Case("implicitConfirm of nothing", "3.1", general_info(Info(IMPLICIT_CONFIRM)), ERROR, FailInfo.BAD_REQUEST),
    Case("implicitConfirm with a time", "3.1", general_info(IMPLICIT, WAIT), ERROR, FailInfo.BAD_REQUEST),
    Case("confirmWaitTime of no time", "3.1", general_info(WAIT_NOT), ERROR, FailInfo.BAD_DATA_FORMAT),
    # --- by a one-time code -------------------------------------------------------------------------------------------
    Case("wrong code", "3.5", by_code(claim=lambda code: replace(code, secret=b"0" * 17)), ERROR, WRONG),
    Case("no reference", "3.1", by_code(claim=Otherwise.of(key_id=None)), ERROR, WRONG),
    Case("a reference that is no text", "3.1", by_code(claim=Otherwise.of(key_id=b"\xff")), ERROR, WRONG),
    Case("a huge reference", "3.1", by_code(claim=Otherwise.of(key_id=b"r" * 65)), ERROR, WRONG),
    Case("nobody's reference", "3.5", by_code(claim=Otherwise.of(key_id=b"NOBODY")), ERROR, WRONG),
    Case(
        "another sender than the reference",
        "3.1",
        by_code(claim=lambda code: replace(code, sender=subject("TKYM1408055 1403").public_bytes())),
        ERROR,
        WRONG,
    ),
    Case("a bare HMAC", "3.5", by_code(claim=Otherwise.of(algorithm=HMAC)), ERROR, FailInfo.BAD_ALG),
    Case("PBM over SHA-1", "3.5", by_code(claim=Otherwise.of(algorithm=pbm(one_way=SHA_1))), ERROR, FailInfo.BAD_ALG),
    Case("PBM with HMAC-SHA1", "3.5", by_code(claim=Otherwise.of(algorithm=pbm(mac=HMAC_1))), ERROR, FailInfo.BAD_ALG),
    Case("PBM without parameters", "3.5", by_code(claim=Otherwise.of(algorithm=NO_PBM)), ERROR, FailInfo.BAD_ALG),
    Case("paused", "3.5", paused, ERROR, FailInfo.SYSTEM_UNAVAIL),
    Case("expired code", "4.1.5", expired, IP, FailInfo.NOT_AUTHORIZED),
    Case("cr by a code", "4.1.2", by_code(BodyType.CR), ERROR, FailInfo.WRONG_INTEGRITY),
    Case("kur by a code", "4.1.3", by_code(BodyType.KUR), ERROR, FailInfo.WRONG_INTEGRITY),
    Case("rr by a code", "4.2", by_code(BodyType.RR), ERROR, FailInfo.WRONG_INTEGRITY),
    Case("no ir in ir", "3.6", by_code(BodyType.IR, PKICONF_BODY), ERROR, FailInfo.BAD_DATA_FORMAT),
    # --- for a first or an additional certificate ---------------------------------------------------------------------
    Case("ir for nothing", "4.1.1", by_code(BodyType.IR, b"\x30\x00"), IP, FailInfo.BAD_REQUEST),
    Case("ir for two", "4.1.1", asking(BodyType.IR, as_it_was, count=2), IP, FailInfo.BAD_REQUEST),
    Case("ir for two by a code", "4.1.5", asking(BodyType.IR, as_it_was, count=2, code=True), IP, FailInfo.BAD_REQUEST),
    Case("ir numbered 1", "4.1.1", asking(BodyType.IR, number_one), IP, FailInfo.BAD_REQUEST),
    Case("cr numbered -1", "4.1.2", asking(BodyType.CR, number_of_pkcs10), CP, FailInfo.BAD_REQUEST),
    Case("ir with an old certificate", "4.1.1", asking(BodyType.IR, names_the_old), IP, FailInfo.BAD_CERT_ID),
    Case("cr for another", "4.1.2", asking(BodyType.CR, another_subject), CP, FailInfo.BAD_CERT_TEMPLATE),
    Case("ir for another", "4.1.5", asking(BodyType.IR, another_subject, code=True), IP, FailInfo.BAD_CERT_TEMPLATE),
    Case("cr from another CA", "4.1.2", asking(BodyType.CR, another_issuer), CP, FailInfo.BAD_CERT_TEMPLATE),
    Case("ir without a key", "4.1.1", asking(BodyType.IR, no_key), IP, FailInfo.BAD_CERT_TEMPLATE),
    Case("p10cr for another", "4.1.4", pkcs10(subject("Other").public_bytes()), CP, FailInfo.BAD_CERT_TEMPLATE),
    Case("p10cr unproven", "4.1.4", pkcs10(proven=False), CP, FailInfo.BAD_POP),
    Case("p10cr with P-384", "4.1.4", pkcs10(key=CURVE), CP, FailInfo.BAD_CERT_TEMPLATE),
    Case("no p10cr in p10cr", "3.6", plain(BodyType.P10CR, PKICONF_BODY), ERROR, FailInfo.BAD_DATA_FORMAT),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_it_is_refused(case: Case, bank: Bank) -> None:
    request = await case.send(bank)
    count, rows = bank.issued(), bank.rows()
    answer = await bank.send(request)
    assert refusal(answer) == (case.body_type, {case.failure})
    assert status_of(answer).status == Status.REJECTION
    assert (bank.issued(), bank.rows()) == (count, rows)
    check_protection(bank, answer)


def check_protection(bank: Bank, answer: Message) -> None:
    """By the signer; by the code only what could not be told without knowing it."""
    algorithm = answer.header.protection_algorithm
    assert algorithm is not None
    if not is_mac(algorithm):
        answer.verify_protection(bank.authority.signer.certificate.public_key)
        return
    with bank.book.read() as connection:
        code = codes.find_open(connection, Vault.of(bank.authority.directory, bank.random), "TKYM1408054")
    assert code is not None
    answer.verify_mac(code.secret)
    assert not status_of(answer).failures & {WRONG, FailInfo.BAD_ALG, FailInfo.WRONG_INTEGRITY}


def test_the_table_says_how_long_it_is() -> None:
    print(f"{len(CASES)} refusals")
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("rubbish", [b"", b"\x30\x00", b"GET / HTTP/1.1", b"\x30\x80" + b"\0" * 50])
async def test_rubbish_is_answered_by_a_protected_error(bank: Bank, rubbish: bytes) -> None:
    answer = await bank.send(rubbish)
    assert refusal(answer) == (ERROR, {FailInfo.BAD_DATA_FORMAT})
    answer.verify_protection(bank.authority.signer.certificate.public_key)


async def test_a_good_draft_is_granted_so_the_table_tests_what_it_says(bank: Bank) -> None:
    assert status_of(await bank.send(await draft()(bank))).status == Status.ACCEPTED


async def test_what_is_asked_beyond_the_profile_is_left_out_and_said(bank: Bank) -> None:
    def extended(_: Bank, drafted: Draft) -> None:
        drafted.template.extensions = [der.any_value(b"\x30\x00")]

    assert status_of(await bank.send(await draft(extended)(bank))).status == Status.GRANTED_WITH_MODS


async def test_an_empty_subject_means_the_old_one(bank: Bank) -> None:
    def empty(_: Bank, drafted: Draft) -> None:
        drafted.template.subject = []

    answer = await bank.send(await draft(empty)(bank))
    assert status_of(answer).status == Status.ACCEPTED


async def test_an_empty_confirmation_rejects(bank: Bank) -> None:
    holder = bank.holder()
    issued = await bank.client.update(holder, new_key())

    def continued(sent: Header) -> Header:
        return replace(sent, transaction_id=issued.transaction_id, recipient_nonce=issued.ca_nonce)

    answer = await bank.ask(holder, BodyType.CERTCONF, b"\x30\x00", continued)
    assert answer.body_type == BodyType.PKICONF
    assert bank.state(issued.certificate) == "revoked"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_request_is_refused_and_never_issues(bank: Bank, recorded: bytes, data: st.DataObject) -> None:
    spoiled = bytearray(recorded)
    for _ in range(data.draw(st.integers(1, 3))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= data.draw(st.integers(1, 255))
    assume(bytes(spoiled) != recorded)
    rows = bank.rows()
    answer = asyncio.run(bank.send(bytes(spoiled)))
    answer.verify_protection(bank.authority.signer.certificate.public_key)
    if bank.rows() > rows:  # damage outside what is protected: a certificate further down the chain, which nobody reads
        assert read_message(bytes(spoiled)).protected_part == read_message(recorded).protected_part


@pytest.fixture
def recorded(bank: Bank) -> bytes:
    return asyncio.run(update()(bank))


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
    answer = await bank.ask(holder, BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))
    assert refusal(answer) == (ERROR, {FailInfo.SYSTEM_FAILURE})
    answer.verify_protection(bank.authority.signer.certificate.public_key)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "UnreadableCertificate" not in "".join(status_of(answer).text)


@pytest.mark.parametrize("length", [0, 65, 20_000])
async def test_what_anybody_sends_is_not_returned_at_any_length(bank: Bank, length: int) -> None:
    request = await header(transaction_id=b"t" * length, sender_nonce=b"n" * 65)(bank)
    answer = await bank.send(request)
    assert answer.body_type == ERROR
    assert len(answer.header.transaction_id or b"") == 16
    assert answer.header.recipient_nonce is None


async def test_who_is_not_known_is_told_so_while_another_writes(bank: Bank) -> None:
    stranger, holder = await update(claim=unknown)(bank), bank.holder()
    question = await bank.write(holder, BodyType.GENM, write_general([Info(CA_CERTIFICATES)]))
    with bank.book.begin() as connection:
        connection.execute(CERTIFICATES.update().values(reason=None))
        assert refusal(await bank.send(stranger)) == (ERROR, {FailInfo.SIGNER_NOT_TRUSTED})
        assert (await bank.send(question)).body_type == BodyType.GENP


@pytest.mark.parametrize("kinds", [frozenset(), {"rsa-1024"}, {"ec-p521"}, {"ed25519", "ec-p256"}, {"elliptic"}])
def test_a_policy_names_kinds_of_key_that_can_be_certified(kinds: Set[str]) -> None:
    with pytest.raises(ValueError, match="ec-p256"):
        Policy(key_kinds=frozenset(kinds))


def test_every_kind_of_key_that_a_policy_may_name_can_be_told() -> None:
    policy = Policy(key_kinds=KNOWN_KEY_KINDS)
    assert read_template(write_template(policy.key_kinds)).key_kinds == KNOWN_KEY_KINDS
