"""Every way a visit can end has a code: what is raised, what it becomes, and every kind of fault there is."""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest

import kiosk
import screens
from kiosk.asking import GivenUp
from kiosk.certificates import UnreadableCertificate, UntrustedCertificate
from kiosk.cmp.algorithms import UnsupportedSignature, WrongSignature
from kiosk.cmp.errors import (
    AnswerWaits,
    CmpError,
    Distrust,
    MalformedMessage,
    NotRejectable,
    Refused,
    TransferError,
    TransferFailure,
    UntrustedAnswer,
)
from kiosk.cmp.mac import UnsupportedMac, WrongMac
from kiosk.cmp.vocabulary import FailInfo
from kiosk.errors import Code, KioskError
from kiosk.one_time_code import MistypedCode
from kiosk.problems import as_problems, ca_problem, pc_problem, status_problem, token_problem
from kiosk.revocation.status import StatusError, StatusNotTold, StatusNotTrusted
from kiosk.settings import SettingsError
from kiosk.tokens.card_events import PcscFault
from kiosk.tokens.errors import StoreFault, TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.failures import Failure
from kiosk.tokens.pc import PcFault, PcUnusable
from kiosk.tokens.so_pin import SoPinUnusable
from kiosk.tokens.wire import FailureKind, StoreKind

# --- what is raised ---------------------------------------------------------------------------------------------------

CAUGHT: Mapping[type[BaseException], tuple[str, ...]] = {
    KioskError: ("kiosk.visit", "kiosk.reception", "kiosk.terminal"),
    CmpError: ("kiosk.problems",),
    StoreFault: ("kiosk.problems",),
    StatusError: ("kiosk.preparation",),
    PcUnusable: ("kiosk.reception", "kiosk.destinations"),
    Failure: ("kiosk.tokens.worker",),
    SoPinUnusable: ("kiosk.tokens.sessions",),
    UnreadableCertificate: ("kiosk.cmp.answers", "kiosk.cmp.issued", "kiosk.services", "kiosk.tokens.inventory"),
    UntrustedCertificate: ("kiosk.cmp.answers", "kiosk.cmp.issued", "kiosk.services", "kiosk.renewal"),
    MistypedCode: ("kiosk.plain", "screens.widgets.code_field"),
    GivenUp: ("kiosk.renewal_dialogue", "kiosk.enrolment_dialogue"),
    SettingsError: ("kiosk.cli", "kiosk.terminal"),
    PcscFault: ("kiosk.tokens.card_events",),
}
"""What is raised on the way of a visit, and where it is caught: there it becomes a code, or an answer."""

CAUGHT_ELSEWHERE = {
    ("kiosk.journal", "DatabaseError"): "kiosk.journal",
    ("kiosk.tokens.keys", "ValueError"): "kiosk.tokens.token",
    ("kiosk.tokens.native", "OSError"): "kiosk.tokens.native",
    ("kiosk.tokens.native", "BaseException"): "kiosk.tokens.failures",  # what PKCS#11 has for a CK_RV
    ("kiosk.tokens.process", "EOFError"): "kiosk.tokens.process",
    ("kiosk.tokens.worker", "EOFError"): "kiosk.tokens.process",  # the token process ends, and is told as one that has
    ("kiosk.visit", "_LeftAlone"): "kiosk.visit",
}
"""Classes that are not ours alone, by the module that raises them, and where they become something of the table."""

OF_MISTAKES = (RuntimeError, NotImplementedError, AssertionError, TypeError)
"""What only a mistake of ours can raise: the visit ends with K-99."""

BEFORE_ANY_VISIT = {"cli", "demo", "demo_bank", "launcher", "__main__", "children", "settings", "terminal"}
"""Modules that are done before a customer comes, or that are around all visits and end the process."""
NO_VISIT = {"ca", "notices", "doctor", "audit", "token_office"}
"""Packages of other commands."""


