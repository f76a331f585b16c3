"""The line-by-line desk: what a script or a screen reader types."""

from __future__ import annotations

import os
import pty
import re
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kiosk.ca.authority import create_authority
from kiosk.certificates import Certificate
from kiosk.clock import system_clock
from kiosk.credentials import Credential, HolderRule, IdShape
from kiosk.demo_bank import manual_subject
from kiosk.desk import (
    AnotherId,
    CertificateDetails,
    CleaningQuestion,
    CodeQuestion,
    Completion,
    Destination,
    DestinationQuestion,
    EnrolmentIdQuestion,
    Errand,
    Help,
    HelpPage,
    IdQuestion,
    LastTryAnswer,
    LastTryQuestion,
    MainMenu,
    MenuChoice,
    NoticeAnswer,
    OffReason,
    PadPurpose,
    PadQuestion,
    PadTrouble,
    PinQuestion,
    ProblemAnswer,
    RenewalNotice,
    ResumptionQuestion,
    RetirementQuestion,
    SavingStep,
    TokenQuestion,
    Tries,
    TypedIdQuestion,
    WebAccessQuestion,
)
from kiosk.errors import Code, Problem
from kiosk.one_time_code import make, read
from kiosk.pin import Pin
from kiosk.plain import PlainDesk, YesDesk, echo_kept
from kiosk.texts import Texts
from kiosk.tokens.wire import KeyOrigin, StoreKind
from tests.screens.gallery import IDS, REMINDER, TOKENS

NOW = system_clock()
CODE = make(lambda size: bytes(range(size))).secret.decode()
QUESTION = PinQuestion("SHINKIN-USB", refused=False, tries=Tries.PLENTY, shortest=4, longest=16)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    authority = create_authority(tmp_path_factory.mktemp("plain") / "ca")
    return authority.issue(manual_subject(), authority.issuing.public_key, NOW, NOW + timedelta(days=20))


def desk(*typed: str | Exception) -> tuple[PlainDesk, list[str]]:
    answers: Iterator[str | Exception] = iter(typed)
    shown: list[str] = []

    def ask(_: str) -> str:
        answer = next(answers, EOFError())
        if isinstance(answer, Exception):
            raise answer
        return answer

    return PlainDesk(Texts("ja"), shown.append, ask), shown


async def test_choices_are_numbered(certificate: Certificate) -> None:
    notice = RenewalNotice(Credential(certificate, b"1", HolderRule().holder_of(certificate)), 20, NOW)
    plain, shown = desk("2")
    assert await plain.show_notice(notice) is NoticeAnswer.LATER
    assert "  1. 今すぐ更新する" in shown
    assert "  2. 後で更新する" in shown


@pytest.mark.parametrize(
    "nonsense", ["", "0", "3", "-1", "x", "１", "9" * 5000, UnicodeDecodeError("utf-8", b"", 0, 1, "")]
)
async def test_what_is_no_choice_is_asked_again(nonsense: str | Exception) -> None:
    plain, _ = desk(nonsense, "1")
    assert await plain.confirm_web_access(WebAccessQuestion(1, 2, "CA"))


async def test_the_end_of_the_input_leads_out(certificate: Certificate) -> None:
    credential = Credential(certificate, b"1", HolderRule().holder_of(certificate))
    plain, _ = desk()
    assert await plain.show_notice(RenewalNotice(credential, 20, NOW)) is NoticeAnswer.LATER
    assert await plain.choose_from_menu(MainMenu(credential, 20, None)) is MenuChoice.LEAVE
    assert await plain.choose_destination(DestinationQuestion({Destination.PC: OffReason.NOT_OFFERED})) is None
    assert not await plain.confirm_web_access(WebAccessQuestion(1, 2, "CA"))
    assert not await plain.announce_key_export()


