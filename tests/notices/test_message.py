"""What a notice says, and that nothing from outside says anything else in it."""

from __future__ import annotations

import email
import re
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.clock import JAPAN
from kiosk.credentials import Holder, HolderKind
from kiosk.notices.message import NoAddress, compose, id_in_part, literal, message_id, recipient
from tests.notices.samples import END, SETTINGS, days_before, notice

HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
HEADERS.append("Content-Language")


class Page(HTMLParser):
    """What a reader sees of a page, and every element and attribute in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[str] = []
        self._styles = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [name for name, _ in attrs]
        self._styles = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._styles = self._styles and tag != "style"

    def handle_data(self, data: str) -> None:
        if not self._styles:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join("".join(self.words).split())


def parsed(mail: EmailMessage) -> EmailMessage:
    """As its recipient has it."""
    return email.message_from_bytes(mail.as_bytes(), policy=SMTP)


def body(mail: EmailMessage, form: str = "plain") -> str:
    part = mail.get_body((form,))
    assert part is not None
    content: str = part.get_content()
    return content.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("language", "days", "subject", "told"),
    [
        ("ja", 30, "【みほん信用金庫】電子証明書の有効期限切れのお知らせ（あと30日）", "残り日数: あと30日"),
        ("ja", 1, "【みほん信用金庫】電子証明書の有効期限切れのお知らせ（あと1日）", "残り日数: あと1日"),
        ("ja", 0, "【みほん信用金庫】電子証明書の有効期限切れのお知らせ（本日まで）", "残り日数: 本日まで"),
        ("en", 10, "[みほん信用金庫] Your electronic certificate ends in 10 days", "Days left: 10"),
        ("en", 1, "[みほん信用金庫] Your electronic certificate ends in 1 day", "Days left: 1"),
        ("en", 0, "[みほん信用金庫] Your electronic certificate ends today", "Days left: today is the last day"),
    ],
)
def test_it_tells_the_days_that_are_left(language: str, days: int, subject: str, told: str) -> None:
    mail = parsed(compose(notice(language), SETTINGS, days_before(days)))
    assert mail["Subject"] == subject
    assert told in body(mail)
    assert "".join(told.replace(": ", "").split()) in Page(body(mail, "html")).text


@pytest.mark.parametrize(
    ("language", "end", "words"),
    [
        ("ja", END, "2026年12月13日（日）23:59 まで（日本時間）"),
        ("en", END, "Sun 13 December 2026, 23:59 (Japan time)"),
        # 23:59:59 UTC is in the morning of the next day in Japan
        ("ja", datetime(2026, 12, 12, 23, 59, 59, tzinfo=UTC), "2026年12月13日（日）8:59 まで（日本時間）"),
        ("en", datetime(2026, 12, 12, 23, 59, 59, tzinfo=UTC), "Sun 13 December 2026, 8:59 (Japan time)"),
    ],
)
def test_it_tells_the_time_of_day_at_which_it_ends_in_japan(language: str, end: datetime, words: str) -> None:
    mail = compose(notice(language, last_second=end), SETTINGS, days_before(5))
    assert words in body(mail)
    assert "".join(words.split()) in Page(body(mail, "html")).text


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("form", ["plain", "html"])
def test_both_forms_say_the_same(language: str, form: str) -> None:
    mail = compose(notice(language), SETTINGS, days_before(5))
    text = body(mail) if form == "plain" else Page(body(mail, "html")).text
    told = ("みほん信用金庫", "TK*******54", "山田", "0120-000-000", "www.mihon.example")
    steps = ("今すぐ更新する", "電子証明書取得") if language == "ja" else ("Renew", "Obtain")
    assert [each for each in (*told, *steps) if each not in text] == []


@pytest.mark.parametrize("language", ["ja", "en"])
def test_nothing_of_it_can_be_clicked_or_is_fetched(language: str) -> None:
    html = body(compose(notice(language), SETTINGS, days_before(5)), "html")
    page = Page(html)
    assert not {"a", "img", "link", "script", "iframe", "form", "area", "base"} & set(page.elements)
    assert not {"href", "src", "action", "background", "srcset"} & set(page.attributes)
    assert not re.search(r"url\(|@import|https?:", html)


def test_the_banks_page_is_told_only_where_the_settings_have_one() -> None:

    without = msgspec.structs.replace(SETTINGS, page="", contact="")
    assert "ホームページ" not in body(compose(notice(), without, days_before(5)))


def test_it_has_the_headers_of_a_mail_that_a_program_has_written() -> None:
    now = days_before(20)
    mail = parsed(compose(notice("en"), SETTINGS, now))
    assert sorted(mail.keys()) == sorted(HEADERS)
    assert str(mail["From"]) == "みほん信用金庫 <shomeisho@mihon.example>"
    assert mail["From"].addresses[0].addr_spec == "shomeisho@mihon.example"
    assert str(mail["To"]) == "yamada@example.co.jp"
    assert mail["Date"].datetime == now
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "en"
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert {part.get_content_charset() for part in mail.iter_parts()} == {"utf-8"}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_server_can_carry_it(language: str) -> None:
    content = compose(notice(language, name="山" * 64), SETTINGS, days_before(20)).as_bytes()
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 78
    assert b"\n" not in content.replace(b"\r\n", b"")


def test_a_mail_of_one_notice_is_always_the_same_to_the_byte() -> None:
    first, again = (compose(notice(), SETTINGS, days_before(20)).as_bytes() for _ in range(2))
    assert first == again


def test_a_notice_has_one_message_id_whatever_the_day_it_goes_out() -> None:
    ids = {compose(notice(), SETTINGS, days_before(days))["Message-ID"] for days in (30, 29, 11)}
    assert len(ids) == 1
    others = {message_id(notice().certificate, 10, "mihon.example"), message_id(bytes(32), 30, "mihon.example")}
    assert not ids & others
    assert re.fullmatch(r"<[0-9a-f]{40}@mihon\.example>", ids.pop())


def test_a_language_that_nobody_has_written_is_answered_in_japanese() -> None:
    mail = compose(notice("pt"), SETTINGS, days_before(20))
    assert mail["Content-Language"] == "ja"
    assert mail["Subject"].startswith("【")


def test_without_a_name_it_is_to_the_customer() -> None:
    assert body(compose(notice(name=""), SETTINGS, days_before(5))).startswith("お客様\n")
    assert body(compose(notice("en", name=""), SETTINGS, days_before(5))).startswith("Dear customer,\n")


def test_an_administrators_id_is_called_so() -> None:
    chief = Holder("TKYM1408054", HolderKind.ADMINISTRATOR)
    assert "管理者ID: TK" in body(compose(notice(holder=chief), SETTINGS, days_before(5)))
    assert "Administrator ID: TK" in body(compose(notice("en", holder=chief), SETTINGS, days_before(5)))


@pytest.mark.parametrize(
    ("whole", "part"), [("TKYM1408054", "TK*******54"), ("ABCDEFG", "AB***FG"), ("ABCDEF", "******"), ("A", "*")]
)
def test_an_id_is_told_in_part(whole: str, part: str) -> None:
    assert id_in_part(whole) == part


@given(st.text(min_size=1, max_size=32))
def test_of_every_id_something_is_hidden(holder: str) -> None:
    part = id_in_part(holder)
    assert part.count("*") >= min(3, len(holder))


@settings(max_examples=40)
@given(st.text(max_size=80), st.sampled_from(["ja", "en"]), st.integers(0, 40))
def test_whatever_somebody_is_called_the_mail_has_our_headers_and_the_name_is_text(
    name: str, language: str, days: int
) -> None:
    mail = parsed(compose(notice(language, name=name), SETTINGS, days_before(days)))
    assert sorted(mail.keys()) == sorted(HEADERS)
    assert mail["To"].addresses[0].addr_spec == "yamada@example.co.jp"
    assert not mail.defects
    plain = compose(notice(language, name="X"), SETTINGS, days_before(days))
    usual, page = Page(body(plain, "html")), Page(body(mail, "html"))
    assert page.elements == usual.elements
    assert page.attributes == usual.attributes
    assert "".join(literal(name).split()) in page.text
    assert len(body(mail).splitlines()) == len(body(plain).splitlines())


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "x\r\nBcc: all@bank.example",
        "{{ 7*7 }}",
        "\u202egpj.exe",
        "&amp;",
        "a\u2028b",
        "'\"",
    ],
)
def test_hostile_names_stay_what_they_are(name: str) -> None:
    mail = parsed(compose(notice(name=name), SETTINGS, days_before(5)))
    assert literal(name) in body(mail)
    assert "".join(literal(name).split()) in Page(body(mail, "html")).text
    assert "script" not in Page(body(mail, "html")).elements
    assert mail["Bcc"] is None
    assert "\u202e" not in body(mail)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "a",
            "@b",
            "a@",
            "a@b\r\nBcc: c@d.example",
            "a@b, c@d",
            "a b@c",
            "<a@b>",
            "山@b.example",
            "a@" + "b" * 260,
        ),
        "a@[b@c.example",  # the standard library's parser falls over it
    ],
)
def test_what_is_no_address_is_told_before_anything_is_sent(address: str) -> None:
    with pytest.raises(NoAddress):
        compose(notice(email=address), SETTINGS, days_before(5))


@given(st.text(max_size=60) | st.from_regex(r"[a.@\[\]\"<>()]{1,12}@b\.example", fullmatch=True))
def test_no_address_brings_a_header_or_another_recipient(address: str) -> None:
    try:
        mail = parsed(compose(notice(email=address), SETTINGS, days_before(5)))
    except NoAddress:
        return
    assert sorted(mail.keys()) == sorted(HEADERS)
    assert [each.addr_spec for each in mail["To"].addresses] == [address] == [recipient(address).addr_spec]


def test_days_are_counted_as_everywhere() -> None:
    midnight = datetime(2026, 12, 13, tzinfo=JAPAN)
    for now, days in ((midnight, 0), (midnight - timedelta(seconds=1), 1)):
        assert f"（{'本日まで' if days == 0 else 'あと1日'}）" in compose(notice(), SETTINGS, now)["Subject"]