@dataclass(frozen=True)
class Raise:
    """One `raise` of something new."""

    module: ModuleType
    line: int
    what: ast.expr

    def __str__(self) -> str:
        return f"{self.module.__name__}:{self.line} {ast.unparse(self.what)}"


def modules() -> Iterator[tuple[ModuleType, ast.Module]]:
    for package in (kiosk, screens):
        root = Path(package.__file__ or "").parent
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            if package is kiosk and (parts[1] in BEFORE_ANY_VISIT | NO_VISIT):
                continue
            name = ".".join(parts).removesuffix(".__init__")
            yield importlib.import_module(name), ast.parse(path.read_text(encoding="utf-8"))


MODULES = {module.__name__: (module, tree) for module, tree in modules()}


def raises() -> list[Raise]:
    return [
        Raise(module, node.lineno, node.exc)
        for module, tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and node.exc is not None
    ]


def kinds(each: Raise) -> list[type[BaseException]]:
    """The classes of which it can be; of a function's result, as its annotation says."""
    called = each.what.value if isinstance(each.what, ast.Await) else each.what
    called = called.func if isinstance(called, ast.Call) else called
    if isinstance(called, ast.Attribute):
        named = next(
            node
            for _, tree in [MODULES[each.module.__name__]]
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == called.attr
        )
        return [resolved(each.module, part) for part in parts_of(named.returns)]
    if isinstance(called, ast.Name):
        found = getattr(each.module, called.id, None) or getattr(builtins, called.id, None)
        if isinstance(found, type):
            return [found]
        if found is not None:
            annotation = ast.parse(str(found.__annotations__["return"]), mode="eval").body
            return [resolved(importlib.import_module(found.__module__), part) for part in parts_of(annotation)]
    return []


def parts_of(annotation: ast.expr | None) -> list[ast.expr]:
    if isinstance(annotation, ast.BinOp):
        return [*parts_of(annotation.left), *parts_of(annotation.right)]
    return [] if annotation is None else [annotation]


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def resolved(module: ModuleType, name: ast.expr) -> type[BaseException]:
    found: object = getattr(builtins, ast.unparse(name), module)
    if found is module:
        for part in ast.unparse(name).split("."):
            found = getattr(found, part)
    assert isinstance(found, type)
    return found


ALL_RAISES = raises()


def test_everything_that_is_raised_becomes_a_code_or_is_a_mistake_of_ours() -> None:
    strays = [str(each) for each in ALL_RAISES if not is_known(each)]
    assert strays == []
    assert len(ALL_RAISES) > 150, "the search finds what there is"


def is_known(each: Raise) -> bool:
    return all(_is_known(each, kind) for kind in kinds(each) or [BaseException])


def _is_known(each: Raise, kind: type[BaseException]) -> bool:
    return issubclass(kind, (*CAUGHT, *OF_MISTAKES)) or (each.module.__name__, kind.__name__) in CAUGHT_ELSEWHERE


def test_the_tables_have_nothing_that_nobody_raises() -> None:
    raised = {kind for each in ALL_RAISES for kind in kinds(each)}
    assert {each for each in CAUGHT if not any(issubclass(kind, each) for kind in raised)} == set()
    here = {(each.module.__name__, kind.__name__) for each in ALL_RAISES for kind in kinds(each) or [BaseException]}
    assert set(CAUGHT_ELSEWHERE) <= here


@pytest.mark.parametrize("caught", CAUGHT, ids=lambda caught: caught.__name__)
def test_it_is_caught_where_the_table_says(caught: type[BaseException]) -> None:
    names = {each.__name__ for each in (*caught.__mro__, *subclasses(caught))} - {
        "Exception",
        "BaseException",
        "object",
    }
    for module in CAUGHT[caught]:
        assert names & caught_in(module), module


