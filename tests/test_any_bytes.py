"""Every parser of bytes from outside, given spoiled ones: it answers, or refuses in our own words, and stays small.

`KIOSK_SOAK` in the environment is how many dozens are tried of each kind; `make soak` sets it, so that a million inputs
are tried in all. The same inputs every time, unless `KIOSK_SEED` is another number.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from pkcs11 import Attribute
from pkcs11.attributes import AttributeMapper

from kiosk.ca.database import SETTINGS_FILE as LEDGER_FILE
from kiosk.ca.database import configured_url
from kiosk.ca.ledger import LedgerDamaged
from kiosk.ca.office.csv_files import FileRefused, read_rows
from kiosk.ca.policy import POLICY_FILE, Policy, PolicyError, load_policy
from kiosk.certificates import UnreadableCertificate, read_certificate, read_certificate_file
from kiosk.cmp.algorithms import UnsupportedSignature, WrongSignature, verify
from kiosk.cmp.answers import ProvenAnswer, Question, Trust, check_answer
from kiosk.cmp.crls import read_crl
from kiosk.cmp.envelope import Header, Message, Protector, read_message, write_protected
from kiosk.cmp.errors import CmpError, MalformedMessage
from kiosk.cmp.general import (
    CrlStatus,
    read_crl_statuses,
    read_general,
    read_list,
    read_template,
    write_crl_statuses,
    write_general,
)
from kiosk.cmp.infos import Info
from kiosk.cmp.issued import Wanted, read_issued
from kiosk.cmp.mac import MacKind, SharedSecret, UnsupportedMac, WrongMac
from kiosk.cmp.polling import read_poll_answer, read_poll_request, write_poll_request
from kiosk.cmp.requests import read_pkcs10, read_requests, write_pkcs10, write_request, write_update
from kiosk.cmp.responses import Confirmation, certificate_hash, read_confirmations, read_responses, write_confirmation
from kiosk.cmp.revocations import RevocationRequest, read_revocation_answer, read_revocations, write_revocations
from kiosk.cmp.signing import SoftwareKey
from kiosk.cmp.status import read_error, rejection, write_error
from kiosk.cmp.vocabulary import CA_CERTIFICATES, CRL_STATUS_LIST, CURRENT_CRL, REQUEST_TEMPLATE, BodyType
from kiosk.credentials import HolderRule
from kiosk.notices.settings import SETTINGS_FILE as NOTICES_FILE
from kiosk.notices.settings import NoticeSettingsError, load_notice_settings
from kiosk.one_time_code import MistypedCode, make, read
from kiosk.revocation import ocsp
from kiosk.revocation.lists import look_up
from kiosk.revocation.status import StatusError
from kiosk.settings import CaSettings, Settings, SettingsError, load_settings
from kiosk.tokens import wire
from kiosk.tokens.inventory import read_inventory
from kiosk.tokens.keys import wire_public
from kiosk.tokens.objects import as_stored
from kiosk.tokens.process import UNPACKABLE, ModuleSettings
from tests.cmp.fake_ca import FakeCa
from tests.cmp.pki import NOW, Pki, new_key
from tests.mutations import TRIED, ByChance, Draw, changed_bytes, changed_pack, changed_text, mutated, reprotected
from tests.revocation.teller import CrlTeller, OcspTeller, delegated
from tests.watching import growing_little, holding_little, in_time

pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length")
TRIES = int(os.environ.get("KIOSK_SOAK", "15")) * 12
SEED = int(os.environ.get("KIOSK_SEED", "20261126"))
WATCHED = 500
"""Inputs after which it must be shown that nothing hangs and nothing grows."""
LONGEST_SECONDS = 120
"""For so many; a parser that takes longer hangs."""

CODE = SharedSecret(reference=b"TKYM1408054", secret=b"12345678901234560", iterations=200)
NONCE = b"n" * 32
CRL_URL = "http://ca.example/crl"


@dataclass(frozen=True)
class Parser:
    """One that reads bytes from outside."""

    name: str
    good: Callable[[], Sequence[bytes]]
    read: Callable[[bytes], object]
    ours: tuple[type[Exception], ...]
    """What it may raise."""
    spoil: Callable[[Draw, bytes], bytes] = mutated
    share: float = 1.0
    """How many of the others' tries it gets."""


@cache
def pki() -> Pki:
    return Pki()


@cache
def key_to_certify() -> EllipticCurvePrivateKey:
    return new_key()


