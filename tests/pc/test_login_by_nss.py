"""What was saved on the PC is of use to other programs of the same user: NSS's own TLS client logs in with it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kiosk.ca.authority import load_authority
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.pc.customer import NAME, pc_desk

KINDS = {KeyKind.RSA_2048: RSAPublicKey, KeyKind.EC_P256: EllipticCurvePublicKey}


class BankingServer:
    """A TLS 1.3 server that lets in nobody without a certificate of the CA, and keeps what it was shown."""

    def __init__(self, bank: Bank) -> None:
        authority = load_authority(bank.directory / "ca")
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self._tls.load_cert_chain(authority.tls_certificate, authority.tls_key)
        self._tls.load_verify_locations(bank.directory / "chain.pem")
        self._tls.verify_mode = ssl.CERT_REQUIRED
        self.shown: list[bytes | None] = []

    async def _greet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.shown.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.write(b"welcome\n")
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """The port, on loopback."""
        async with await asyncio.start_server(self._greet, "127.0.0.1", 0, ssl=self._tls) as server:
            yield server.sockets[0].getsockname()[1]


async def log_in(bank: Bank, port: int, *with_certificate: str) -> bytes:
    """What NSS's client is told; it does not judge the server's certificate, the server judges its."""
    client = await asyncio.create_subprocess_exec(
        "tstclnt",
        *("-h", "127.0.0.1", "-p", str(port), "-V", "tls1.3:tls1.3", "-o", "-d", f"sql:{bank.database}"),
        *with_certificate,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(client.communicate(), 30)
    return said


@pytest.mark.parametrize("kind", KINDS)
async def test_a_program_of_the_same_user_logs_in_with_the_new_certificate(tmp_path: Path, kind: KeyKind) -> None:
    async with open_bank(tmp_path / "bank", pc=True) as bank:
        completion = (await bank.with_policy(key_kinds=(kind,)).visit(pc_desk())).completion
        assert completion is not None
        assert isinstance(completion.certificate.public_key, KINDS[kind])
        server = BankingServer(bank)
        async with server.serving() as port:
            assert b"welcome" not in await log_in(bank, port, "-n", "none")
            assert server.shown == [], "nobody is let in without a certificate"
            assert b"welcome" in await log_in(bank, port, "-n", NAME)
            assert b"welcome" in await log_in(bank, port), "NSS finds it by the CA that the server names"
        assert server.shown == [completion.certificate.der] * 2
