"""The mail server: one connection for many mails, and what its answers mean (RFC 5321, RFC 3463)."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self

import aiosmtplib
from aiosmtplib import SMTP

from kiosk.notices.settings import NoticeSettings, NoticeSettingsError, Security, read_password

_STATUS = re.compile(r"(?:^5\d\d |\(#)5\.(\d{1,3})\.(\d{1,3})\b")
"""An enhanced status code, where most servers put it or where qmail does: subject and detail (RFC 3463 §2)."""
_ADDRESS, _MAILBOX = "1", "2"
"""Subjects: this address is at fault, or its mailbox (RFC 3463 §3.2, §3.3)."""
_OF_THE_SENDER = ("7", "8")
"""Details of the first that are about the sender's address; many servers say them only at RCPT."""
_LOGIN_WANTED = (530, 535, 538)
_FOR_GOOD = 500
_CLOSING = 421
_CONNECTING = 60.0
"""Seconds for a connection, or its end, at most."""


class MailServerTrouble(Exception):
    """No mail can go out at present; the message says why, and what to do where that is known."""


class MailServerUnusable(MailServerTrouble):
    """No mail can go out before somebody has changed something."""


class NotTaken(Exception):
    """The server did not take this mail; the message is what it said."""


class TakenNever(NotTaken):
    """It will not take a mail to this address."""


class Objected(NotTaken):
    """It will not take this mail, and does not say that it is for the address: it may be for a setting of ours."""


class ConnectionLost(NotTaken):
    """The connection was lost; where that was at the end of a mail, nobody knows whether the server took it."""


@dataclass
class Post:
    """A connection to the bank's mail server, made when it is needed and again when it was lost."""

    settings: NoticeSettings
    directory: Path
    """Where relative paths in the settings begin."""
    connections: int = 0
    """How many there have been."""
    _client: SMTP | None = field(default=None, repr=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is None or not client.is_connected:
            return
        try:
            if error is None:
                async with asyncio.timeout(self._connecting):
                    await client.quit()
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            pass  # whatever was sent has been answered
        finally:
            client.close()

    @property
    def _connecting(self) -> float:
        return min(_CONNECTING, self.settings.smtp.time_limit)

    async def connect(self) -> None:
        """Make sure that there is a connection, encrypted and logged in as the settings want it.

        Raises:
            MailServerTrouble: there is none.
            NoticeSettingsError: a file that the settings name cannot be used.
        """
        if self._client is not None and self._client.is_connected:
            return
        client = self._new_client()
        smtp = self.settings.smtp
        where = f"the mail server {smtp.host}:{smtp.real_port}"
        try:
            async with asyncio.timeout(self._connecting):
                await client.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            # Without the server's words and the cause: nobody knows what a server repeats of a login.
            raise _login_refused(where, error.code) from None
        except aiosmtplib.SMTPResponseException as error:
            raise MailServerTrouble(f"{where} is not ready: {error.code} {error.message}") from error
        except (OSError, TimeoutError) as error:
            if (untrusted := _untrusted(error)) is not None:
                raise MailServerUnusable(
                    f"{where} cannot be trusted: {untrusted}; smtp.roots names whom to trust"
                ) from error
            raise MailServerTrouble(f"{where} cannot be reached: {_said(error)}") from error
        except aiosmtplib.SMTPException as error:
            raise MailServerUnusable(f"{where} does not offer what the settings want: {error.message}") from error
        finally:
            if not client.is_connected:
                client.close()
        self._client = client
        self.connections += 1

    async def send(self, mail: EmailMessage) -> None:
        """Hand one mail over. When this returns the server has taken it.

        Raises:
            TakenNever: it will not take a mail to this address.
            Objected: it will not take this one.
            NotTaken: it has not taken this one now.
            ConnectionLost: nobody knows.
            MailServerUnusable: it takes no mail from us.
        """
        client, sender = self._client, self.settings.mailbox.addr_spec
        if client is None:
            raise ConnectionLost("there was no connection")
        try:
            async with asyncio.timeout(self.settings.smtp.time_limit):
                await client.sendmail(sender, [mail["To"].addresses[0].addr_spec], mail.as_bytes())
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise self._refused(_at_address, error.recipients[0]) from error
        except aiosmtplib.SMTPSenderRefused as error:
            raise self._refused(_at_sender, error) from error
        except aiosmtplib.SMTPResponseException as error:
            raise self._refused(_at_address, error) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            client.close()
            raise ConnectionLost(f"the connection was lost: {_said(error)}") from error
        except asyncio.CancelledError:
            client.close()
            raise

    def _refused(self, judge: Callable[[int, str], Exception], answer: aiosmtplib.SMTPResponseException) -> Exception:
        said = f"{answer.code} {' '.join(answer.message.split())}"
        if answer.code != _CLOSING:
            return judge(answer.code, said)
        if self._client is not None:
            self._client.close()
        return ConnectionLost(said)

    def _new_client(self) -> SMTP:
        smtp = self.settings.smtp
        return SMTP(
            hostname=smtp.host,
            port=smtp.real_port,
            username=smtp.user or None,
            password=read_password(self.directory, smtp) if smtp.user else None,
            local_hostname=self.settings.mailbox.domain,
            timeout=smtp.time_limit,
            use_tls=smtp.security is Security.TLS,
            start_tls=smtp.security is Security.STARTTLS,
            tls_context=None if smtp.security is Security.NONE else self._tls_context(),
        )

    def _tls_context(self) -> ssl.SSLContext:
        roots = self.settings.smtp.roots
        try:
            context = ssl.create_default_context(cafile=str(self.directory / roots) if roots else None)
        except (OSError, ssl.SSLError) as error:
            raise NoticeSettingsError(f"smtp.roots {roots} cannot be used: {_said(error)}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _at_address(code: int, said: str) -> Exception:
    """What an answer to RCPT means, or one at the end of a mail."""
    if code in _LOGIN_WANTED:
        return MailServerUnusable(f"the mail server wants a login, or another one: {said}")
    if code < _FOR_GOOD:
        return NotTaken(said)
    subject, detail = found.groups() if (found := _STATUS.search(said)) else ("", "")
    is_address = subject == _ADDRESS and detail not in _OF_THE_SENDER
    return TakenNever(said) if is_address or subject == _MAILBOX else Objected(said)


def _at_sender(code: int, said: str) -> Exception:
    if code >= _FOR_GOOD:
        return MailServerUnusable(f"the mail server takes no mail from this sender: {said}")
    return NotTaken(said)


def _login_refused(where: str, code: int) -> MailServerTrouble:
    if code >= 500:
        return MailServerUnusable(f"{where} refuses the login ({code}): check smtp.user and smtp.password_file")
    return MailServerTrouble(f"{where} does not take the login at present ({code})")


def _untrusted(error: BaseException) -> str | None:
    """Why a certificate was not trusted, where that was it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        cause = cause.__cause__ or cause.__context__
    return None


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
