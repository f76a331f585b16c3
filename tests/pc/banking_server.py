"""Internet banking as far as a login goes: a TLS server that wants a certificate of our CA."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kiosk.ca.authority import load_authority
from kiosk.certificates import read_certificate_file
from tests.bank import Bank

WELCOME = "welcome to internet banking"


class BankingServer:
    """Speaks TLS 1.3 only, lets in nobody without a certificate of the CA, and keeps what it was shown."""

    def __init__(self, bank: Bank, *, speaks_first: bool = False) -> None:
        self._speaks_first = speaks_first
        authority = load_authority(bank.directory / "ca")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self._tls.load_cert_chain(authority.tls_certificate, authority.tls_key, authority.passphrase.secret)
        self._tls.load_verify_locations(bank.directory / "chain.pem")
        self._tls.verify_mode = ssl.CERT_REQUIRED
        (certificate, *_) = read_certificate_file(authority.tls_certificate)
        spki = certificate.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_hash = b64encode(sha256(spki).digest()).decode()
        """By which a browser is told that this server's key is the right one."""
        self.shown: list[bytes | None] = []

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not self._speaks_first:
                await reader.readuntil(b"\r\n\r\n")
            self.shown.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(WELCOME)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n{WELCOME}".encode())
            await writer.drain()
        except (OSError, EOFError):
            pass  # a browser opens connections that it then does not use
        finally:
            writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """The port, on loopback."""
        async with await asyncio.start_server(self._greet, "127.0.0.1", 0, ssl=self._tls) as server:
            yield server.sockets[0].getsockname()[1]