def caught_in(module: str) -> set[str]:
    """The classes that the `except` and `suppress` of a module name."""
    path = Path(kiosk.__file__).parents[1].joinpath(*module.split(".")).with_suffix(".py")
    named: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ExceptHandler(type=ast.Tuple(elts=several)):
                named += several
            case ast.ExceptHandler(type=ast.expr() as one):
                named.append(one)
            case ast.Call(func=ast.Name(id="suppress"), args=several):
                named += several
    return {ast.unparse(each) for each in named}


# --- what it becomes --------------------------------------------------------------------------------------------------

TOKEN = {
    FailureKind.MODULE: Code.MODULE_UNUSABLE,
    FailureKind.GONE: Code.TOKEN_TAKEN_OUT,
    FailureKind.SWAPPED: Code.TOKEN_SWAPPED,
    FailureKind.SEVERAL: Code.TOO_MANY_TOKENS,
    FailureKind.PIN_WRONG: Code.TOKEN_FAILED,  # asked again by the dialogue; elsewhere nobody has typed anything
    FailureKind.PIN_LOCKED: Code.PIN_LOCKED,
    FailureKind.PIN_NOT_SET: Code.PIN_NOT_SET,
    FailureKind.PIN_LENGTH: Code.TOKEN_FAILED,  # as PIN_WRONG
    FailureKind.PIN_REPEATED: Code.TOKEN_FAILED,  # as PIN_WRONG
    FailureKind.PIN_TO_BE_CHANGED: Code.PIN_NOT_SET,
    FailureKind.SO_PIN_WRONG: Code.TOKEN_FAILED,  # told by `kiosk token unblock` in its own words
    FailureKind.SO_PIN_LOCKED: Code.TOKEN_FAILED,  # as SO_PIN_WRONG
    FailureKind.SO_PIN_LENGTH: Code.TOKEN_FAILED,  # as SO_PIN_WRONG
    FailureKind.PAD_CANCELLED: Code.PAD_CANCELLED,
    FailureKind.PAD_TIMED_OUT: Code.PAD_TIMED_OUT,
    FailureKind.PAD_WANTED: Code.PAD_NOT_ENOUGH,
    FailureKind.PAD_NOT_ENOUGH: Code.PAD_NOT_ENOUGH,
    FailureKind.FULL: Code.TOKEN_FULL,
    FailureKind.OCCUPIED: Code.NO_FREE_SLOT,
    FailureKind.UNSUITABLE: Code.NO_SUITABLE_KEY_KIND,
    FailureKind.NOT_FOUND: Code.TOKEN_FAILED,
    FailureKind.WRITING_FORBIDDEN: Code.WRITING_NOT_SET_UP,
    FailureKind.AMBIGUOUS: Code.TOKEN_FAILED,
    FailureKind.DEVICE: Code.TOKEN_FAILED,
}

PC = {
    PcFault.ROOT: Code.PC_AS_ROOT,
    PcFault.SOFTWARE_MISSING: Code.PC_SOFTWARE_MISSING,
    PcFault.NO_DATABASE: Code.PC_NO_DATABASE,
    PcFault.LOCKED: Code.PC_UNUSABLE,
    PcFault.IN_USE: Code.PC_IN_USE,
    PcFault.READ_ONLY: Code.PC_READ_ONLY,
    PcFault.UNUSABLE: Code.PC_UNUSABLE,
}

TRANSFER = {
    TransferFailure.UNREACHABLE: Code.CA_NOT_REACHED,
    TransferFailure.TLS: Code.CONNECTION_NOT_TRUSTED,
    TransferFailure.HANDSHAKE: Code.CONNECTION_NOT_TRUSTED,
    TransferFailure.OUT_OF_DATE: Code.CONNECTION_OUT_OF_DATE,
    TransferFailure.TIME_OUT: Code.CA_TOO_SLOW,
    TransferFailure.BROKEN_OFF: Code.CA_NOT_REACHED,
    TransferFailure.BUSY: Code.CA_BUSY,
    TransferFailure.STATUS: Code.CA_OUT_OF_ORDER,
    TransferFailure.CONTENT_TYPE: Code.CA_OUT_OF_ORDER,
    TransferFailure.TOO_LARGE: Code.CA_OUT_OF_ORDER,
}

