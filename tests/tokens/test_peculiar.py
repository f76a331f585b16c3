"""Modules that refuse, forget and lose things: what the token layer does with each, and what it never does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from pkcs11 import Attribute, ObjectClass, TokenFlag, exceptions

from kiosk.tokens import templates, wire
from kiosk.tokens.cryptoki import Cryptoki
from kiosk.tokens.failures import Failure
from kiosk.tokens.keys import public_key
from kiosk.tokens.modules import AfterChange, Known
from kiosk.tokens.wire import FailureKind, KeyKind, ObjectKind, StoredObject
from kiosk.tokens.worker import Worker
from tests.tokens.standin import AT_PAD, PIN, SO_PIN, StandIn, opened

OURS = bytes(range(16))
CERTIFICATE = wire.WriteCertificate(OURS, "label", b"der", b"subject", b"issuer", b"\x02\x01\x01")


def make(cryptoki: Cryptoki, key_id: bytes = OURS) -> wire.MadeKeyPair:
    return cryptoki.make_key_pair(KeyKind.EC_P256, key_id, "label")


def signs(cryptoki: Cryptoki, made: wire.MadeKeyPair, key_id: bytes = OURS) -> None:
    key = public_key(made.public)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(cryptoki.sign(wire.Sign(key_id, made.public, b"data")), b"data", ec.ECDSA(SHA256()))


def failure(action: Callable[[], object]) -> tuple[FailureKind, str]:
    with pytest.raises(Failure) as raised:
        action()
    return raised.value.reply.kind, raised.value.reply.detail


def everything_before(less: tuple[frozenset[Attribute], ...]) -> list[frozenset[Attribute]]:
    return [frozenset().union(*less[: end + 1]) for end in range(len(less))]


REFUSALS = (
    exceptions.AttributeTypeInvalid,
    exceptions.AttributeValueInvalid,
    exceptions.AttributeReadOnly,
    exceptions.TemplateInconsistent,
)


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("refused", everything_before(tuple(templates.LESS_OF_A_KEY)), ids=len)
def test_a_key_is_made_without_what_a_module_refuses(refused: frozenset[Attribute], refusal: type[Exception]) -> None:
    token = StandIn(refuses=refused, refusal=refusal)
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    signs(cryptoki, make(cryptoki))
    assert not token.templates[-1].keys() & refused
    assert token.templates[0][Attribute.SENSITIVE] is True, "the strongest is asked for first"
    assert token.templates[0][Attribute.EXTRACTABLE] is False
    assert token.templates[0][Attribute.PRIVATE] is True
    assert all(Attribute.ID in each for each in token.templates)


@pytest.mark.parametrize(
    "token", [StandIn(keeps_in=False), StandIn(tells_extractable=False, refuses=frozenset({Attribute.EXTRACTABLE}))]
)
def test_a_key_that_can_or_may_be_taken_out_is_removed_again(token: StandIn) -> None:
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    assert failure(partial(make, cryptoki))[0] is FailureKind.UNSUITABLE
    assert token.objects == []


def test_what_is_refused_to_the_last_is_a_fault_and_leaves_nothing() -> None:
    token = StandIn(refuses=frozenset({Attribute.ID}))
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    with pytest.raises(exceptions.AttributeTypeInvalid):
        make(cryptoki)
    assert len(token.templates) == len(templates.LESS_OF_A_KEY) + 1
    assert token.objects == []


@pytest.mark.parametrize("refused", everything_before(tuple(templates.LESS_OF_A_CERTIFICATE)), ids=len)
def test_a_certificate_is_written_without_what_a_module_refuses(refused: frozenset[Attribute]) -> None:
    token = StandIn(refuses=refused, refusal=exceptions.TemplateInconsistent)
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    cryptoki.write_certificate(CERTIFICATE)
    assert token.objects[0].template.keys() >= {Attribute.VALUE, Attribute.ID, Attribute.SUBJECT}
    assert len(token.objects) == 1


def test_a_certificate_is_written_once_or_once_for_each_label() -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    another = msgspec.structs.replace(CERTIFICATE, label="another")
    for request in (CERTIFICATE, another, *[msgspec.structs.replace(another, by_label=True)] * 2):
        cryptoki.write_certificate(request)
    assert [each.label for each in cryptoki.list_objects()] == ["label", "another"]


@pytest.fixture
def so_pin_file(tmp_path: Path) -> Path:
    path = tmp_path / "so-pin"
    path.touch(mode=0o600)
    path.write_text(f"{SO_PIN}\n")
    return path


OFFICERS = Known(library="Stand-in", so_login_to_write=True)


def test_where_only_the_officer_writes_he_does_and_the_customer_goes_on(so_pin_file: Path) -> None:
    token = StandIn(officer_writes=True)
    cryptoki, _ = opened(token, known=(OFFICERS,), so_pin_file=str(so_pin_file))
    cryptoki.log_in("01", PIN)
    made = make(cryptoki)
    signs(cryptoki, made)
    cryptoki.write_certificate(CERTIFICATE)
    assert [each.user for each in token.sessions] == ["customer"], "nobody else is left logged in"
    assert cryptoki.remove(next(each for each in cryptoki.list_objects() if each.kind is ObjectKind.CERTIFICATE))
    assert token.pins == ["customer " + PIN, *["officer " + SO_PIN, "customer " + PIN] * 3]


def test_without_the_table_such_a_token_is_told_as_failing_and_nothing_is_made(so_pin_file: Path) -> None:
    token = StandIn(officer_writes=True)
    cryptoki, _ = opened(token, so_pin_file=str(so_pin_file))
    cryptoki.log_in("01", PIN)
    with pytest.raises(exceptions.UserNotLoggedIn):
        make(cryptoki)
    assert token.objects == []


def test_a_refused_so_pin_is_never_sent_again(so_pin_file: Path) -> None:
    token = StandIn(officer_writes=True, so_pin="another")
    cryptoki, _ = opened(token, known=(OFFICERS,), so_pin_file=str(so_pin_file))
    cryptoki.log_in("01", PIN)
    for _ in range(2):
        kind, detail = failure(partial(make, cryptoki))
        assert kind is FailureKind.WRITING_FORBIDDEN
        assert SO_PIN not in detail
    assert token.pins.count("officer " + SO_PIN) == 1
    assert [each.user for each in token.sessions] == ["customer"], "the customer is logged in again"
    token.flags |= TokenFlag.SO_PIN_COUNT_LOW
    another, _ = opened(token, known=(OFFICERS,), so_pin_file=str(so_pin_file))
    another.log_in("01", PIN)
    assert failure(partial(make, another))[0] is FailureKind.WRITING_FORBIDDEN
    assert token.pins.count("officer " + SO_PIN) == 1, "nor by the next process, which sees the flag"


PAD = TokenFlag.TOKEN_INITIALIZED | TokenFlag.LOGIN_REQUIRED | TokenFlag.PROTECTED_AUTHENTICATION_PATH


def test_nobody_is_logged_out_for_the_officer_whom_only_the_reader_could_log_in_again(so_pin_file: Path) -> None:
    token = StandIn(officer_writes=True, flags=PAD)
    cryptoki, _ = opened(token, known=(OFFICERS,), so_pin_file=str(so_pin_file))
    cryptoki.log_in_at_pad("01", 25.0)
    for action in (partial(make, cryptoki), partial(cryptoki.write_certificate, CERTIFICATE)):
        assert failure(action)[0] is FailureKind.PAD_NOT_ENOUGH
    assert [each.user for each in token.sessions] == ["customer"]
    assert token.pins == ["customer " + AT_PAD]


def test_where_no_pin_is_wanted_the_officer_writes_too(so_pin_file: Path) -> None:
    token = StandIn(officer_writes=True, flags=TokenFlag.TOKEN_INITIALIZED)
    cryptoki, _ = opened(token, known=(OFFICERS,), so_pin_file=str(so_pin_file))
    cryptoki.open_without_pin("01")
    signs(cryptoki, make(cryptoki))
    assert [each.user for each in token.sessions] == ["nobody"]
    assert token.pins == ["officer " + SO_PIN]


def test_nothing_is_removed_where_the_session_after_it_could_not_be_logged_in() -> None:
    token = StandIn(flags=PAD)
    cryptoki, _ = opened(token, known=(Known(library="Stand-in", fresh_session_after_removal=True),))
    cryptoki.log_in_at_pad("01", 25.0)
    cryptoki.write_certificate(CERTIFICATE)
    (stored,) = cryptoki.list_objects()
    assert failure(partial(cryptoki.remove, stored))[0] is FailureKind.PAD_NOT_ENOUGH
    assert cryptoki.list_objects() == [stored]


def asking_at_pad(token: StandIn, *, says_so: bool, function_list: bool = True) -> tuple[Cryptoki, wire.Sign]:
    cryptoki, _ = opened(token, function_list=function_list)
    cryptoki.log_in_at_pad("01", 25.0)
    made = make(cryptoki)
    for each in token.objects:
        each.template[Attribute.ALWAYS_AUTHENTICATE] = says_so
    return cryptoki, wire.Sign(OURS, made.public, b"data")


@pytest.mark.parametrize("says_so", [True, False])
def test_a_key_that_wants_the_pin_at_every_signature_wakes_the_reader_only_once_that_is_meant(says_so: bool) -> None:
    token = StandIn(asks_pin_silently=True, flags=PAD)
    cryptoki, request = asking_at_pad(token, says_so=says_so)
    assert failure(lambda: cryptoki.sign(request))[0] is FailureKind.PAD_WANTED
    assert token.pins == ["customer " + AT_PAD]
    assert isinstance(request.public, wire.EcPublic)
    key = public_key(request.public)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(cryptoki.sign_at_pad(request, 25.0), b"data", ec.ECDSA(SHA256()))
    assert token.pins == ["customer " + AT_PAD, "signature " + AT_PAD]


@pytest.mark.parametrize(
    ("at_pad", "time_out", "kind"),
    [
        (exceptions.PinIncorrect(), 25.0, FailureKind.PIN_WRONG),
        (exceptions.PinLocked(), 25.0, FailureKind.PIN_LOCKED),
        (exceptions.FunctionCancelled(), 25.0, FailureKind.PAD_CANCELLED),
        (exceptions.FunctionCancelled(), 0.0, FailureKind.PAD_TIMED_OUT),
        (exceptions.DeviceRemoved(), 25.0, FailureKind.GONE),
        (exceptions.GeneralError(), 25.0, FailureKind.DEVICE),
    ],
    ids=str,
)
def test_what_comes_of_typing_for_a_signature_is_never_confused(
    at_pad: exceptions.PKCS11Error, time_out: float, kind: FailureKind
) -> None:
    cryptoki, request = asking_at_pad(StandIn(asks_pin_silently=True, flags=PAD, at_pad=at_pad), says_so=True)
    assert failure(lambda: cryptoki.sign_at_pad(request, time_out))[0] is kind


def test_such_a_key_is_of_no_use_behind_a_module_that_gives_no_function_list() -> None:
    token = StandIn(asks_pin_silently=True, flags=PAD)
    cryptoki, request = asking_at_pad(token, says_so=True, function_list=False)
    assert failure(lambda: cryptoki.sign(request))[0] is FailureKind.PAD_NOT_ENOUGH
    assert failure(lambda: cryptoki.sign_at_pad(request, 25.0))[0] is FailureKind.PAD_NOT_ENOUGH


def spoil(path: Path, how: str) -> str:
    match how:
        case "not named":
            return ""
        case "missing":
            path.unlink()
        case "others can read it":
            path.chmod(0o640)
        case "empty":
            path.write_text("\n")
        case "not ASCII":
            path.write_text("１２３４")
        case "no file":
            path.unlink()
            path.mkdir(mode=0o700)
    return str(path)


@pytest.mark.parametrize("how", ["not named", "missing", "others can read it", "empty", "not ASCII", "no file"])
def test_a_so_pin_that_is_not_safe_is_none(so_pin_file: Path, how: str) -> None:
    token = StandIn(officer_writes=True)
    cryptoki, _ = opened(token, known=(OFFICERS,), so_pin_file=spoil(so_pin_file, how))
    cryptoki.log_in("01", PIN)
    assert failure(partial(make, cryptoki))[0] is FailureKind.WRITING_FORBIDDEN
    assert token.pins == ["customer " + PIN], "and the customer has not been logged out for it"


@pytest.mark.parametrize("function_list", [True, False])
def test_a_failed_login_leaves_no_session_behind(function_list: bool) -> None:
    """Where the module can close them, it is not initialised anew: OpenSC forgets the tries that are left then."""
    token = StandIn(most_sessions=1)
    cryptoki, module = opened(token, function_list=function_list)
    for _ in range(3):
        assert failure(partial(cryptoki.log_in, "01", "999999"))[0] is FailureKind.PIN_WRONG
    cryptoki.log_in("01", PIN)
    assert cryptoki.list_objects() == []
    assert module.initialised_anew == (0 if function_list else 3)


def test_a_token_that_has_come_back_is_believed_only_after_the_module_was_initialised_anew() -> None:
    """Else the right PIN would be refused, and cost the customer a try."""
    token, another = StandIn(), StandIn(serial="02")
    cryptoki, module = opened(token, another)
    cryptoki.find_tokens()
    token.gone = True
    cryptoki.find_tokens()
    token.gone, token.stale = False, True
    cryptoki.find_tokens()
    assert module.initialised_anew == 0, "not while only looked at"
    cryptoki.log_in("01", PIN)
    assert token.pins == ["customer " + PIN]


def test_a_session_that_does_not_close_is_closed_all_the_same() -> None:
    token = StandIn(most_sessions=1, closes=False)
    cryptoki, _ = opened(token)
    cryptoki.change_pin("01", PIN, "65432109")
    assert cryptoki.accepted_pin == "65432109"
    stubborn, _ = opened(StandIn(closes=False))
    assert failure(partial(stubborn.change_pin, "01", "999999", "65432109"))[0] is FailureKind.PIN_WRONG


def test_one_vanished_token_hides_no_other() -> None:
    cryptoki, _ = opened(StandIn(gone=True), StandIn(serial="02"))
    assert [each.serial for each in cryptoki.find_tokens()] == ["02"]


def test_a_reader_that_goes_while_it_is_looked_at_hides_nothing() -> None:
    cryptoki, module = opened(StandIn())
    module.failing_lists = 1
    assert [each.serial for each in cryptoki.find_tokens()] == ["01"]


def test_a_key_that_wants_the_pin_at_every_signature_and_does_not_say_so() -> None:
    token = StandIn(asks_pin_silently=True)
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    signs(cryptoki, make(cryptoki))
    assert token.pins == ["customer " + PIN, "signature " + PIN]


def test_a_key_that_says_that_it_wants_the_pin_gets_it_at_once() -> None:
    token = StandIn(asks_pin_silently=True)
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    made = make(cryptoki)
    for each in token.objects:
        each.template[Attribute.ALWAYS_AUTHENTICATE] = True
    signs(cryptoki, made)
    signs(cryptoki, made)
    assert token.pins == ["customer " + PIN, *["signature " + PIN] * 2]


def test_an_accepted_pin_that_is_refused_for_a_signature_is_no_wrong_pin_and_not_sent_again() -> None:
    token = StandIn(asks_pin_silently=True)
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    made = make(cryptoki)
    token.pin = "changed elsewhere"
    for _ in range(2):
        assert failure(lambda: cryptoki.sign(wire.Sign(OURS, made.public, b"")))[0] is FailureKind.DEVICE
    assert token.pins.count("signature " + PIN) == 1
    reply = Worker(cryptoki).answer(wire.Sign(OURS, made.public, b""), [], None)
    assert isinstance(reply, wire.Failed)
    assert reply.kind is FailureKind.DEVICE, "nobody's PIN is called wrong for it"


CARD = Known(library="Stand-in", key_ids=("01", "02"))


def test_a_card_with_slots_gets_no_key_where_one_is_nor_where_it_has_no_slot() -> None:
    token = StandIn()
    cryptoki, _ = opened(token, known=(CARD,))
    cryptoki.log_in("01", PIN)
    first = make(cryptoki, b"\x01")
    assert failure(partial(make, cryptoki, b"\x01"))[0] is FailureKind.OCCUPIED
    assert failure(partial(make, cryptoki, OURS))[0] is FailureKind.UNSUITABLE
    assert len(token.objects) == 2
    signs(cryptoki, first, b"\x01")
    make(cryptoki, b"\x02")
    assert cryptoki.find_tokens()[0].traits.key_ids == ("01", "02")


def test_what_a_cut_has_left_of_our_key_goes_before_another_is_made() -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    make(cryptoki)
    next(each for each in token.objects if each.key).destroy()
    made = make(cryptoki)
    assert sorted(token.kinds()) == sorted([ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY])
    assert all(each.public == made.public for each in cryptoki.list_objects())


def test_after_a_removal_some_tokens_need_a_fresh_session() -> None:
    token = StandIn()
    cryptoki, _ = opened(token, known=(Known(library="Stand-in", fresh_session_after_removal=True),))
    cryptoki.log_in("01", PIN)
    make(cryptoki)
    for stored in cryptoki.list_objects():
        before = token.sessions[0]
        assert cryptoki.remove(stored)
        assert token.sessions != [before]
        assert len(token.sessions) == 1
    assert token.objects == []


def test_a_module_that_wants_a_fresh_process_gets_one_once_a_token_has_come_or_gone() -> None:
    token = StandIn()
    cryptoki, _ = opened(token, known=(Known(library="Stand-in", after_change=AfterChange.NEW_PROCESS),))
    wanted = [cryptoki.wants_fresh_process]
    cryptoki.find_tokens()
    wanted.append(cryptoki.wants_fresh_process)
    token.gone = True
    cryptoki.find_tokens()
    wanted.append(cryptoki.wants_fresh_process)
    token.gone = False
    cryptoki.log_in("01", PIN)
    wanted.append(cryptoki.wants_fresh_process)
    assert wanted == [False, False, True, False], "not before it is loaded, nor while somebody is logged in"


def test_other_modules_go_on_in_the_same_process() -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.find_tokens()
    token.gone = True
    cryptoki.find_tokens()
    assert not cryptoki.wants_fresh_process


def test_huge_things_are_told_in_part_or_not_at_all() -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    make(cryptoki)
    for each in token.objects:
        each.template |= {Attribute.LABEL: "長" * 100_000, Attribute.EC_POINT: bytes(100_000)}
    told = cryptoki.list_objects()
    assert {(len(each.label), each.public) for each in told} == {(wire.LARGEST_ATTRIBUTE, None)}
    assert [cryptoki.remove(each) for each in told] == [True, True], "and can be removed"


def test_a_token_that_shows_objects_without_end_is_not_read() -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    make(cryptoki)
    token.objects *= wire.MOST_OBJECTS + 1
    assert failure(cryptoki.list_objects)[0] is FailureKind.DEVICE


def test_what_the_binding_does_not_understand_is_a_fault_of_the_token_and_ends_nothing() -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    token.serial = "not a number"
    worker = Worker(cryptoki)
    assert worker.answer(wire.FindTokens(), [], None) == wire.Failed(FailureKind.DEVICE, "ValueError")
    token.serial = "01"
    assert isinstance(worker.answer(wire.FindTokens(), [], None), wire.Done)


def test_a_stored_object_is_never_confused_with_what_has_taken_its_place() -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    cryptoki.write_certificate(CERTIFICATE)
    (stored,) = cryptoki.list_objects()
    token.objects[0].template[Attribute.VALUE] = b"another"
    assert not cryptoki.remove(stored)
    assert cryptoki.remove(StoredObject(ObjectKind.CERTIFICATE, OURS, "label", b"another"))


@pytest.mark.parametrize(
    "told", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, ""), exceptions.AttributeTypeInvalid(), MemoryError()], ids=repr
)
def test_an_attribute_that_cannot_be_read_leaves_the_rest_of_the_object(told: Exception) -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    cryptoki.write_certificate(CERTIFICATE)
    token.objects[0].template[Attribute.LABEL] = told
    assert cryptoki.list_objects() == [StoredObject(ObjectKind.CERTIFICATE, OURS, "", b"der")]


@pytest.mark.parametrize("raised", [exceptions.DeviceError, exceptions.GeneralError, exceptions.DeviceRemoved])
def test_a_fault_is_not_taken_for_an_attribute_that_is_not_there(raised: type[Exception]) -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    cryptoki.log_in("01", PIN)
    cryptoki.write_certificate(CERTIFICATE)
    token.objects[0].template[Attribute.LABEL] = raised()
    with pytest.raises(raised):
        cryptoki.list_objects()


def test_no_token_is_emptied_for_a_label_that_it_cannot_bear() -> None:
    token = StandIn()
    cryptoki, _ = opened(token)
    told = failure(partial(cryptoki.initialise, 0, "01", "証" * 11, "12345678", PIN))
    assert told[0] is FailureKind.UNSUITABLE
    assert "label" in told[1]
    assert token.pins == []