async def test_a_destination_that_is_off_is_not_offered() -> None:
    plain, shown = desk("1")
    question = DestinationQuestion({Destination.PC: OffReason.NOT_OFFERED})
    assert await plain.choose_destination(question) is Destination.USB
    assert "  パソコンに保存する: この端末では選べません" in shown
    assert not any(re.search(r"\d\. パソコンに保存する", line) for line in shown)


@pytest.mark.parametrize(("typed", "removed"), [(["1"], True), (["2"], False), ([], False)])
async def test_the_old_credential_goes_only_by_a_yes(certificate: Certificate, typed: list[str], removed: bool) -> None:
    plain, shown = desk(*typed)
    assert await plain.confirm_retirement(RetirementQuestion(certificate, 30)) is removed
    assert any(certificate.serial in line for line in shown)


@pytest.mark.parametrize(("typed", "goes_on"), [(["1"], True), (["2"], False), ([], False)])
async def test_what_was_cut_is_gone_on_with_only_by_a_yes(
    certificate: Certificate, typed: list[str], goes_on: bool
) -> None:
    credential = Credential(certificate, b"1", HolderRule().holder_of(certificate))
    plain, shown = desk(*typed)
    question = ResumptionQuestion(credential, written=True, into=Destination.PC)
    assert await plain.confirm_resumption(question) is goes_on
    assert shown[0] == "前回の更新が途中です"
    assert "このパソコンに書き込んだところ" in shown[1]
    assert "ここから先は中止できません。" in shown


@pytest.mark.parametrize(("typed", "goes"), [(["1"], True), (["2"], False), ([], False)])
async def test_what_is_of_no_use_goes_only_by_a_yes(typed: list[str], goes: bool) -> None:
    plain, shown = desk(*typed)
    assert await plain.confirm_cleaning(CleaningQuestion(StoreKind.PC)) is goes
    assert "このパソコンにあります" in shown[1]


async def test_the_question_says_in_which_store_the_old_one_is(certificate: Certificate) -> None:
    plain, shown = desk("2")
    await plain.confirm_retirement(RetirementQuestion(certificate, 30, StoreKind.PC))
    assert shown[0] == "パソコンの古い電子証明書"


async def test_a_password_of_this_pc_is_not_changed_here(certificate: Certificate) -> None:
    credential = Credential(certificate, b"1", HolderRule().holder_of(certificate))
    plain, shown = desk("3")
    menu = MainMenu(credential, 20, None, changes_pin=False)
    assert await plain.choose_from_menu(menu) is MenuChoice.LEAVE
    assert not any("暗証番号変更" in line for line in shown)


async def test_yes_gives_the_pin_of_the_token_to_nothing_else() -> None:
    yes = YesDesk(Texts("ja"), lambda _: None, lambda: Pin(bytearray(b"1234")))
    assert await yes.ask_pin(replace(QUESTION, store=StoreKind.PC)) is None


async def test_yes_saves_where_it_is_told_or_leaves(certificate: Certificate) -> None:
    credential = Credential(certificate, b"1", HolderRule().holder_of(certificate))
    for off, chosen, then in (
        ({}, Destination.PC, MenuChoice.RENEW),
        ({Destination.PC: OffReason.LOCKED}, None, MenuChoice.LEAVE),
    ):
        shown: list[str] = []
        yes = YesDesk(Texts("ja"), shown.append, lambda: Pin(bytearray(b"1234")), Destination.PC)
        assert await yes.choose_destination(DestinationQuestion(off)) is chosen
        assert await yes.choose_from_menu(MainMenu(credential, 20, None)) is then
        assert any("保存先にパスワードがあります" in line for line in shown) is bool(off)


async def test_yes_removes_nothing_unasked(certificate: Certificate) -> None:
    yes = YesDesk(Texts("ja"), lambda _: None, lambda: Pin(bytearray(b"1234")))
    assert not await yes.confirm_retirement(RetirementQuestion(certificate, 30))
    assert not await yes.confirm_cleaning(CleaningQuestion())


