"""What was saved on the PC is what the browser of the same user logs in with, and nobody has to choose."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kiosk.certificates import read_certificate_file
from kiosk.tokens.wire import KeyKind
from tests.bank import Bank, open_bank
from tests.pc.banking_server import WELCOME, BankingServer
from tests.pc.chromium import NO_NAMESPACE, Chromium
from tests.pc.customer import pc_desk

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
