"""One notice as a mail: what it says, and its headers."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateNotFound, select_autoescape

from kiosk.ca.holders import check_email
from kiosk.clock import JAPAN, days_left
from kiosk.credentials import Holder
from kiosk.moments import days_words, until_words
from kiosk.notices.settings import NoticeSettings
from kiosk.texts import BASE_LANGUAGE, Texts
from styles.palette import NORMAL, REVERSED

_SHOWN = 2
"""Characters of an ID that are told at either end of it."""
_HIDDEN = 3
"""So many at least are not."""


class NoAddress(ValueError):
    """This is no address that a mail can be sent to."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What one mail is about."""

    certificate: bytes
    """Fingerprint."""
    day: int
    """The notice day that has been reached; the days left may be fewer."""
    holder: Holder
    last_second: datetime
    name: str
    """The holder's, empty where the bank has not told it."""
    email: str
    language: str


def message_id(certificate: bytes, day: int, domain: str) -> str:
    """The same for the same notice, whoever sends it and how often (RFC 5322 §3.6.4)."""
    digest = hashlib.sha256(b"notice\0" + day.to_bytes(4, "big") + certificate).hexdigest()
    return f"<{digest[:40]}@{domain}>"


def id_in_part(holder_id: str) -> str:
    """TK*******54; nothing of an ID too short to hide something of it."""
    hidden = len(holder_id) - 2 * _SHOWN
    if hidden < _HIDDEN:
        return "*" * len(holder_id)
    return literal(holder_id[:_SHOWN]) + "*" * hidden + literal(holder_id[-_SHOWN:])


def literal(text: str) -> str:
    """Text from outside without what would break a line or turn the direction of writing round it."""
    return "".join(sign for sign in text if unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}).strip()


def recipient(email: str) -> Address:
    """The address to send to.

    Raises:
        NoAddress: it is none, or one that needs SMTPUTF8 (RFC 6531), which few servers pass on.
    """
    try:
        return Address(addr_spec=check_email(email))
    except (ValueError, MessageError) as error:
        raise NoAddress("this is no address that a mail can be sent to") from error


def compose(notice: Notice, settings: NoticeSettings, now: datetime) -> EmailMessage:
    """The whole mail, as it goes out `now`.

    Raises:
        NoAddress: it cannot be addressed.
    """
    sender, language = settings.mailbox, _language(notice.language)
    words = _words(notice, settings, language, now)
    plain = _environment("txt").get_template(f"{language}.j2").make_module(words)
    page = _environment("html").get_template(f"{language}.j2").make_module(words)
    mail = EmailMessage(policy=MAIL_POLICY)
    mail["From"] = Address(literal(sender.display_name), sender.username, sender.domain)
    mail["To"] = recipient(notice.email)
    mail["Subject"] = " ".join(str(getattr(plain, "subject", "")).split())
    mail["Date"] = now.astimezone(JAPAN)
    mail["Message-ID"] = message_id(notice.certificate, notice.day, sender.domain)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5
    # What is base64 passes through every server as it is, and tells nothing about where its lines break.
    mail.set_content(_tidy(str(plain)), cte="base64")
    mail.add_alternative(str(page).strip() + "\n", subtype="html", cte="base64")
    mail["Content-Language"] = language  # after the content, which takes away what there was before
    # One that is drawn by lot would make two mails of a notice that is repeated after a crash.
    mail.set_boundary(mail["Message-ID"].strip("<>").partition("@")[0])
    return mail


def _words(notice: Notice, settings: NoticeSettings, language: str, now: datetime) -> dict[str, object]:
    texts, days = Texts(language), days_left(notice.last_second, now)
    return {
        "bank": literal(settings.mailbox.display_name),
        "name": literal(notice.name),
        "kind": notice.holder.kind.value,
        "id": id_in_part(notice.holder.id),
        "days": days,
        "left": days_words(days, texts),
        "until": until_words(notice.last_second, texts),
        "notice_heading": texts("notice.heading"),
        "renew_now": texts("notice.now"),
        "enrolment": texts("enrol.heading"),
        "page": literal(settings.page),
        "contact": literal(settings.contact),
        "language": language,
    }


def _language(wanted: str) -> str:
    try:
        _environment("txt").get_template(f"{wanted}.j2")
    except TemplateNotFound:
        return BASE_LANGUAGE
    return wanted


@cache
def _environment(form: str) -> Environment:
    """Where the one template of a language becomes plain text (`txt`) or a page (`html`)."""
    environment = Environment(
        loader=PackageLoader("assets", "notices"),
        autoescape=select_autoescape((), default=form == "html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(form=f"form.{form}", light=NORMAL, dark=REVERSED)
    environment.filters["lines"] = _lines
    return environment


def _lines(text: str) -> list[str]:
    """The lines of a paragraph as its author has broken them."""
    return [line for each in text.splitlines() if (line := each.strip())]


def _tidy(text: str) -> str:
    """One empty line, never two; none at either end."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "\n".join(line for at, line in enumerate(lines) if line or lines[at - 1]) + "\n"
