"""What was saved on the PC is of use to other programs of the same user: NSS's own TLS client logs in with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.pc.banking_server import WELCOME, BankingServer
from tests.pc.customer import NAME, pc_desk

KINDS = {KeyKind.RSA_2048: RSAPublicKey, KeyKind.EC_P256: EllipticCurvePublicKey}


async def log_in(bank: Bank, port: int, *with_certificate: str) -> str:
    """What NSS's client is told; it does not judge the server's certificate, the server judges its."""
    client = await asyncio.create_subprocess_exec(
        "tstclnt",
        *("-h", "127.0.0.1", "-p", str(port), "-V", "tls1.3:tls1.3", "-o", "-d", f"sql:{bank.database}"),
        *with_certificate,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    talk = asyncio.ensure_future(client.communicate())
    try:
        # Who is sent away while he writes may spin for ever: NSS's client takes the end of its input for more of it.
        await asyncio.wait({talk}, timeout=30)
    finally:
        if client.returncode is None:
            client.kill()
    said, _ = await talk
    return said.decode()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_program_of_the_same_user_logs_in_with_the_new_certificate(tmp_path: Path, kind: KeyKind) -> None:
    async with open_bank(tmp_path / "bank", pc=True) as bank:
        completion = (await bank.with_policy(key_kinds=(kind,)).visit(pc_desk())).completion
        assert completion is not None
        assert isinstance(completion.certificate.public_key, KINDS[kind])
        server = BankingServer(bank, speaks_first=True)
        async with server.serving() as port:
            assert WELCOME not in await log_in(bank, port, "-n", "none")
            assert server.shown == [], "nobody is let in without a certificate"
            assert WELCOME in await log_in(bank, port, "-n", NAME)
            assert WELCOME in await log_in(bank, port), "NSS finds it by the CA that the server names"
        assert server.shown == [completion.certificate.der] * 2