DISTRUST = {
    **dict.fromkeys(
        (
            Distrust.VERSION,
            Distrust.UNPROTECTED,
            Distrust.ALGORITHM,
            Distrust.MAC_UNASKED,
            Distrust.SIGNER_MISSING,
            Distrust.SIGNER_PURPOSE,
            Distrust.SIGNER_KEY_USAGE,
            Distrust.SIGNER_PATH,
            Distrust.SENDER,
            Distrust.SENDER_KEY_ID,
            Distrust.PROTECTION,
            Distrust.TRANSACTION,
            Distrust.RECIPIENT_NONCE,
            Distrust.SENDER_NONCE,
            Distrust.TIME_MISSING,
            Distrust.TIME,
            Distrust.BODY_TYPE,
            Distrust.INFO,
            Distrust.CRL,
            Distrust.STATUS,
            Distrust.CHECK_AFTER,
            Distrust.REQUEST_ID,
            Distrust.CA_PUBS,
        ),
        Code.ANSWER_NOT_TRUSTED,
    ),
    **dict.fromkeys(
        (
            Distrust.CERTIFICATE_MISSING,
            Distrust.CERTIFICATE_UNREADABLE,
            Distrust.CERTIFICATE_KEY,
            Distrust.CERTIFICATE_SUBJECT,
            Distrust.CERTIFICATE_AUTHORITY,
            Distrust.CERTIFICATE_KEY_USAGE,
            Distrust.CERTIFICATE_PURPOSE,
            Distrust.CERTIFICATE_VALIDITY,
            Distrust.CERTIFICATE_END,
            Distrust.CERTIFICATE_PATH,
        ),
        Code.NEW_CERTIFICATE_WRONG,
    ),
}

REFUSED = {
    **dict.fromkeys(FailInfo, Code.REFUSED_BY_CA),
    FailInfo.CERT_REVOKED: Code.CERTIFICATE_NOT_ACCEPTED,
    FailInfo.SIGNER_NOT_TRUSTED: Code.CERTIFICATE_NOT_ACCEPTED,
    FailInfo.NOT_AUTHORIZED: Code.CERTIFICATE_NOT_ACCEPTED,
    FailInfo.BAD_TIME: Code.CLOCK_WRONG,
    FailInfo.SYSTEM_UNAVAIL: Code.CA_BUSY,
    FailInfo.SYSTEM_FAILURE: Code.CA_OUT_OF_ORDER,
}
"""All bits of RFC 9810 §5.2.3; with a one-time code some mean something else (`tests/flows/test_enrolment.py`)."""

CMP: Mapping[type[CmpError], tuple[CmpError, Code]] = {
    TransferError: (TransferError(TransferFailure.TIME_OUT), Code.CA_TOO_SLOW),
    UntrustedAnswer: (UntrustedAnswer(Distrust.TIME), Code.ANSWER_NOT_TRUSTED),
    AnswerWaits: (AnswerWaits(), Code.WAITS_FOR_APPROVAL),
    MalformedMessage: (MalformedMessage("no body"), Code.ANSWER_NOT_UNDERSTOOD),
    Refused: (Refused({"badPOP"}, proven=True), Code.REFUSED_BY_CA),
    NotRejectable: (NotRejectable("confirmed already"), Code.REFUSED_BY_CA),
    UnsupportedMac: (UnsupportedMac("1.2.3"), Code.REFUSED_BY_CA),
    WrongMac: (WrongMac("1.2.3"), Code.REFUSED_BY_CA),
    UnsupportedSignature: (UnsupportedSignature("1.2.3"), Code.REFUSED_BY_CA),
    WrongSignature: (WrongSignature("1.2.3"), Code.REFUSED_BY_CA),
}


