"""The CA's TLS: 1.2 and 1.3, and nothing older (RFC 9325)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator

import pytest

from kiosk.ca.server import tls_context
from kiosk.ca.web import create_app
from kiosk.cmp.envelope import read_message
from kiosk.cmp.general import write_general
from kiosk.cmp.infos import Info
from kiosk.cmp.vocabulary import CA_CERTIFICATES, BodyType
from tests.ca.bank import Bank
from tests.ca.live import Live, Peer, live, post


@pytest.fixture
def server(bank: Bank) -> Iterator[Live]:
    with live(create_app(bank.responder), tls_context(bank.authority)) as running:
        yield running


def speak(bank: Bank, port: int, version: ssl.TLSVersion, ciphers: str) -> ssl.SSLSocket:
    """Shake hands in this version, with whatever ciphers this machine's OpenSSL has."""
    context = ssl.create_default_context(cafile=str(bank.authority.tls_root))
    context.set_ciphers(ciphers)
    context.minimum_version, context.maximum_version = version, version
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    try:
        return context.wrap_socket(connection, server_hostname="127.0.0.1")
    except BaseException:
        connection.close()
        raise


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_messages_are_answered_over_tls(bank: Bank, server: Live, version: ssl.TLSVersion) -> None:
    asked = asyncio.run(bank.write(bank.holder(), BodyType.GENM, write_general([Info(CA_CERTIFICATES)])))
    with speak(bank, server.port, version, "ALL") as connection, Peer(connection) as peer:
        assert connection.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        for _ in range(2):
            peer.say(post(asked))
            answer = peer.hear()
            assert answer is not None
            assert read_message(answer.body).body_type == BodyType.GENP


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    ],
    ids=["1.0", "1.1", "1.2 with CBC"],
)
def test_what_is_older_is_refused(bank: Bank, server: Live, version: ssl.TLSVersion, ciphers: str) -> None:
    lenient = tls_context(bank.authority)
    lenient.minimum_version = ssl.TLSVersion.TLSv1
    lenient.set_ciphers("ALL:@SECLEVEL=0")
    with live(create_app(bank.responder), lenient) as other:
        speak(bank, other.port, version, ciphers).close()
    # asyncio ends a handshake that fails without the alert.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        speak(bank, server.port, version, ciphers)


def test_plain_http_at_the_tls_port_is_no_http(server: Live) -> None:
    assert server.say(post(b"x")) is None
