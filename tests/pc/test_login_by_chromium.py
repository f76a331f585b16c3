"""What was saved on the PC is what the browser of the same user logs in with, and nobody has to choose."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kiosk.certificates import read_certificate_file
from kiosk.desk import Errand
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.pc.banking_server import WELCOME, BankingServer
from tests.pc.chromium import NO_NAMESPACE, Chromium
from tests.pc.customer import open_pc_bank, pc_desk
from tests.screens.stage import until

KINDS = {KeyKind.RSA_2048: RSAPublicKey, KeyKind.EC_P256: EllipticCurvePublicKey}


def issuer_names(bank: Bank) -> list[str]:
    return [each.common_name for each in read_certificate_file(bank.directory / "chain.pem")]


@pytest.mark.parametrize("kind", KINDS)
async def test_chromium_logs_in_with_the_certificate_just_saved(tmp_path: Path, kind: KeyKind) -> None:
    async with open_bank(tmp_path / "bank", pc=True) as bank:
        home = bank.directory / "home"
        assert bank.database == home / ".pki" / "nssdb", "where Chromium looks for certificates"
        chromium = Chromium(home, tmp_path)
        if not chromium.can_be_managed:
            pytest.skip(NO_NAMESPACE)
        choices = [
            f'{{"pattern": "https://127.0.0.1", "filter": {{"ISSUER": {{"CN": "{name}"}}}}}}'
            for name in issuer_names(bank)
        ]
        chromium.manage(AutoSelectCertificateForUrls=choices)
        server = BankingServer(bank)
        async with server.serving() as port:
            address = f"https://127.0.0.1:{port}/"
            assert WELCOME not in await chromium.show(address, server.key_hash)
            assert server.shown == [], "nobody is let in without a certificate"
            completion = (await bank.with_policy(key_kinds=(kind,)).visit(pc_desk())).completion
            assert completion is not None
            assert isinstance(completion.certificate.public_key, KINDS[kind])
            assert WELCOME in await chromium.show(address, server.key_hash)
        assert set(server.shown) == {completion.certificate.der}


async def test_a_chromium_that_is_running_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """It has the database open, and goes on showing the old certificate: so the last screen says to end it once."""
    async with open_pc_bank(tmp_path / "bank") as bank:
        chromium, server = Chromium(bank.directory / "home", tmp_path), BankingServer(bank)
        if not chromium.can_be_managed:
            pytest.skip(NO_NAMESPACE)
        chromium.manage()  # no policy chooses for the user, so it asks and stays
        async with server.serving() as port:
            browsing = asyncio.create_task(chromium.show(f"https://127.0.0.1:{port}/", server.key_hash))
            await until(lambda: is_open(bank.database / "key4.db"))
            outcome = await bank.visit(pc_desk(), errand=Errand.PC_LOGIN)
            assert not browsing.done(), "it is still asking which certificate to use"
            browsing.cancel()
            with suppress(asyncio.CancelledError):
                await browsing
        assert outcome.completion is not None
        assert (await bank.pc_credential()).certificate == outcome.completion.certificate


def is_open(file: Path) -> bool:
    """Whether another process of this user has `file` open."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if descriptor.readlink() == file:
                return True
    return False
