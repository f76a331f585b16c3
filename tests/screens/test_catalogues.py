"""The catalogues: both languages complete, the manual's sentences letter for letter, no line broken badly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from rich.cells import cell_len

import assets
import kiosk.text_keys
from kiosk.desk import PadPurpose, PadQuestion, PadTrouble, PinPurpose, PinQuestion, Tries, Unfit
from kiosk.errors import Changed, Code
from kiosk.texts import text_keys_module
from kiosk.words import pad_troubles, pin_troubles
from screens.widgets.phrases import NEVER_FIRST, NEVER_LAST, wrap


def catalogue(language: str) -> dict[str, str]:
    with (Path(assets.__file__).parent / "texts" / f"{language}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


JA, EN = catalogue("ja"), catalogue("en")

MANUAL = {
    "authority.title": "しんきん電子証明書認証局",
    "notice.heading": "電子証明書更新通知",
    "notice.yearly": "電子証明書は、一年毎に更新処理が必要となります。",
    "notice.now": "今すぐ更新する",
    "notice.later": "後で更新する",
    "menu.renew": "証明書更新",
    "preprocessing.heading": "電子証明書更新前処理中",
    "preprocessing.body": "電子証明書更新前の処理中です。処理が完了するまで、Webブラウザを終了しないでください。"
    "また、「中止」ボタンおよび「最新の情報に更新」ボタンの操作も行わないでください。",
    "renewal-start.heading": "電子証明書更新開始",
    "renewal-start.body": "電子証明書の更新を開始します。ご希望の保存先ボタンをクリックしてください。専用USBに保存する"
    "場合は、30秒〜1分程度時間がかかりますので、保存が完了するまで、そのままお待ちください。",
    "renewal-start.pc": "パソコンに保存する",
    "renewal-start.usb": "専用USBに保存する",
    "renewal-start.notes": "専用USBに保存する場合の事前準備について",
    "renewal-start.note-application": "専用USBをご利用いただくには、当金庫へ専用USBの利用申込をする必要がありますので、"
    "当金庫のホームページをご確認いただき、所定の連絡先までご連絡ください。",
    "renewal-start.note-software": "電子証明書の保存には管理ソフトを事前にインストールする必要があります。"
    "インストールされていない場合は、以下のダウンロードページよりダウンロードし、パソコンにインストールしてください。",
    "renewal-start.note-software-strong": "管理ソフトを事前にインストールする必要があります。",
    "renewal-start.link": "専用USBのご案内および管理ソフトのダウンロードページはこちら",
    "footer.copyright": "本Webサイト上における各コンテンツは、著作権によって保護されています。",
    "web-access.heading": "Webアクセスの確認",
    "yes": "はい",
    "no": "いいえ",
    "ok": "OK",
    "key-export.heading": "秘密交換キーをエクスポートします",
    "certificate-import.heading": "証明書インポート",
    "import-complete.heading": "インポート完了",
    "completion-usb.heading": "電子証明書の更新と専用USBへの保存が完了いたしました。",
    "completion-usb.body": "この電子証明書を使用してログインを行う場合は、"
    "専用USBをパソコンに接続してからログインしてください。\n"
    "ログアウト後は、すみやかに専用USBをパソコンから取り外してください。\n"
    "専用USBをパソコンから取り外すことで、不正送金被害を防ぐことができます。",
    "completion-pc.window": "電子証明書発行 発行完了",
    "completion-pc.heading": "電子証明書のインストールが完了しました",
    "completion-pc.body": "ご使用のパソコンへ電子証明書がインストールされました。\n"
    "ログインを行う場合は、この電子証明書を使用してログインしてください。",
    "completion-pc.only-here": "※ この電子証明書がインストールされたパソコン以外ではログインできません。",
    "completion.details": "電子証明書情報",
    "completion.serial": "シリアル番号 = {serial}",
    "completion.one-year": "※ 電子証明書の有効期間は1年です。",
    "completion.close": "このウィンドウを閉じる",
}


def test_the_manuals_sentences_stand_letter_for_letter() -> None:
    assert {key: JA[key] for key in MANUAL} == MANUAL


def test_both_languages_have_every_text() -> None:
    assert JA.keys() == EN.keys()
    assert [key for key in JA if not JA[key] or not EN[key]] == []


def test_both_languages_leave_the_same_holes() -> None:
    optional = {"month", "month_name"}
    assert {key: holes(JA[key]) - optional for key in JA} == {key: holes(EN[key]) - optional for key in EN}


@pytest.mark.parametrize("code", Code)
def test_every_problem_has_its_texts(code: Code) -> None:
    assert {f"problem.{code}.{part}" for part in ("happened", "customer", "teller")} <= JA.keys()


def test_no_texts_for_problems_that_do_not_exist() -> None:
    told = {key.split(".")[1] for key in JA if key.startswith("problem.")}
    assert told == {str(code) for code in Code}


@pytest.mark.parametrize("changed", Changed)
def test_every_outcome_has_its_text(changed: Changed) -> None:
    assert f"changed.{changed.value}" in JA


def test_the_keys_are_up_to_date() -> None:
    assert Path(kiosk.text_keys.__file__).read_text(encoding="utf-8") == text_keys_module()


@pytest.mark.parametrize("width", [16, 28, 36, 54, 72, 94])
def test_lines_keep_kinsoku_their_width_and_every_letter(width: int) -> None:
    for text in JA.values():
        for paragraph in text.split("\n"):
            lines = wrap(paragraph, width)
            assert all(cell_len(line) <= width for line in lines), paragraph
            assert not any(line[0] in NEVER_FIRST for line in lines[1:] if line), lines
            assert not any(line[-1] in NEVER_LAST for line in lines[:-1] if line), lines
            assert solid("".join(lines)) == solid(paragraph)


def test_a_long_row_of_closing_marks_stays_within_its_line() -> None:
    assert all(cell_len(line) <= 10 for line in wrap("あ" + "。" * 40, 10))


def holes(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def solid(text: str) -> str:
    return "".join(text.split())


def at_screen(purpose: PinPurpose = PinPurpose.LOG_IN, *, refused: bool = False, unfit: Unfit | None = None) -> str:
    """The key of what is said of the PIN that was typed on the screen."""
    (key,) = pin_troubles(PinQuestion("", refused, Tries.PLENTY, 4, 8, purpose, unfit))
    return key


def at_reader(trouble: PadTrouble) -> str:
    """The same of one that was typed at the reader."""
    (key,) = pad_troubles(PadQuestion("", PadPurpose.LOG_IN, trouble, Tries.PLENTY))
    return key


PIN_TROUBLES = {
    "wrong": at_screen(refused=True),
    "wrong, to be changed": at_screen(PinPurpose.PRESENT, refused=True),
    "too short": "pin.too-short",
    **{f"unfit: {each.value}": at_screen(unfit=each) for each in Unfit},
    **{f"reader: {each.value}": at_reader(each) for each in PadTrouble},
    "locked": "problem.T-10.happened",
    "wrong too often": "problem.T-11.happened",
    "perhaps the last try": "problem.T-12.happened",
    "not set": "problem.T-13.happened",
    "timed out, and the end": "problem.T-14.happened",
    "cancelled, and the end": "problem.T-15.happened",
}
"""What is said of a PIN, by what became of it."""
SAID_ALIKE = {
    frozenset({"wrong", "reader: wrong"}),
    frozenset({"unfit: length", "reader: length"}),
}
"""A PIN is as wrong, and has as many digits too few, wherever it was typed."""


@pytest.mark.parametrize("texts", [JA, EN], ids=["ja", "en"])
def test_no_trouble_with_a_pin_is_said_in_the_words_of_another(texts: dict[str, str]) -> None:
    said: dict[str, set[str]] = {}
    for trouble, key in PIN_TROUBLES.items():
        said.setdefault(texts[key], set()).add(trouble)
    assert {frozenset(each) for each in said.values() if len(each) > 1} == SAID_ALIKE
