"""How long `kiosk ca serve` takes for one whole renewal, `kur` and `certConf`, beside OpenSSL's mock server.

    python -m tests.benchmarks.bench_ca [PAIRS]

Wall time is what a client waits: from the first byte it sends to the last it hears, both messages together, without the
making and checking of messages. It holds the transport, of which two empty exchanges are shown beside it; the
difference is the server's own time. CPU time is what the kernel has counted for the server's process.

The servers take turns, one renewal each, so that whatever else this machine does falls on all of them alike. All
sign with P-256. OpenSSL's checks no ledger, keeps nothing and answers every request with one certificate made before;
ours issues, and makes two durable commits.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from kiosk.ca.authority import Authority, create_authority
from kiosk.ca.enrolment import enter as enter_holder
from kiosk.ca.ledger import Ledger
from kiosk.certificates import read_certificate
from kiosk.clock import system_clock
from kiosk.cmp.envelope import Header, Message, read_message, write_protected
from kiosk.cmp.requests import write_update
from kiosk.cmp.responses import Confirmation, certificate_hash, read_responses, write_confirmation
from kiosk.cmp.signing import Signer, SoftwareKey
from kiosk.cmp.transfer import tls_context
from kiosk.cmp.vocabulary import CONTENT_TYPE, BodyType
from tests.benchmarks import namespace
from tests.ca.bank import subject

_PAIRS = 200
WARM_UP = 20
_OPENSSL_PORT = 8318
"""Any will do in a network of our own."""
_PATIENCE = 20.0


@dataclass
class Course:
    """Renewals at one server; times are milliseconds for a pair of messages on a connection that is there already."""

    name: str
    line: Line
    holders: Sequence[Signer]
    new_key: Callable[[], SoftwareKey]
    has_bare: bool = True
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    bares: list[float] = field(default_factory=list)
    """Wall times of two exchanges in which the server has nothing to do."""

    async def renew(self, number: int) -> None:
        """The one of this number; the first ones are to warm up and do not count."""
        holder, key = self.holders[number], self.new_key()
        self.line.connect_anew()
        before = cpu_of(self.line.pid)
        wall = await _renew(self.line, holder, key)
        cpu = cpu_of(self.line.pid) - before
        bare = self.line.bare() if self.has_bare else 0.0
        if number >= WARM_UP:
            self.walls.append(wall)
            self.cpus.append(cpu)
            self.bares.append(bare)

    @property
    def wall(self) -> float:
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpus)

    def __str__(self) -> str:
        late = statistics.quantiles(self.walls, n=20)[-1]
        told = f"{self.name:18} wall {self.wall:6.2f} ms (95 %: {late:6.2f}, least {min(self.walls):5.2f})"
        if self.has_bare:
            own = [wall - bare for wall, bare in zip(self.walls, self.bares, strict=True)]
            late = statistics.quantiles(own, n=20)[-1]
            told += f", server's own {statistics.median(own):6.2f} (95 %: {late:6.2f}, least {min(own):5.2f})"
        return f"{told}; CPU {self.cpu:5.2f} ms (least {min(self.cpus):5.2f})"


@dataclass
class Line:
    """One connection to a server."""

    url: str
    pid: int
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._connection = self._connect()

    def connect_anew(self) -> None:
        """As OpenSSL's server wants it, for each renewal."""
        self._connection.close()
        self._connection = self._connect()

    def send(self, message: bytes, kind: str = CONTENT_TYPE) -> tuple[bytes, float]:
        """The answer, and the milliseconds until it was here."""
        begin = time.perf_counter()
        path = urlsplit(self.url).path
        self._connection.request("POST", path, body=message, headers={"Content-Type": kind})
        # OpenSSL's server sends an answer in two parts, the second when the first has been acknowledged.
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        answer = self._connection.getresponse().read()
        return answer, (time.perf_counter() - begin) * 1000

    def bare(self) -> float:
        """Two exchanges as long as those of a renewal, refused for their type."""
        return sum(self.send(b"x" * 2000, "text/plain")[1] for _ in range(2))

    def _connect(self) -> http.client.HTTPConnection:
        where = urlsplit(self.url)
        assert where.hostname is not None
        if self.tls is not None:
            line: http.client.HTTPConnection = http.client.HTTPSConnection(
                where.hostname, where.port, timeout=_PATIENCE, context=self.tls
            )
        else:
            line = http.client.HTTPConnection(where.hostname, where.port, timeout=_PATIENCE)
        line.connect()
        line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line


async def _renew(line: Line, holder: Signer, key: SoftwareKey) -> float:
    transaction = secrets.token_bytes(16)
    request = await _write(holder, transaction, None, BodyType.KUR, await write_update(holder.certificate, key))
    content, first = line.send(request)
    answer = _read(content, BodyType.KUP)
    granted = read_responses(answer.body).responses[0].certificate
    assert granted is not None
    confirmation = write_confirmation(Confirmation(cert_hash=certificate_hash(read_certificate(granted))))
    content, second = line.send(
        await _write(holder, transaction, answer.header.sender_nonce, BodyType.CERTCONF, confirmation)
    )
    _read(content, BodyType.PKICONF)
    return first + second


