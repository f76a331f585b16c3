"""Every sentence of the manual's chapter, and where it is kept: nothing of it is missing, nothing altered.

The chapter says many sentences once for each of its four paths; here each stands once, in the order of its first time.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections import Counter
from dataclasses import dataclass
from importlib import import_module

import pytest

from screens.certificate_facts import subject_lines
from tests.screens.samples import SERIAL, certificate
from tests.screens.test_catalogues import JA


@dataclass(frozen=True)
class Text:
    """Stands on a screen, letter for letter."""

    key: str

    def missing(self, sentence: str) -> str:
        return "" if plain(sentence) in JA.get(self.key, "") else f"{self.key} does not say it"


@dataclass(frozen=True)
class FilledIn:
    """Stands on a screen around a value."""

    key: str

    def missing(self, sentence: str) -> str:
        said = JA.get(self.key, "")
        values = ("\\$\\$cert_serial\\$\\$", f"{SERIAL:x}")
        return "" if any(said.format(serial=value) == sentence for value in values) else f"{self.key} does not say it"


@dataclass(frozen=True)
class OfTheCertificate:
    """Stands on the completion screen because the customer's certificate says so."""

    def missing(self, sentence: str) -> str:
        return "" if sentence in subject_lines(certificate()) else "the subject is set otherwise"


@dataclass(frozen=True)
class Step:
    """Something that is done: this test does it."""

    module: str
    test: str

    def missing(self, sentence: str) -> str:  # noqa: ARG002
        found = getattr(import_module(self.module), self.test, None)
        return "" if inspect.iscoroutinefunction(found) else f"there is no {self.test}"


@dataclass(frozen=True)
class Carried:
    """A note whose meaning this text of a screen carries in words of the manual's own."""

    key: str

    def missing(self, sentence: str) -> str:  # noqa: ARG002
        return "" if JA.get(self.key) else f"there is no {self.key}"


@dataclass(frozen=True)
class Later:
    """Comes with another issue; until then no screen says it, or the table has to be told."""

    issue: int

    def missing(self, sentence: str) -> str:
        keys = [key for key, text in JA.items() if plain(sentence) in text]
        return f"{keys} says it already" if keys else ""


@dataclass(frozen=True)
class Furniture:
    """Headings, page numbers and pointers of the printed page."""

    def missing(self, sentence: str) -> str:
        return "a sentence is not furniture" if sentence.endswith("ます。") else ""


Role = Text | FilledIn | OfTheCertificate | Step | Carried | Later | Furniture
FURNITURE = Furniture()
OF_THE_CERTIFICATE = OfTheCertificate()

ENROLLED = Step("tests.flows.test_enrolment", "test_from_the_standby_screen")