@cache
def runner() -> asyncio.Runner:
    return asyncio.Runner()


@cache
def trust() -> Trust:
    return Trust((pki().root.certificate,), (pki().issuing.certificate,))


def protected(kind: BodyType, body: bytes, protector: Protector) -> bytes:
    header = Header(
        sender=protector.sender,
        recipient=pki().issuing.certificate.subject_der,
        message_time=NOW,
        transaction_id=b"t" * 16,
        sender_nonce=b"s" * 16,
    )
    return runner().run(write_protected(header, kind, body, protector))


@cache
def requests() -> Sequence[bytes]:
    """One of each kind, by each kind of protection."""
    customer, key = pki().customer, SoftwareKey(key_to_certify())
    old = customer.certificate
    statuses = write_crl_statuses([CrlStatus(pki().issuing.certificate.subject_der, NOW)])
    bodies = {
        BodyType.IR: runner().run(write_request(key)),
        BodyType.CR: runner().run(write_request(key, subject_der=old.subject_der)),
        BodyType.KUR: runner().run(write_update(old, key)),
        BodyType.P10CR: runner().run(write_pkcs10(key, old.subject_der)),
        BodyType.GENM: write_general([Info(CA_CERTIFICATES), Info(CURRENT_CRL), Info(CRL_STATUS_LIST, statuses)]),
        BodyType.CERTCONF: write_confirmation(
            Confirmation(cert_hash=certificate_hash(old), request_id=0, status=rejection((), "no"), hash_algorithm=None)
        ),
        BodyType.RR: write_revocations([RevocationRequest.of(old, 1)]),
        BodyType.POLLREQ: write_poll_request([0]),
        BodyType.ERROR: write_error(rejection((), "no")),
    }
    by_code = [replace(CODE, kind=kind) for kind in MacKind]
    signed = [protected(kind, body, customer) for kind, body in bodies.items()]
    return [*signed, *(protected(BodyType.IR, bodies[BodyType.IR], code) for code in by_code)]


@cache
def answers() -> Sequence[bytes]:
    """A CA's answers to all of these, and to whoever has to wait."""
    crl = CrlTeller(pki=pki()).crl()
    asked = [each for each in requests() if read_message(each).body_type not in (BodyType.POLLREQ, BodyType.ERROR)]
    asked.append(protected(BodyType.GENM, write_general([Info(REQUEST_TEMPLATE)]), pki().customer))
    asked = [each for each in asked if not _asks_much(read_message(each))]
    told = [runner().run(FakeCa(pki(), secret=CODE, crl=crl).answer(each)) for each in asked]
    slow = FakeCa(pki(), polls=2)
    waits = [runner().run(slow.answer(each)) for each in (requests()[2], protected_poll())]
    return [*told, *waits, protected(BodyType.ERROR, write_error(rejection((), "no")), pki().ca_signer)]


def _asks_much(message: Message) -> bool:
    return message.body_type == BodyType.GENM and len(read_general(message.body)) > 1


def protected_poll() -> bytes:
    return protected(BodyType.POLLREQ, write_poll_request([0]), pki().customer)


def read_request(data: bytes) -> None:
    """As a CA reads it, whoever protects it."""
    message = read_message(data)
    _read_certificates(message)
    checks: list[Callable[[], None]] = [lambda: message.verify_mac(CODE.secret), lambda: _verify_signature(message)]
    for check in checks:
        with suppress(UnsupportedMac, WrongMac, UnsupportedSignature, WrongSignature):
            check()
    match message.body_type:
        case BodyType.IR | BodyType.CR | BodyType.KUR:
            for each in read_requests(message.body):
                each.verify_proof(each.public_key())
        case BodyType.P10CR:
            request = read_pkcs10(message.body)
            request.verify_proof(request.public_key())
        case BodyType.GENM:
            for info in read_general(message.body):
                if info.kind == CRL_STATUS_LIST:
                    read_crl_statuses(info.value or b"")
        case BodyType.CERTCONF:
            read_confirmations(message.body)
        case BodyType.RR:
            read_revocations(message.body)
        case BodyType.POLLREQ:
            read_poll_request(message.body)
        case BodyType.ERROR:
            read_error(message.body)


def read_answer(data: bytes) -> None:
    """As a kiosk reads it, once where it does not count, and once as if it did."""
    message = read_message(data)
    _read_certificates(message)
    with suppress(CmpError):
        _proven(message)
    _read_content(message)