async def _write(holder: Signer, transaction: bytes, nonce: bytes | None, kind: BodyType, body: bytes) -> bytes:
    header = Header(
        sender=None,
        recipient=None,
        message_time=system_clock(),
        transaction_id=transaction,
        sender_nonce=secrets.token_bytes(16),
        recipient_nonce=nonce,
    )
    return await write_protected(header, kind, body, holder)


def _read(answer: bytes, kind: BodyType) -> Message:
    message = read_message(answer)
    if message.body_type != kind:
        raise SystemExit(f"{kind.name} was expected, and this came: {answer!r}")
    return message


def cpu_of(pid: int) -> float:
    """Milliseconds that all threads of a process have run (proc(5), schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def _new_p256() -> SoftwareKey:
    return SoftwareKey(ec.generate_private_key(ec.SECP256R1()))


def _new_rsa() -> SoftwareKey:
    return SoftwareKey(rsa.generate_private_key(65537, 2048))


def _enter_holders(authority: Authority, count: int, new_key: Callable[[], SoftwareKey]) -> list[Signer]:
    now, holders = system_clock(), []
    with Ledger.open(authority.directory) as book:
        for number in range(count):
            key = new_key()
            certificate = enter_holder(
                authority,
                book,
                subject=subject(f"HOLDER{number}"),
                public_key=key.public_key,
                not_before=now - timedelta(days=300),
                not_after=now + timedelta(days=20),
                holder_id=secrets.token_hex(8),
                kind="user",
            )
            holders.append(Signer(key, certificate, (authority.issuing,)))
    return holders


@contextmanager
def _ours(authority: Authority, *options: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-P", "-m", "kiosk.ca", "serve", "--directory", str(authority.directory), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        try:
            yield told["url"], told["pid"]
        finally:
            server.terminate()


@contextmanager
def _openssl(authority: Authority, certificate: Path) -> Iterator[tuple[str, int]]:
    files = authority.directory
    own = [
        "-srv_cert",
        "signer.pem",
        "-srv_key",
        "signer.key",
        "-srv_keypass",
        "file:passphrase",
        "-rsp_extracerts",
        "issuing.pem",
    ]
    theirs = ["-srv_trusted", "root.pem", "-srv_untrusted", "issuing.pem", "-rsp_cert", str(certificate)]
    command = ["openssl", "cmp", "-config", "", "-port", str(_OPENSSL_PORT), *own, *theirs, "-verbosity", "3"]
    with subprocess.Popen(command, cwd=files, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(_OPENSSL_PORT)
            yield f"http://127.0.0.1:{_OPENSSL_PORT}/pkix/", server.pid
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
        else:
            return


async def run(pairs: int, *, beside_openssl: bool) -> None:
    """Measure, and say."""
    count = pairs + WARM_UP
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain, tls = (create_authority(directory / name) for name in ("plain", "tls"))
        old_rsa = _new_rsa()  # for all of them: making RSA keys takes long
        holders, by_rsa = _enter_holders(plain, count, _new_p256), _enter_holders(plain, count, lambda: old_rsa)
        by_tls = _enter_holders(tls, count, _new_p256)
        url, pid = stack.enter_context(_ours(plain, "--http"))
        tls_url, tls_pid = stack.enter_context(_ours(tls))
        ours = Course("kiosk ca", Line(url, pid), holders, _new_p256)
        courses = [
            ours,
            Course("kiosk ca, RSA", Line(url, pid), by_rsa, _new_rsa),
            Course("kiosk ca, TLS", Line(tls_url, tls_pid, tls_context(tls.tls_root)), by_tls, _new_p256),
        ]
        if beside_openssl:
            # The mock server takes a `kur` only for the certificate that it will answer with.
            path = plain.directory / "fixed.pem"
            path.write_bytes(holders[0].certificate.x509.public_bytes(Encoding.PEM))
            line = Line(*stack.enter_context(_openssl(plain, path)))
            courses.append(Course("openssl cmp -port", line, [holders[0]] * count, _new_p256, has_bare=False))
        for number in range(count):
            for course in courses:
                await course.renew(number)
        for course in courses:
            print(course)
    if not beside_openssl:
        print("openssl cmp -port: not measured, for it would listen on every address of this machine")
        return
    theirs = courses[-1]
    for course in courses[:-1]:
        wall, cpu = course.wall / theirs.wall, course.cpu / theirs.cpu
        print(f"{course.name} : openssl cmp -port = {wall:.2f} : 1 wall, {cpu:.2f} : 1 CPU")


if __name__ == "__main__":
    isolated = namespace.enter("tests.benchmarks.bench_ca")
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else _PAIRS
    asyncio.run(run(wanted, beside_openssl=isolated and shutil.which("openssl") is not None))