async def test_the_pad_of_a_reader_is_told_in_words() -> None:
    question = PadQuestion("SHINKIN-USB", PadPurpose.LOG_IN, PadTrouble.CANCELLED)
    for typed, begun in (("1", True), ("2", False)):
        plain, shown = desk(typed)
        assert await plain.ask_pad(question) is begun
        assert "カードリーダーでの入力が取り消されました" in shown
    plain, shown = desk()
    assert await plain.ask_pad(replace(question, seconds=30, way_back=False)), "nobody is waited for then"
    async with plain.at_pad(question):
        assert any("SHINKIN-USB" in line for line in shown)
    yes = YesDesk(Texts("ja"), lambda _: None, lambda: Pin(bytearray(b"1234")))
    assert not await yes.ask_pad(question), "a second time is for somebody who is there"


@pytest.mark.parametrize("certain", [True, False])
async def test_a_last_try_is_warned_of_and_nobody_is_no(certain: bool) -> None:
    question = LastTryQuestion("SHINKIN-USB", certain)
    for typed, answer in (("1", LastTryAnswer.CALL), ("2", LastTryAnswer.YES), ("3", LastTryAnswer.NO)):
        plain, shown = desk(typed)
        assert await plain.confirm_last_try(question) is answer
        assert ("あと1回だけです" in shown[0]) is certain
        assert "SHINKIN-USB" in shown[1]
    plain, shown = desk()
    assert await plain.confirm_last_try(replace(question, called=True)) is LastTryAnswer.NO
    assert "係員がまいります" in shown
    yes = YesDesk(Texts("ja"), lambda _: None, lambda: Pin(bytearray(b"1234")))
    assert await yes.confirm_last_try(question) is LastTryAnswer.NO


async def test_the_completion_on_the_pc_is_told_in_the_manuals_words(certificate: Certificate) -> None:
    plain, shown = desk()
    await plain.show_completion(Completion(Destination.PC, certificate, certificate))
    assert shown[:5] == [
        "電子証明書のインストールが完了しました",
        "ご使用のパソコンへ電子証明書がインストールされました。",
        "ログインを行う場合は、この電子証明書を使用してログインしてください。",
        "※ この電子証明書がインストールされたパソコン以外ではログインできません。",
        "ブラウザを一度終了してください。",
    ]
    assert f"  シリアル番号 = {certificate.serial}" in shown


async def test_the_last_question_says_that_there_is_no_way_back() -> None:
    for last in (False, True):
        plain, shown = desk("1")
        await plain.confirm_web_access(WebAccessQuestion(2, 2, "CA", last))
        assert ("ここから先は中止できません。" in shown) is last


async def test_a_problem_tells_code_change_and_next_step() -> None:
    plain, shown = desk()
    await plain.show_problem(Problem(Code.TOKEN_TAKEN_OUT))
    assert shown[0].startswith("T-02: ")
    assert len(shown) == 5, "code and cause, change, next step, and two ways on"
    assert all(shown)


@pytest.mark.parametrize(("typed", "answer"), [("1", ProblemAnswer.CALL), ("2", ProblemAnswer.READ)])
async def test_staff_can_be_called(typed: str, answer: ProblemAnswer) -> None:
    plain, shown = desk(typed)
    assert await plain.show_problem(Problem(Code.TOKEN_TAKEN_OUT)) is answer
    await plain.show_problem(Problem(Code.TOKEN_TAKEN_OUT), called=True)
    assert shown[-1] == "係員がまいります"


async def test_ids_and_tokens_are_numbered_and_can_be_declined() -> None:
    for typed, picked in (("2", 1), ("3", None)):
        plain, shown = desk(typed, typed)
        ids = await plain.choose_id(IdQuestion(IDS[:2]))
        assert ids == (None if picked is None else IDS[picked].credential)
        assert await plain.choose_token(TokenQuestion(TOKENS[:2])) == (None if picked is None else TOKENS[picked])
        assert any("管理者ID" in line and "あと9日" in line for line in shown)