def read_proven_answer(data: bytes) -> None:
    """The whole of it, under protection that is right."""
    message = read_message(data)
    answer = _proven(message)
    if message.body_type in (BodyType.IP, BodyType.CP, BodyType.KUP):
        content = read_responses(message.body)
        wanted = Wanted(key=key_to_certify().public_key(), subject_der=None)
        read_issued(content, answer, trust(), wanted, protector=pki().customer, address="")
    _read_content(message)


def _proven(message: Message) -> ProvenAnswer:
    question = Question(
        transaction_id=b"t" * 16, nonce=b"s" * 16, answer_types=frozenset(BodyType), time_window=None, secret=CODE
    )
    return check_answer(message, question, trust(), NOW)


def _read_content(message: Message) -> None:
    match message.body_type:
        case BodyType.IP | BodyType.CP | BodyType.KUP:
            for each in read_responses(message.body).responses:
                if each.certificate is not None:
                    read_certificate(each.certificate)
        case BodyType.GENP:
            for info in read_general(message.body):
                value = info.value or b""
                if info.kind == REQUEST_TEMPLATE:
                    read_template(value)
                elif info.kind == CURRENT_CRL:
                    read_crl(value, trust().authorities, NOW)
                else:
                    read_list(value)
        case BodyType.POLLREP:
            read_poll_answer(message.body)
        case BodyType.RP:
            read_revocation_answer(message.body)
        case BodyType.ERROR:
            read_error(message.body)


def _verify_signature(message: Message) -> None:
    if message.header.protection_algorithm is not None:
        key = pki().customer.certificate.public_key
        verify(message.header.protection_algorithm, key, message.protection or b"", message.protected_part)


def _read_certificates(message: Message) -> None:
    for each in message.extra_certificates:
        with suppress(UnreadableCertificate):
            read_certificate(each)


def spoiled_by_the_ca(draw: Draw, answer: bytes) -> bytes:
    def protect(part: bytes) -> bytes:
        return runner().run(pki().ca_signer.protect(part))

    return reprotected(draw, answer, protect)


@cache
def certificates() -> Sequence[bytes]:
    known = (pki().root, pki().issuing, pki().ca_signer, pki().customer, delegated(pki()))
    return [each.certificate.der for each in known]


@cache
def objects() -> Sequence[bytes]:
    """What a token lists: a pair with its certificate, and one that is begun."""
    certificate = pki().customer.certificate
    public = wire_public(certificate.public_key)
    kinds = wire.ObjectKind
    stored = [
        wire.StoredObject(kinds.CERTIFICATE, b"1", "TKYM1408054", certificate.der),
        wire.StoredObject(kinds.PRIVATE_KEY, b"1", "TKYM1408054", public=public),
        wire.StoredObject(kinds.PUBLIC_KEY, b"1", "TKYM1408054", public=public),
        wire.StoredObject(kinds.PRIVATE_KEY, b"2" * 16, "", public=wire.RsaPublic(b"\xc1" * 256, b"\x01\x00\x01")),
    ]
    return [msgspec.msgpack.encode(stored)]


def read_objects(data: bytes) -> None:
    listed = msgspec.msgpack.decode(data, type=list[wire.StoredObject])
    inventory = read_inventory(listed, HolderRule())
    inventory.current(NOW)
    for credential in inventory.credentials:
        inventory.parts_of(credential)
        inventory.has_successor_key(credential)


@cache
def attributes() -> Sequence[bytes]:
    """The same as a module hands it out, attribute by attribute."""
    named = {"ID": b"1" * 20, "LABEL": "見本太郎".encode()}
    raw = [
        named | {"VALUE": pki().customer.certificate.der},
        named | {"MODULUS": b"\xc1" * 256, "PUBLIC_EXPONENT": b"\x01\x00\x01"},
        named | {"EC_PARAMS": bytes.fromhex("06082a8648ce3d030107"), "EC_POINT": b"\x04\x41\x04" + b"\x07" * 64},
    ]
    return [msgspec.msgpack.encode(each) for each in raw]


class RawObject:
    """A token's object, whose attributes the library has to make something of."""

    def __init__(self, raw: dict[str, bytes]) -> None:
        self._raw = raw

    def __getitem__(self, attribute: Attribute) -> object:
        if attribute.name not in self._raw:
            raise pkcs11.exceptions.AttributeTypeInvalid
        return AttributeMapper().unpack_attributes(attribute, self._raw[attribute.name])