@pytest.mark.parametrize(
    ("table", "kind"), [(TOKEN, FailureKind), (PC, PcFault), (TRANSFER, TransferFailure), (DISTRUST, Distrust)]
)
def test_the_tables_know_every_kind_of_fault(table: Mapping[Enum, Code], kind: type[Enum]) -> None:
    assert set(table) == set(kind)


@pytest.mark.parametrize("kind", FailureKind)
def test_what_a_token_raises(kind: FailureKind) -> None:
    assert token_problem(TokenError(kind, "")).problem.code is TOKEN[kind]
    at_pc = TokenError(kind, "")
    at_pc.store = StoreKind.PC
    assert token_problem(at_pc).problem.code is Code.PC_STORE_FAILED


@pytest.mark.parametrize(
    ("raised", "code"), [(TokenHangs("Sign"), Code.TOKEN_HANGS), (TokenProcessDied("Sign"), Code.TOKEN_FAILED)]
)
def test_what_a_token_process_raises(raised: StoreFault, code: Code) -> None:
    with pytest.raises(KioskError) as told, as_problems():
        raise raised
    assert told.value.problem.code is code


@pytest.mark.parametrize("fault", PcFault)
def test_why_this_pc_cannot_be_used(fault: PcFault) -> None:
    assert pc_problem(fault).problem.code is PC[fault]


@pytest.mark.parametrize("kind", TransferFailure)
def test_how_http_fails(kind: TransferFailure) -> None:
    assert ca_problem(TransferError(kind)).problem.code is TRANSFER[kind]


@pytest.mark.parametrize("reason", Distrust)
def test_why_an_answer_does_not_count(reason: Distrust) -> None:
    assert ca_problem(UntrustedAnswer(reason)).problem.code is DISTRUST[reason]


@pytest.mark.parametrize("bit", FailInfo)
@pytest.mark.parametrize("proven", [True, False])
def test_what_the_ca_refuses(bit: FailInfo, proven: bool) -> None:
    of_itself = bit in (FailInfo.SYSTEM_UNAVAIL, FailInfo.SYSTEM_FAILURE)
    expected = REFUSED[bit] if proven or of_itself else Code.REFUSAL_NOT_PROVEN
    assert ca_problem(Refused({bit.field_name}, proven=proven)).problem.code is expected


@pytest.mark.parametrize(
    ("bits", "decided", "code"),
    [
        ("systemUnavail", True, Code.CA_OUT_OF_ORDER),
        ("systemUnavail systemFailure", False, Code.CA_OUT_OF_ORDER),
        ("systemUnavail certRevoked", False, Code.CERTIFICATE_NOT_ACCEPTED),
        ("systemFailure badPOP", False, Code.REFUSED_BY_CA),
        ("notAuthorized", True, Code.REFUSED_BY_CA),
        ("", False, Code.REFUSED_BY_CA),
    ],
)
def test_what_the_ca_says_of_itself_or_of_the_request_is_not_said_of_the_certificate(
    bits: str, decided: bool, code: Code
) -> None:
    assert ca_problem(Refused(bits.split(), proven=True, decided=decided)).problem.code is code


def test_every_failure_of_an_exchange_has_a_code() -> None:
    of_ours = {each for each in subclasses(CmpError) if each.__module__.startswith("kiosk.cmp")}
    assert {each for each in of_ours if not any(issubclass(each, known) for known in CMP)} == set()


@pytest.mark.parametrize("kind", CMP, ids=lambda kind: kind.__name__)
def test_a_failure_of_an_exchange(kind: type[CmpError]) -> None:
    raised, code = CMP[kind]
    with pytest.raises(KioskError) as told, as_problems():
        raise raised
    assert told.value.problem.code is code


def test_what_is_not_told_of_a_status() -> None:
    assert status_problem(StatusNotTold("OCSP")).problem.code is Code.STATUS_NOT_TOLD
    assert set(subclasses(StatusError)) == {StatusNotTold, StatusNotTrusted}
