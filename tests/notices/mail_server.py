"""A real SMTP server (aiosmtpd) that keeps what it takes, and behaves as badly as it is told to."""

from __future__ import annotations

import asyncio
import email
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kiosk.ca.profile import Issuer, Validity, authority_certificate, loopback_certificate
from kiosk.clock import system_clock
from tests.cmp.pki import name

PATIENCE = 60.0
"""Seconds after which a test gives up."""
USER, PASSWORD = "kiosk", "correct horse"

Step = Callable[[str], None]
"""Hears how far the client has come: connected, MAIL, RCPT, DATA, half a mail, a mail taken and not yet answered."""


@dataclass
class MailServer:
    """What is asked of it in `answers` it says once each, in order, and then 250."""

    at_sender: list[str] = field(default_factory=list)
    at_recipient: dict[str, list[str]] = field(default_factory=dict)
    at_data: list[str] = field(default_factory=list)
    """`cut` closes the connection in the middle of the mail, `lose` after taking it, before it says so."""
    always: dict[str, str] = field(default_factory=dict)
    """By recipient: what is said each time."""
    step: Step = lambda _: None
    together: int = 0
    """So many clients have to be at a mail before the first of them goes on."""
    port: int = 0
    connections: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    """Recipient and mail, whether or not the client heard of it."""
    logins: list[bool] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._all_here = asyncio.Event()

    def connected(self) -> None:
        self.connections += 1
        self._reached("connected")

    @property
    def recipients(self) -> list[str]:
        return [recipient for recipient, _ in self.taken]

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, kind: str, data: object) -> AuthResult:
        del server, session, envelope, kind
        good = data == LoginPassword(USER.encode(), PASSWORD.encode())
        self.logins.append(good)
        return AuthResult(success=good, handled=good)

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del session, options
        assert server.transport is not None
        self._reached("MAIL")
        if self.commands["MAIL"] >= self.together:
            self._all_here.set()
        await asyncio.wait_for(self._all_here.wait(), PATIENCE)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        answer = self.at_sender.pop(0) if self.at_sender else "250 OK"
        if answer.startswith("250"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        self._reached("RCPT")
        told = self.at_recipient.get(address, [])
        answer = told.pop(0) if told else self.always.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del session
        answer = self.at_data.pop(0) if self.at_data else "250 OK"
        if answer.startswith("250") or answer == "lose":
            assert isinstance(envelope.content, bytes)
            self.taken.append((envelope.rcpt_tos[0], email.message_from_bytes(envelope.content, policy=MAIL_POLICY)))
            self._reached("taken")
        if answer == "lose":
            _abort(server)
        return answer

    def _reached(self, step: str) -> None:
        self.commands[step] += 1
        self.step(step)

    async def half_a_mail(self, server: SMTP) -> bool:
        """Whether this mail is to be cut; half of it has then been read."""
        self._reached("DATA")
        wanted = bool(self.at_data) and self.at_data[0] == "cut"
        if wanted:
            self.at_data.pop(0)
            await server.push("354 go on")
            await server._reader.readline()
            self._reached("half")
            _abort(server)
        return wanted


def _abort(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


class _Protocol(SMTP):
    """Asks its server before it reads a mail."""

    def __init__(self, told: MailServer, **options: Any) -> None:  # noqa: ANN401
        super().__init__(told, hostname="mail.mihon.example", **options)
        self._told = told

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.transport is None:
            self._told.connected()
        super().connection_made(transport)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if not await self._told.half_a_mail(self):
            await super().smtp_DATA(arg)


@dataclass(frozen=True)
class MailTls:
    """A certificate for this machine, and the root that it comes from."""

    context: ssl.SSLContext
    roots: Path


def make_tls(directory: Path, *, ends_in: timedelta = timedelta(days=1)) -> MailTls:
    """By a root of its own, whom nobody else trusts; the server's certificate ends from now in `ends_in`."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = system_clock().replace(microsecond=0)
    validity = Validity(now - timedelta(days=2), now + timedelta(days=1))
    root_name, own_name = name("Mail Root"), name("mail.mihon.example")
    root = authority_certificate(Issuer(root_key), root_name, root_key.public_key(), validity, 1, path_length=0)
    own = loopback_certificate(
        Issuer(root_key, root), own_name, key.public_key(), Validity(validity.not_before, now + ends_in), 2
    )
    pems = [each.x509.public_bytes(Encoding.PEM) for each in (own, root)]
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "mail.pem").write_bytes(pems[0] + secret)
    (directory / "mail-root.pem").write_bytes(pems[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "mail.pem")
    return MailTls(context, directory / "mail-root.pem")


@asynccontextmanager
async def serving(
    told: MailServer, *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: bool = False
) -> AsyncIterator[MailServer]:
    """Listen on a free port of this machine."""
    options: dict[str, Any] = {}
    if login:
        options = {"authenticator": told.authenticate, "auth_required": True, "auth_require_tls": not implicit}
    if tls is not None and not implicit:
        options |= {"tls_context": tls, "require_starttls": True}

    def protocol() -> SMTP:
        return _Protocol(told, loop=asyncio.get_running_loop(), **options)

    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", told.port, ssl=tls if implicit else None
    )
    told.port = server.sockets[0].getsockname()[1]
    try:
        yield told
    finally:
        server.close()