def with_other_attributes(draw: Draw, packed: bytes) -> bytes:
    raw = msgspec.msgpack.decode(packed, type=dict[str, bytes])
    for _ in range(draw.number(1, 3, "changes")):
        name = draw.pick(list(raw), "which")
        match draw.number(0, 5, "change"):
            case 0:
                raw[name] = draw.pick([b"", b"\x00" * 300, b"A" * 200_000], "size")
            case 1:
                raw[name] = draw.pick(list(raw.values()), "of another")
            case _ if raw[name]:
                raw[name] = changed_bytes(draw, raw[name])
    return msgspec.msgpack.encode(raw)


def read_attributes(data: bytes) -> None:
    """As a token process does, and then the kiosk."""
    each: Any = RawObject(msgspec.msgpack.decode(data, type=dict[str, bytes]))
    stored = [msgspec.msgpack.encode(as_stored(kind, each)) for kind in wire.ObjectKind]
    assert max(map(len, stored)) < 2 * wire.LARGEST_CERTIFICATE
    read_objects(msgspec.msgpack.encode([msgspec.Raw(each) for each in stored]))


@cache
def replies() -> Sequence[bytes]:
    facts = wire.TokenFacts(1, "60345f56", "USB", "SoftHSM", "v2", True, True, False, False, False, False)
    values = [None, True, b"signature", [facts], [wire.KeyKind.EC_P256]]
    done = [wire.Done(msgspec.Raw(msgspec.msgpack.encode(value))) for value in values]
    done.append(wire.Done(msgspec.Raw(objects()[0])))
    return [msgspec.msgpack.encode(each) for each in (*done, wire.Failed(wire.FailureKind.GONE, "DeviceRemoved"))]


def read_reply(data: bytes) -> None:
    reply = msgspec.msgpack.decode(data, type=wire.Reply)
    if isinstance(reply, wire.Done):
        for kind in (list[wire.TokenFacts], list[wire.StoredObject], bytes, wire.MadeKeyPair):
            with suppress(*UNPACKABLE):
                msgspec.msgpack.decode(reply.value, type=kind)


@cache
def calls() -> Sequence[bytes]:
    certificate = pki().customer.certificate
    public = wire_public(certificate.public_key)
    asked = [
        wire.LogIn("60345f56"),
        wire.MakeKeyPair(wire.KeyKind.EC_P256, b"1", "USB"),
        wire.Sign(b"1", public, b"data"),
        wire.Remove(wire.StoredObject(wire.ObjectKind.CERTIFICATE, b"1", "USB", certificate.der)),
    ]
    return [msgspec.msgpack.encode(each) for each in asked]


@cache
def settings() -> Sequence[bytes]:
    module = ModuleSettings("/usr/lib/softhsm/libsofthsm2.so", {"SOFTHSM2_CONF": "/tmp/x"})
    ca = CaSettings("https://ca.example.jp/.well-known/cmp", "roots.pem", "tls.pem", recipient="CN=Issuing CA,C=JP")
    return [msgspec.toml.encode(Settings(token=module, ca=ca, journal="journal.sqlite"))]


LEDGER = b'url = "postgresql://ca:secret@db.example.jp:5432/ca?sslmode=verify-full"\n'
NOTICES = (Path(__file__).parent.parent / "docs" / "notices.md").read_bytes()
HOLDERS = 'id,kind,name,email,language\r\nTKYM1408054,利用者,見本太郎,taro@example.jp,ja\r\n"A",user,"a\nb",,en\r\n'


def notice_settings() -> Sequence[bytes]:
    """The example of the page that tells about them."""
    return [NOTICES.split(b"```toml\n")[1].partition(b"```")[0]]


def in_file(name: str, read_it: Callable[[Path], object], *, whole: bool = False) -> Callable[[bytes], object]:
    """A parser of a file, which it is told by its directory, or by its `whole` path."""

    def read_bytes(data: bytes) -> object:
        path = _SCRATCH / name
        path.write_bytes(data)
        return read_it(path if whole else _SCRATCH)

    return read_bytes


def read_holders(data: bytes) -> None:
    for encoding in ("utf-8", "cp932"):
        with suppress(FileRefused):
            read_rows(data, encoding, required=("id", "kind"), optional=("name", "email", "language"))


def read_code(data: bytes) -> object:
    return read(data.decode("utf-8", "replace"))


def question() -> ocsp.Question:
    return ocsp.Question(pki().customer.certificate, pki().issuing.certificate, NONCE)