MANUAL: list[tuple[str, Role]] = [
    ("1. 電子証明書の更新をするには", FURNITURE),
    ("電子証明書は、1年毎にライセンスの更新処理が必要となります。", Carried("notice.yearly")),
    ("電子証明書を更新する手順は次の通りです。", FURNITURE),
    (
        "なお、電子証明書の更新はID毎（管理者ID・利用者ID）に必要となります。",
        Step("tests.flows.test_several_ids", "test_ids_are_renewed_one_after_another"),
    ),
    ("更新処理の流れ", FURNITURE),
    (
        "1. 電子証明書更新通知画面が表示される。",
        Step("tests.flows.test_conversation", "test_first_and_last_day_of_the_window"),
    ),
    (
        "有効期限まで30日以内になった場合、ログイン後に電子証明書更新通知画面が表示されるので、「メインへ」を選択していただきます。",
        Step("tests.flows.test_conversation", "test_first_and_last_day_of_the_window"),
    ),
    (
        "有効期限まで30日以内になった場合、ログイン後に電子証明書更新通知画面が表示されます。",
        Step("tests.flows.test_conversation", "test_first_and_last_day_of_the_window"),
    ),
    (
        "今すぐに更新する場合は「今すぐ更新する」を選択していただきます。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    (
        "後で更新する場合は「後で更新する」を選択していただきます。",
        Step("tests.flows.test_conversation", "test_usb_later"),
    ),
    ("パソコンに証明書", FURNITURE),
    ("を保存", FURNITURE),
    ("(今すぐ更新)", FURNITURE),
    ("P4 2", FURNITURE),
    ("専用USBに", FURNITURE),
    ("証明書を保存", FURNITURE),
    ("P4 5", FURNITURE),
    ("2. メイン画面から「証明書更新」を選択する", Step("tests.flows.test_conversation", "test_usb_later")),
    (
        "電子証明書更新通知画面にて「後で更新する」を選択した場合、メイン画面を表示します。",
        Step("tests.flows.test_conversation", "test_usb_later"),
    ),
    (
        "電子証明書を更新する場合は、ログイン後のメイン画面から「証明書更新」を選択していただきます。",
        Step("tests.flows.test_conversation", "test_usb_later"),
    ),
    ("(後で更新)", FURNITURE),
    ("P4 9", FURNITURE),
    ("P4 12", FURNITURE),
    ("3. 電子証明書の更新を行う", FURNITURE),
    (
        "電子証明書の更新（ご利用いただいているパソコンに電子証明書をインストール）を行います。",
        Step("tests.pc.test_renewal_into_pc", "test_pc_now"),
    ),
    ("(1) 電子証明書の更新 (パソコンに電子証明書を保存)", FURNITURE),
    ("詳細手順 (今すぐ更新する)", FURNITURE),
    ("電子証明書の更新 (パソコンに保存)", FURNITURE),
    (
        "ログイン後に電子証明書更新通知画面を確認し、**今すぐ更新する** をクリックします。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    ("メモ", FURNITURE),
    ("電子証明書は、一年毎に更新処理が必要となります。", Text("notice.yearly")),
    (
        "「電子証明書更新前処理中」画面が表示され、その後自動的に「電子証明書更新開始」画面が表示されます。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    (
        "ログイン後の電子証明書更新開始画面から**パソコンに保存する** をクリックします。",
        Step("tests.pc.test_renewal_into_pc", "test_pc_now"),
    ),
    (
        "しばらくすると、「Web アクセスの確認」ダイアログが表示されます。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    ("ポイント", FURNITURE),
    (
        "専用USBに保存する をクリックすると、電子証明書を専用USBに保存できます。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    ("「第4章 1.(2) 電子証明書の更新 (専用USBに電子証明書を保存)」を参照", FURNITURE),
    ("更新する場合は、**はい** をクリックします。", Step("tests.flows.test_conversation", "test_usb_now")),
    (
        "(本画面は、2 度表示されますので、それぞれ **はい** をクリックします。)",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    ("はい をクリックします。", Step("tests.flows.test_conversation", "test_usb_now")),
    ("「電子証明書発行 発行完了」画面が表示されます。", Step("tests.pc.test_renewal_into_pc", "test_pc_now")),
    ("しんきん電子証明書認証局", Text("authority.title")),
    ("電子証明書のインストールが完了しました", Text("completion-pc.heading")),
    ("ご使用のパソコンへ電子証明書がインストールされました。", Text("completion-pc.body")),
    ("ログインを行う場合は、この電子証明書を使用してログインしてください。", Text("completion-pc.body")),
    ("電子証明書情報", Text("completion.details")),
    ("シリアル番号 = \\$\\$cert_serial\\$\\$", FilledIn("completion.serial")),
    ("※ この電子証明書がインストールされたパソコン以外ではログインできません。", Text("completion-pc.only-here")),
    ("※ 電子証明書の有効期間は1年です。", Text("completion.one-year")),
    ("このウィンドウを閉じる", Text("completion.close")),
    (
        "ご使用のパソコンに、更新された証明書の情報が表示されます。",
        Step("tests.pc.test_renewal_into_pc", "test_pc_now"),
    ),
    ("このウィンドウを閉じる をクリックして、一度ブラウザを終了します。", Carried("completion-pc.end-browser")),
    ("以上で電子証明書の更新は終了です。", Step("tests.screens.test_hands", "test_by_hand")),
    (
        "電子証明書の有効期限は、発行してから1年となっているため、有効期限切れが迫った場合はお客様に更新を促す通知を行います。",
        Later(9),
    ),
    ("<通知方法>", FURNITURE),
    ("・Eメール通知", FURNITURE),
    ("有効期限切れ30日前と10日前に、お客様が登録されているメールアドレスに通知します。", Later(9)),
    ("・画面表示", FURNITURE),
    (
        "有効期限切れ30日前より、ログイン画面からメイン画面へ遷移する間に有効期限を通知します。",
        Step("tests.flows.test_conversation", "test_first_and_last_day_of_the_window"),
    ),
    ("電子証明書の更新有効期限を経過した場合は、ログイン画面の電子証明書取得から電子証明書を取得します。", ENROLLED),
    ("(2) 電子証明書の更新 (専用USBに電子証明書を保存)", FURNITURE),
    ("電子証明書の更新 (専用USBに保存)", FURNITURE),
    (
        "ログイン後の電子証明書更新開始画面から**専用USBに保存する** をクリックします。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    (
        "しばらくすると、「Webアクセスの確認」ダイアログが表示されます。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    (
        "パソコンに保存する をクリックすると、電子証明書をパソコンに保存できます。",
        Step("tests.pc.test_renewal_into_pc", "test_pc_now"),
    ),
    ("「第4章 1.(1) 電子証明書の更新 (パソコンに電子証明書を保存)」を参照", FURNITURE),
    (
        "「秘密交換キーをエクスポートします」ダイアログが表示されます。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    ("⑥ **OK** をクリックします。", Step("tests.screens.test_hands", "test_by_hand")),
    ("「証明書インポート」ダイアログが表示されます。", Step("tests.flows.test_conversation", "test_usb_now")),
    ("⑦ **OK** をクリックします。", Step("tests.screens.test_hands", "test_by_hand")),
    ("「インポート完了」のダイアログが表示されます。", Step("tests.flows.test_conversation", "test_usb_now")),
    ("⑧ **OK** をクリックします。", Step("tests.screens.test_hands", "test_by_hand")),
    (
        "自動的に「電子証明書の更新と専用USBへの保存が完了いたしました」画面が表示されます。",
        Step("tests.flows.test_conversation", "test_usb_now"),
    ),
    ("電子証明書の更新と専用USBへの保存が完了いたしました。", Text("completion-usb.heading")),
    (
        "この電子証明書を使用してログインを行う場合は、専用USBをパソコンに接続してからログインしてください。",
        Text("completion-usb.body"),
    ),
    ("ログアウト後は、すみやかに専用USBをパソコンから取り外してください。", Text("completion-usb.body")),
    ("専用USBをパソコンから取り外すことで、不正送金被害を防ぐことができます。", Text("completion-usb.body")),
    ("Country = JP", OF_THE_CERTIFICATE),
    ("Organization = The Shinkin Banks Information System Center Co.,Ltd", OF_THE_CERTIFICATE),
    ("Organizational Unit = Shinkin Internet Banking Intermediate CA", OF_THE_CERTIFICATE),
    ("Organizational Unit = USER/PE - 2", OF_THE_CERTIFICATE),
    ("Organizational Unit = CERT/SUEDNUM - 3", OF_THE_CERTIFICATE),
    ("Common Name = TKYM1408054 1403", OF_THE_CERTIFICATE),
    ("シリアル番号 = 60345f5605e87a853a2e85271ae8724e", FilledIn("completion.serial")),
    ("本Webサイト上における各コンテンツは、著作権によって保護されています。", Text("footer.copyright")),
    ("をクリックして、一度ブラウザを終了します。", Carried("completion-pc.end-browser")),
    ("< 通知方法 >", FURNITURE),
    ("・ Eメール通知", FURNITURE),
    ("・ 画面表示", FURNITURE),
    (
        "電子証明書の更新有効期限を経過した場合は、ログイン画面の「電子証明書取得」から電子証明書を取得します。",
        ENROLLED,
    ),
    ("(3) 電子証明書の更新 (パソコンに電子証明書を保存)", FURNITURE),
    ("詳細手順 (後で更新する)", FURNITURE),
    (
        "ログイン後に電子証明書更新通知画面を確認し、**後で更新する** をクリックします。",
        Step("tests.flows.test_conversation", "test_usb_later"),
    ),
    (
        "メイン画面が表示され、**証明書更新** をクリックします。",
        Step("tests.flows.test_conversation", "test_usb_later"),
    ),
    ("電子証明書更新前処理中", Text("preprocessing.heading")),
    ("電子証明書更新前の処理中です。", Text("preprocessing.body")),
    ("処理が完了するまで、Webブラウザを終了しないでください。", Text("preprocessing.body")),
    ("また、「中止」ボタンおよび「最新の情報に更新」ボタンの操作も行わないでください。", Text("preprocessing.body")),
    ("「第4章 1.(4) 電子証明書の更新 (専用USBに電子証明書を保存)」を参照", FURNITURE),
    ("(4) 電子証明書の更新 (専用USBに電子証明書を保存)", FURNITURE),
    ("電子証明書更新開始", Text("renewal-start.heading")),
    ("電子証明書の更新を開始します。", Text("renewal-start.body")),
    ("ご希望の保存先ボタンをクリックしてください。", Text("renewal-start.body")),
    (
        "専用USBに保存する場合は、30秒〜1分程度時間がかかりますので、保存が完了するまで、そのままお待ちください。",
        Text("renewal-start.body"),
    ),
    ("パソコンに保存する", Text("renewal-start.pc")),
    ("専用USBに保存する", Text("renewal-start.usb")),
    ("専用USBに保存する場合の事前準備について", Text("renewal-start.notes")),
    (
        "- 専用USBをご利用いただくには、当金庫へ専用USBの利用申込をする必要がありますので、当金庫のホームページをご確認いただき、所定の連絡先までご連絡ください。",  # noqa: E501
        Text("renewal-start.note-application"),
    ),
    (
        "- 電子証明書の保存には**管理ソフトを事前にインストールする必要があります。**インストールされていない場合は、以下のダウンロードページよりダウンロードし、パソコンにインストールしてください。",  # noqa: E501
        Text("renewal-start.note-software"),
    ),
    ("[専用USBのご案内および管理ソフトのダウンロードページはこちら](#)", Text("renewal-start.link")),
    ("ログイン後の電子証明書更新開始画面から", Step("tests.flows.test_conversation", "test_usb_now")),
    ("専用USBに保存する をクリックします。", Step("tests.flows.test_conversation", "test_usb_now")),
    ("「第4章 1.(3) 電子証明書の更新 (パソコンに電子証明書を保存)」を参照", FURNITURE),
    ("⑨ **OK** をクリックします。", Step("tests.screens.test_hands", "test_by_hand")),
    ("- ・ Eメール通知", FURNITURE),
    ("- ・ 画面表示", FURNITURE),
]
DIGEST = "e0db7aa771df0bad8047881fbc92c0b99049294322b5345abf89a7c138ef1c2c"
"""SHA-256 of the sentences, one a line: who alters, drops or adds one has to mean it."""


def plain(sentence: str) -> str:
    """A sentence without the marks its page sets it with: bullet, bold, link."""
    return re.sub(r"^- |\*\*|^\[|\]\(#\)$", "", sentence)


def test_no_sentence_is_missing_or_altered() -> None:
    sentences = "\n".join(sentence for sentence, _ in MANUAL)
    assert hashlib.sha256(sentences.encode()).hexdigest() == DIGEST


def test_each_sentence_stands_once() -> None:
    assert [sentence for sentence, times in Counter(sentence for sentence, _ in MANUAL).items() if times > 1] == []


@pytest.mark.parametrize(("sentence", "role"), MANUAL, ids=[sentence for sentence, _ in MANUAL])
def test_each_sentence_is_kept(sentence: str, role: Role) -> None:
    assert role.missing(sentence) == "", sentence
