"""What the operator of the CA says about notices: `notices.toml` in the CA's directory."""

from __future__ import annotations

import stat
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.parser import HeaderParser
from email.policy import SMTP as MAIL_POLICY
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from kiosk.toml_files import NOT_UNDERSTOOD

SETTINGS_FILE = "notices.toml"
"""Its name in the CA's directory."""

_EXAMPLE = 'from = "Example Bank <certificates@bank.example>"\n[smtp]\nhost = "mail.bank.example"'
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_OTHERS = stat.S_IROTH | stat.S_IWOTH
_LONGEST_PASSWORD = 1024
_Day = Annotated[int, Meta(ge=0, le=366)]
_Line = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*\Z", max_length=200)]


class NoticeSettingsError(ValueError):
    """The settings for notices are missing, or say what is not understood; the message tells what to do."""


class Security(StrEnum):
    """How the connection to the mail server is kept from others' eyes."""

    STARTTLS = "starttls"
    """It begins in the clear, and nothing is said before it is encrypted (RFC 3207)."""
    TLS = "tls"
    """Encrypted from its first byte (RFC 8314)."""
    NONE = "none"
    """In the clear: only to a server on this machine."""


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mail server, and how much may be asked of it."""

    host: Annotated[str, Meta(pattern=r"^[!-~]+\Z", max_length=253)]
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """0 takes the usual one: 587 for `starttls`, 465 for `tls`, 25 for `none`."""
    security: Security = Security.STARTTLS
    roots: str = ""
    """PEM file: whom to trust for TLS, in place of those whom this machine trusts."""
    user: str = ""
    """Who logs in; nobody does where it is empty."""
    password_file: str = ""
    """The file that holds the password, and nothing else; it must not be open to everybody."""
    per_minute: Annotated[int, Meta(ge=1, le=6000)] = 120
    """Mails at most."""
    tries: Annotated[int, Meta(ge=1, le=10)] = 4
    """How often one run goes back to what has failed for the moment."""
    first_wait: Annotated[float, Meta(gt=0, le=3600)] = 15.0
    """Seconds before the second try; each further wait is four times as long."""
    time_limit: Annotated[float, Meta(gt=0, le=1800)] = 600.0
    """Seconds for one mail. A server may take ten minutes to say that it has it (RFC 5321 §4.5.3.2.6), and a mail that
    we give up before goes out twice."""

    def __post_init__(self) -> None:
        """Raise ValueError for what would tell others a password or a customer's address."""
        if self.security is Security.NONE and not _is_this_machine(self.host):
            raise ValueError('security is "none", which only a server on this machine may have')
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file go together")

    @property
    def real_port(self) -> int:
        """Where to connect to."""
        return self.port or _PORTS[self.security]


class NoticeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who writes to the holders, when, and how the mail goes out."""

    sender: str = msgspec.field(name="from")
    """The bank's name and the address that mails come from: `Example Bank <certificates@bank.example>`."""
    smtp: SmtpSettings
    days: Annotated[frozenset[_Day], Meta(min_length=1)] = frozenset({30, 10})
    """The notice days: how many days before the end there is a mail."""
    page: _Line = ""
    """The bank's page, told as text; no mail has a link in it."""
    contact: _Line = ""
    """Whom to ask, told as text."""

    def __post_init__(self) -> None:
        """Raise ValueError for a sender that no mail could have."""
        if not _mailbox(self.sender).display_name.strip():
            raise ValueError("from has no name of the bank before its address")

    @property
    def mailbox(self) -> Address:
        """Name and address of the sender."""
        return _mailbox(self.sender)


def load_notice_settings(directory: Path) -> NoticeSettings:
    """The settings in a CA's directory.

    Raises:
        NoticeSettingsError: with what is wrong, where, and what to do.
    """
    path = directory / SETTINGS_FILE
    try:
        return msgspec.toml.decode(path.read_bytes(), type=NoticeSettings)
    except FileNotFoundError as error:
        raise NoticeSettingsError(f"{path} is missing; the least it must say is:\n{_EXAMPLE}") from error
    except OSError as error:
        raise NoticeSettingsError(f"{path} cannot be read: {error.strerror}") from error
    except NOT_UNDERSTOOD as error:
        raise NoticeSettingsError(f"{path} is not understood: {error}; docs/notices.md has every setting") from error


def read_password(directory: Path, settings: SmtpSettings) -> str:
    """The password for the mail server; a relative path begins in the CA's directory.

    Raises:
        NoticeSettingsError: the file cannot be read, is open to everybody, or holds no password.
    """
    path = directory / settings.password_file
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
                raise NoticeSettingsError(f"{path} is open to everybody: chmod o= {path}")
            content = file.read(_LONGEST_PASSWORD + 1)
    except OSError as error:
        raise NoticeSettingsError(f"the password file {path} cannot be read: {error.strerror}") from error
    try:
        password = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password or not password.isprintable() or len(content) > _LONGEST_PASSWORD:
        # Without the cause: a decoding error has the bytes in it.
        raise NoticeSettingsError(f"{path} must hold the password on one line, and nothing else")
    return password


def _mailbox(text: str) -> Address:
    """One name and address (RFC 5322 §3.4).

    Raises:
        ValueError: it is not one.
    """
    if not text.isprintable():
        raise ValueError("from has characters that cannot be printed")
    try:
        header = HeaderParser(policy=MAIL_POLICY).parsestr(f"From: {text}\n\n")["From"]
        addresses = cast(tuple[Address, ...], header.addresses)
    except (HeaderParseError, IndexError, AttributeError) as error:
        raise ValueError("from is no address of mail") from error
    if len(addresses) != 1 or header.defects or not addresses[0].domain or not addresses[0].addr_spec.isascii():
        raise ValueError("from must be one name and one address: Example Bank <certificates@bank.example>")
    return addresses[0]


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