async def test_help_and_reminder_are_told_in_words() -> None:
    plain, shown = desk("2")
    question = DestinationQuestion({Destination.PC: OffReason.NOT_OFFERED})
    assert await plain.choose_destination(question) is Help.WANTED
    await plain.show_help(HelpPage("https://www.example.jp/usb/"))
    await plain.show_reminder(REMINDER)
    assert "  https://www.example.jp/usb/" in shown
    assert shown[-1].endswith("2027年10月24日（日）")


async def test_the_certificate_is_told_in_full(certificate: Certificate) -> None:
    plain, shown = desk()
    credential = Credential(certificate, b"1", HolderRule().holder_of(certificate))
    await plain.show_details(CertificateDetails(credential, 20, "Some CA"))
    text = "\n".join(shown)
    for part in (*(line.value for line in certificate.subject), certificate.serial, "Some CA", "あと20日"):
        assert part in text


async def test_yes_sends_a_refused_pin_never_again() -> None:
    yes = YesDesk(Texts("ja"), lambda _: None, lambda: Pin(bytearray(b"1234")))
    assert await yes.ask_pin(QUESTION) is not None
    refused = PinQuestion("SHINKIN-USB", refused=True, tries=Tries.FEW, shortest=4, longest=16)
    assert await yes.ask_pin(refused) is None


@pytest.mark.parametrize(
    ("typed", "sent"), [("1234\n", b"1234"), ("１２３４\n", b"1234"), ("12\n漢字漢字\n1234\n", b"1234"), ("\n", None)]
)
def test_a_pin_is_typed_without_echo_and_costs_no_try_unless_it_can_be_one(typed: str, sent: bytes | None) -> None:
    """On a pty of its own, because getpass reads the terminal."""
    code = (
        "import asyncio, sys\n"
        "from kiosk.plain import PlainDesk\n"
        "from kiosk.texts import Texts\n"
        "from tests.test_plain import QUESTION\n"
        "pin = asyncio.run(PlainDesk(Texts('ja'), lambda line: None).ask_pin(QUESTION))\n"
        "print('took', None if pin is None else bytes(pin.take()).hex(), flush=True)\n"
    )
    said = on_pty(code, typed)
    assert f"took {None if sent is None else sent.hex()}" in said
    assert "1234" not in said.replace(sent.hex() if sent else "", "")


@pytest.mark.parametrize(
    ("typed", "took"),
    [
        (f"{CODE}\n", CODE),
        (f"{CODE[:4]} {CODE[4:8]}-{CODE[8:12]} {CODE[12:]}\n", CODE),
        (f"{CODE[:-1]}{(int(CODE[-1]) + 1) % 10}\n{CODE[:9]}\n{CODE}\n", CODE),
        ("\n", None),
    ],
)
def test_a_code_is_typed_without_echo_and_costs_no_try_unless_it_can_be_one(typed: str, took: str | None) -> None:
    """On a pty of its own as well; a wrong check digit and too few digits are asked for again."""
    code = (
        "import asyncio, sys\n"
        "from kiosk.desk import CodeQuestion\n"
        "from kiosk.plain import PlainDesk\n"
        "from kiosk.texts import Texts\n"
        "code = asyncio.run(PlainDesk(Texts('ja'), lambda line: None).ask_code(CodeQuestion('TKYM1408054')))\n"
        "print('took', None if code is None else code.secret.hex(), flush=True)\n"
    )
    said = on_pty(code, typed)
    assert f"took {None if took is None else took.encode().hex()}" in said
    assert CODE not in said