@cache
def ocsp_answers() -> Sequence[bytes]:
    return [OcspTeller(pki=pki(), signer=delegated(pki())).answer(question().der)]


@cache
def crls() -> Sequence[bytes]:
    return [CrlTeller(pki=pki()).crl(), CrlTeller(pki=pki(), revoked={1: None, 2**64: None}).crl()]


def pem_files() -> Sequence[bytes]:
    return [b"".join(read_certificate(each).x509.public_bytes(Encoding.PEM) for each in certificates())]


REQUEST_FAULTS = (MalformedMessage, UnsupportedSignature, WrongSignature)
PARSERS = (
    Parser("CMP: requests", requests, read_request, REQUEST_FAULTS),
    Parser("CMP: answers", answers, read_answer, (CmpError, UnreadableCertificate)),
    Parser(
        "CMP: answers under good protection",
        answers,
        read_proven_answer,
        (CmpError, UnreadableCertificate),
        spoiled_by_the_ca,
    ),
    Parser("certificates", certificates, read_certificate, (UnreadableCertificate,)),
    Parser(
        "certificate files",
        pem_files,
        in_file("chain.pem", read_certificate_file, whole=True),
        (UnreadableCertificate,),
        changed_text,
    ),
    Parser("token attributes", attributes, read_attributes, (), with_other_attributes),
    Parser("token objects", objects, read_objects, UNPACKABLE, changed_pack),
    Parser("token frames: replies", replies, read_reply, UNPACKABLE, changed_pack),
    Parser("token frames: requests", calls, msgspec.msgpack.Decoder(wire.Request).decode, UNPACKABLE, changed_pack),
    Parser("settings", settings, in_file("kiosk.toml", load_settings, whole=True), (SettingsError,), changed_text),
    Parser(
        "CA policy",
        lambda: [msgspec.toml.encode(Policy())],
        in_file(POLICY_FILE, load_policy),
        (PolicyError,),
        changed_text,
    ),
    Parser("ledger settings", lambda: [LEDGER], in_file(LEDGER_FILE, configured_url), (LedgerDamaged,), changed_text),
    Parser(
        "notice settings",
        notice_settings,
        in_file(NOTICES_FILE, load_notice_settings),
        (NoticeSettingsError,),
        changed_text,
    ),
    Parser("CSV files", lambda: [HOLDERS.encode(), HOLDERS.encode("cp932")], read_holders, (), changed_text),
    Parser(
        "one-time codes",
        lambda: [make(lambda length: b"1" * length).grouped.encode()],
        read_code,
        (MistypedCode,),
        changed_text,
    ),
    Parser("kiosk: OCSP answers", ocsp_answers, lambda data: question().read(data, NOW), (StatusError,)),
    Parser(
        "kiosk: CRLs",
        crls,
        lambda data: look_up(data, CRL_URL, pki().customer.certificate, pki().issuing.certificate, NOW),
        (StatusError,),
    ),
)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "_SCRATCH", tmp_path)


_SCRATCH = Path()


def chance(what_for: str) -> Draw:
    return ByChance(Random(f"{SEED} {what_for}"))  # noqa: S311 - it is to be the same again


def give(parser: Parser, data: bytes) -> bool:
    """Whether the parser takes it; anything but an answer or a refusal of ours ends the test, with the input."""
    TRIED[parser.name] += 1
    try:
        parser.read(data)
    except parser.ours:
        return False
    except Exception as error:
        raise AssertionError(f"{parser.name} raised {error!r} on {data.hex()}") from error
    return True


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_whatever_comes_is_read_or_refused_in_our_own_words(parser: Parser) -> None:
    draw = chance(parser.name)
    good = parser.good()
    taken = [each for each in good if give(parser, each)]
    assert taken, "else nothing is tested"
    refused = 0
    left = max(1, int(TRIES * parser.share))
    with growing_little():
        while left > 0:
            with in_time(LONGEST_SECONDS):
                for _ in range(min(left, WATCHED)):
                    refused += not give(parser, parser.spoil(draw, draw.pick(good, "which")))
            left -= WATCHED
    assert refused or parser.ours == ()


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_no_input_makes_a_parser_large(parser: Parser) -> None:
    draw = chance(f"{parser.name} memory")
    good = parser.good()
    with holding_little():
        for _ in range(min(TRIES // 3, 2000)):
            give(parser, parser.spoil(draw, draw.pick(good, "which")))
