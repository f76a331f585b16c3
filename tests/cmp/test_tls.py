"""The kiosk's own HTTPS against servers of every kind: whom it trusts, and what it speaks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from kiosk.cmp.errors import TransferError, TransferFailure
from kiosk.cmp.transfer import Limits, exchange, open_http_client
from tests.cmp.pki import name, new_key

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: 3\r\n\r\nyes"
DAY = timedelta(days=1)
HERE: tuple[x509.GeneralName, ...] = (x509.IPAddress(IPv4Address("127.0.0.1")),)


@dataclass
class Presented:
    """What a server shows; the machine's clock is what TLS goes by."""

    names: tuple[x509.GeneralName, ...] = HERE
    begin: datetime = field(default_factory=lambda: datetime.now(UTC) - DAY)
    end: datetime = field(default_factory=lambda: datetime.now(UTC) + DAY)
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH
    self_signed: bool = False
    by_another_root: bool = False

    def write(self, directory: Path) -> ssl.SSLContext:
        """A server's context with this certificate; the root to be trusted is left in `root.pem`."""
        key, root_key = new_key(), new_key()
        root = _certificate("Root", root_key, "Root", root_key, self.begin, datetime.now(UTC) + DAY)
        (directory / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
        if self.by_another_root:
            root_key = new_key()
        issuer, signing_key = ("127.0.0.1", key) if self.self_signed else ("Root", root_key)
        shown = _certificate("127.0.0.1", key, issuer, signing_key, self.begin, self.end, self)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / "server.pem").write_bytes(pem + shown.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "server.pem")
        return context


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signing_key: ec.EllipticCurvePrivateKey,
    begin: datetime,
    end: datetime,
    presented: Presented | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=presented is None, path_length=None), critical=True)
    )
    if presented is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([presented.purpose]), critical=False)
        if presented.names:
            builder = builder.add_extension(x509.SubjectAlternativeName(presented.names), critical=False)
    return builder.sign(signing_key, hashes.SHA256())


@asynccontextmanager
async def serving(context: ssl.SSLContext | None, said: bytes = ANSWER) -> AsyncIterator[str]:
    """A server that answers once; gives its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def ask(url: str, roots: Path | None) -> bytes:
    async with open_http_client(roots) as http:
        return await exchange(http, url, b"request", Limits(total_seconds=20))


async def failure(url: str, roots: Path | None) -> tuple[TransferFailure, bool]:
    with pytest.raises(TransferError) as caught:
        await ask(url, roots)
    return caught.value.kind, caught.value.may_have_arrived


def only(version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    def narrow(context: ssl.SSLContext) -> None:
        if version < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = version, version

    return narrow


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_of_today_is_spoken_to(tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = Presented().write(tmp_path)
    only(version)(context)
    async with serving(context) as url:
        assert await ask(url, tmp_path / "root.pem") == b"yes"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_a_server_of_yesterday_is_not(tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = Presented().write(tmp_path)
    only(version)(context)
    async with serving(context) as url:
        lenient = ssl.create_default_context(cafile=str(tmp_path / "root.pem"))
        lenient.minimum_version = ssl.TLSVersion.TLSv1
        lenient.set_ciphers("ALL:@SECLEVEL=0")
        _, writer = await asyncio.open_connection("127.0.0.1", int(url[:-1].rpartition(":")[2]), ssl=lenient)
        writer.close()
        kind, may_have_arrived = await failure(url, tmp_path / "root.pem")
        assert kind in (TransferFailure.HANDSHAKE, TransferFailure.UNREACHABLE), "by whether it says why it ends"
        assert not may_have_arrived, "though others would speak to it"


@pytest.mark.parametrize(
    "presented",
    [
        Presented(names=(x509.IPAddress(IPv4Address("127.0.0.2")),)),
        Presented(names=(x509.DNSName("localhost"),)),
        Presented(names=(x509.DNSName("127.0.0.1"),)),
        Presented(names=()),
        Presented(purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
        Presented(self_signed=True),
        Presented(by_another_root=True),
    ],
    ids=[
        "another address",
        "a name",
        "the address as a name",
        "the address as common name alone",
        "a client's certificate",
        "self-signed",
        "another root",
    ],
)
async def test_whoever_cannot_prove_to_be_the_server_hears_nothing(tmp_path: Path, presented: Presented) -> None:
    async with serving(presented.write(tmp_path)) as url:
        assert await failure(url, tmp_path / "root.pem") == (TransferFailure.TLS, False)


@pytest.mark.parametrize(
    "presented",
    [
        Presented(end=datetime.now(UTC) - timedelta(seconds=1)),
        Presented(begin=datetime.now(UTC) + timedelta(hours=1)),
    ],
    ids=["expired", "not yet valid"],
)
async def test_a_certificate_out_of_date_is_told_as_that(tmp_path: Path, presented: Presented) -> None:
    async with serving(presented.write(tmp_path)) as url:
        assert await failure(url, tmp_path / "root.pem") == (TransferFailure.OUT_OF_DATE, False)


async def test_without_roots_nobody_is_trusted(tmp_path: Path) -> None:
    async with serving(Presented().write(tmp_path)) as url:
        assert await failure(url, None) == (TransferFailure.TLS, False)


async def test_the_roots_of_this_machine_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Presented().write(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    async with serving(context) as url:
        assert await failure(url, None) == (TransferFailure.TLS, False)


@pytest.mark.parametrize("said", [ANSWER, b"\x15\x03\x03\x00\x02\x02\x28", b"SSH-2.0-x\r\n"])
async def test_a_server_without_tls_hears_nothing(tmp_path: Path, said: bytes) -> None:
    Presented().write(tmp_path)
    async with serving(None, said) as url:
        assert await failure(url, tmp_path / "root.pem") == (TransferFailure.HANDSHAKE, False)


async def test_a_server_that_ends_the_handshake_hears_nothing(tmp_path: Path) -> None:
    Presented().write(tmp_path)
    async with serving(None, b"") as url:
        assert await failure(url, tmp_path / "root.pem") == (TransferFailure.UNREACHABLE, False)