@pytest.mark.parametrize(
    ("typed", "prefix", "holder"),
    [
        (["TKYM1408054"], "", "TKYM1408054"),
        (["ｔｋｙｍ１４０８０５４"], "", "TKYM1408054"),
        (["1408054"], "TKYM", "TKYM1408054"),
        (["TKYM1408054"], "TKYM", "TKYM1408054"),
        (["TKYM14", "x", "TKYM1408054"], "", "TKYM1408054"),
        ([""], "", None),
        ([], "", None),
    ],
)
async def test_an_id_is_asked_for_until_it_looks_like_one(typed: list[str], prefix: str, holder: str | None) -> None:
    plain, _ = desk(*typed)
    assert await plain.ask_enrolment_id(TypedIdQuestion(IdShape(4, 7, prefix))) == holder


@pytest.mark.parametrize(("typed", "picked"), [("1", IDS[0]), ("3", AnotherId.WANTED), ("4", None)])
async def test_ids_for_a_certificate_are_numbered(typed: str, picked: object) -> None:
    plain, _ = desk(typed)
    assert await plain.choose_enrolment_id(EnrolmentIdQuestion(IDS[:2])) == picked


@pytest.mark.parametrize(
    ("typed", "answer"), [("1", ProblemAnswer.ENROL), ("2", ProblemAnswer.CALL), ("3", ProblemAnswer.READ)]
)
async def test_a_problem_with_a_way_on_offers_it(typed: str, answer: ProblemAnswer) -> None:
    plain, shown = desk(typed, "1")
    assert await plain.show_problem(Problem(Code.EXPIRED), may_enrol=True) is answer
    assert "  1. 電子証明書取得" in shown
    assert await plain.show_problem(Problem(Code.EXPIRED), called=True, may_enrol=True) is ProblemAnswer.ENROL


async def test_yes_gives_its_code_once() -> None:
    code = read(CODE)
    yes = YesDesk(Texts("ja"), lambda _: None, lambda: Pin(bytearray(b"1234")), code=code)
    assert await yes.show_problem(Problem(Code.EXPIRED), may_enrol=True) is ProblemAnswer.ENROL
    assert await yes.ask_code(CodeQuestion("TKYM1408054")) == code
    assert await yes.ask_code(CodeQuestion("TKYM1408054", refused=True)) is None
    assert await yes.show_problem(Problem(Code.EXPIRED), may_enrol=True) is ProblemAnswer.READ


def on_pty(code: str, typed: str) -> str:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(Path(__file__).parents[1])
        os.execv(sys.executable, [sys.executable, "-c", code])  # noqa: S606
    said = b""
    for line in typed.splitlines(keepends=True):
        said += read_until(terminal, lambda text: text.rstrip().endswith(b":"))
        os.write(terminal, line.encode())
    said += read_until(terminal, lambda _: False)
    os.waitpid(child, 0)
    os.close(terminal)
    return said.decode()


def read_until(terminal: int, enough: Callable[[bytes], bool]) -> bytes:
    said = b""
    while not enough(said):
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        said += part
    return said


def test_the_terminal_keeps_its_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        modes = termios.tcgetattr(terminal)
        with echo_kept():
            silent = termios.tcgetattr(terminal)
            silent[3] &= ~termios.ECHO
            termios.tcsetattr(terminal, termios.TCSANOW, silent)
        assert termios.tcgetattr(terminal) == modes
    os.close(ours)


async def test_where_the_kiosk_makes_the_key_it_is_said_in_every_place() -> None:
    plain, shown = desk("1", "1", "1")
    for errand in (Errand.RENEWAL, Errand.ENROLMENT):
        question = WebAccessQuestion(1, 2, "CA", errand=errand, origin=KeyOrigin.EXPORT)
        assert await plain.confirm_web_access(question)
        assert "新しい鍵をこの端末で作って専用USBに書き込み" in "\n".join(shown)
        shown.clear()
    assert await plain.announce_key_export(KeyOrigin.EXPORT)
    assert "新しい秘密鍵をこの端末で作り、専用USBに書き込みます。" in "\n".join(shown)
    shown.clear()
    async with plain.saving(origin=KeyOrigin.EXPORT) as progress:
        progress.begin(SavingStep.KEY)
    assert "… 新しい鍵を作って専用USBに書き込む" in shown
