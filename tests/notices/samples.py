"""A bank's settings, and notices, as they are in most tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kiosk.clock import JAPAN
from kiosk.credentials import Holder, HolderKind
from kiosk.notices.message import Notice
from kiosk.notices.settings import NoticeSettings, SmtpSettings

END = datetime(2026, 12, 13, 23, 59, 59, tzinfo=JAPAN)
SETTINGS = NoticeSettings(
    sender="みほん信用金庫 <shomeisho@mihon.example>",
    smtp=SmtpSettings(host="mail.mihon.example"),
    contact="電子証明書係 0120-000-000",
    page="www.mihon.example",
)


def notice(language: str = "ja", **changes: object) -> Notice:
    """One of a user whose certificate ends on 13 December 2026."""
    usual = Notice(
        certificate=bytes(range(32)),
        day=30,
        holder=Holder("TKYM1408054", HolderKind.USER),
        last_second=END,
        name="山田 太郎",
        email="yamada@example.co.jp",
        language=language,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def days_before(days: int) -> datetime:
    """Noon in Japan, so many days before the end."""
    return datetime(2026, 12, 13, 12, tzinfo=JAPAN) - timedelta(days=days)


@dataclass
class Clock:
    """A moment that tests turn on."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now
