"""`openssl cmp -port` as a server, and our client before it, alone in a network of their own.

OpenSSL's server listens on every interface, so `python -m tests.interop.mock_server DIRECTORY` is to be run in a fresh
network namespace, where it brings up the loopback. It goes through every scenario and prints what came of each, as
JSON, by name.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kiosk.ca.authority import Authority, create_authority
from kiosk.certificates import Certificate
from kiosk.clock import one_year_after, system_clock
from kiosk.cmp.algorithms import Family
from kiosk.cmp.answers import Trust
from kiosk.cmp.client import CmpClient
from kiosk.cmp.errors import AnswerWaits, CmpError, Refused, UntrustedAnswer
from kiosk.cmp.issued import Issued, WrongCertificate
from kiosk.cmp.mac import SharedSecret
from kiosk.cmp.peer import KIOSK, Confirming, Peer, Polling, SignerRule
from kiosk.cmp.signing import PrivateKey, Signer, SoftwareKey
from tests.ca.bank import subject

PORT = 8080
REFERENCE, SECRET = "TKYM1408054", "12345678901234560"
CODE = SharedSecret(reference=REFERENCE.encode(), secret=SECRET.encode())
BY_CODE = ("-srv_ref", REFERENCE, "-srv_secret", f"pass:{SECRET}")
SIGNED = ("-srv_cert", "signer.pem", "-srv_key", "signer.key", "-srv_keypass", "file:ca/passphrase")
ISSUING = ("-rsp_cert", "new.pem", "-rsp_extracerts", "issuing.pem")

_LISTENING_SECONDS = 10.0
_LISTEN = "0A"
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


@dataclass
class Bank:
    """A CA's keys, a holder, and the one certificate that the server has to give."""

    directory: Path
    authority: Authority = field(init=False)
    holder: Signer = field(init=False)
    new_key: SoftwareKey = field(init=False)
    new: Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.authority = create_authority(self.directory / "ca")
        now = system_clock()
        old_key, new_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        old = self._issue(old_key, now - timedelta(days=300), now + timedelta(days=20))
        self.holder = Signer(SoftwareKey(old_key), old, (self.authority.issuing,))
        self.new_key = SoftwareKey(new_key)
        self.new = self._issue(new_key, now - timedelta(minutes=1), one_year_after(now))
        self._write("new", self.new)
        self._write("customer", old, old_key)
        self._write("root", self.authority.root)
        self._write("issuing", self.authority.issuing)
        for suffix in ("pem", "key"):
            file = self.directory / "ca" / f"signer.{suffix}"
            (self.directory / f"signer.{suffix}").write_bytes(file.read_bytes())

    def _issue(self, key: PrivateKey, begin: datetime, end: datetime) -> Certificate:
        """Each with the same serial number: OpenSSL's server takes what it gives out for what is to be replaced."""
        authority = replace(self.authority, random=bytes([7]).__mul__)
        return authority.issue(subject(), key.public_key(), begin, end)

    def _write(self, name: str, certificate: Certificate, key: PrivateKey | None = None) -> None:
        (self.directory / f"{name}.pem").write_bytes(certificate.x509.public_bytes(Encoding.PEM))
        if key:
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (self.directory / f"{name}.key").write_bytes(pem)

    @contextmanager
    def serving(self, *options: str) -> Iterator[None]:
        """The mock server with these options; it is listening when this is entered."""
        common = ["-config", "", "-port", str(PORT), "-srv_trusted", "root.pem", "-srv_untrusted", "issuing.pem"]
        with (self.directory / "server.log").open("ab") as log:
            process = subprocess.Popen(
                ["openssl", "cmp", *common, *options], cwd=self.directory, stdout=log, stderr=log
            )
            try:
                _wait_for_it(process)
                yield
            finally:
                process.kill()
                process.wait()

    @asynccontextmanager
    async def client(self, peer: Peer = KIOSK, **trust: object) -> AsyncIterator[CmpClient]:
        known = Trust((self.authority.root,), (self.authority.issuing,), **trust)  # type: ignore[arg-type]
        # Within one kept connection this server forgets its transaction (OpenSSL 3.0.19).
        async with httpx.AsyncClient(trust_env=False, headers={"Connection": "close"}) as http:
            yield CmpClient(http, f"http://127.0.0.1:{PORT}/", known, peer=peer, sleep=no_time)


def _wait_for_it(process: subprocess.Popen[bytes]) -> None:
    """Until it listens; a look every few milliseconds, for it says nothing itself."""
    ends = time.monotonic() + _LISTENING_SECONDS
    while not _listens():
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError("openssl cmp does not serve")
        time.sleep(0.005)


def _listens() -> bool:
    """Whether a socket listens at the port (proc(5)); connections of an earlier server may linger there."""
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()]
    return any(line[1].endswith(f":{PORT:04X}") and line[3] == _LISTEN for line in lines)


def bring_up_loopback() -> None:
    """Needs CAP_NET_ADMIN in the network namespace this is run in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _IFF_UP))


async def no_time(_: float) -> None:
    """A sleep that nobody notices: this server does not look at the time."""


Act = Callable[[CmpClient, Bank], Awaitable[str]]


async def kept(client: CmpClient, bank: Bank, asked: Awaitable[Issued]) -> str:
    issued = await asked
    assert issued.certificate == bank.new
    await client.confirm(issued)
    return "confirmed" if client.peer.waits_for(issued) else "implicitly confirmed"


def subject_of(bank: Bank) -> bytes:
    return bank.holder.certificate.subject_der


async def enrol(client: CmpClient, bank: Bank) -> str:
    return await kept(client, bank, client.enrol(bank.holder, bank.new_key, subject_of(bank)))


async def enrol_by_code(client: CmpClient, bank: Bank) -> str:
    return await kept(client, bank, client.enrol(CODE, bank.new_key))


async def certify(client: CmpClient, bank: Bank) -> str:
    return await kept(client, bank, client.certify(bank.holder, bank.new_key, subject_of(bank)))


async def certify_pkcs10(client: CmpClient, bank: Bank) -> str:
    return await kept(client, bank, client.certify_pkcs10(bank.holder, bank.new_key, subject_of(bank)))


async def update(client: CmpClient, bank: Bank) -> str:
    return await kept(client, bank, client.update(bank.holder, bank.new_key))


async def update_and_reject(client: CmpClient, bank: Bank) -> str:
    try:
        await client.update(bank.holder, bank.new_key)
    except WrongCertificate as wrong:
        await client.reject(wrong.issued, wrong.reason.value)
        return f"rejected: {wrong.reason.value}"
    return "taken"


async def revoke(client: CmpClient, bank: Bank) -> str:
    await client.revoke(bank.holder, bank.new, 1)
    return "revoked"


async def general(client: CmpClient, bank: Bank) -> str:
    told = await client.general(bank.holder)
    assert told.signer == bank.authority.signer.certificate
    return "told"


IMPLICIT = replace(KIOSK, confirming=Confirming.IMPLICIT)
SHORT_OF_TIME = replace(KIOSK, polling=Polling(total=0.0))


@dataclass(frozen=True)
class Scenario:
    """What the server is told, what our client does, and what comes of it."""

    options: tuple[str, ...]
    act: Act
    outcome: str
    peer: Peer = KIOSK
    trust: dict[str, object] = field(default_factory=dict)


GIVES = (*SIGNED, *ISSUING)
NO = ("-pkistatus", "2", "-failure", "24", "-statusstring", "closed")
SCENARIOS: dict[str, Scenario] = {
    "ir by certificate": Scenario(GIVES, enrol, "confirmed"),
    "cr": Scenario(GIVES, certify, "confirmed"),
    "p10cr": Scenario(GIVES, certify_pkcs10, "confirmed"),
    "kur": Scenario(GIVES, update, "confirmed"),
    "kur, of nothing": Scenario(
        GIVES, update, "refused, proven: badRequest", replace(KIOSK, old_certificate_in_update=False)
    ),
    "rr": Scenario(GIVES, revoke, "revoked"),
    "genm": Scenario(GIVES, general, "told"),
    # OpenSSL 3.0's server knows no other MAC than HMAC-SHA1, so a code works only where a signature answers it.
    "ir by code": Scenario((*GIVES, "-accept_unprotected"), enrol_by_code, "confirmed"),
    "ir by code, answered by HMAC-SHA1": Scenario((*BY_CODE, *ISSUING), enrol_by_code, "distrusted: algorithm"),
    "ir by code, roots come along": Scenario(
        (*GIVES, "-accept_unprotected", "-rsp_capubs", "root.pem"), enrol_by_code, "confirmed"
    ),
    "ir by certificate, roots come along": Scenario((*GIVES, "-rsp_capubs", "root.pem"), enrol, "distrusted: ca-pubs"),
    "polling": Scenario((*GIVES, "-poll_count", "3", "-check_after", "5"), update, "confirmed"),
    "polling, ir by code": Scenario((*GIVES, "-accept_unprotected", "-poll_count", "1"), enrol_by_code, "confirmed"),
    "polling for too long": Scenario(
        (*GIVES, "-poll_count", "3", "-check_after", "5"), update, "waits: 5", SHORT_OF_TIME
    ),
    "polling, where we do not": Scenario(
        (*GIVES, "-poll_count", "3"), update, "waits: None", replace(KIOSK, polls=False)
    ),
    "implicit": Scenario((*GIVES, "-grant_implicitconf"), update, "implicitly confirmed", IMPLICIT),
    "implicit, not granted": Scenario(GIVES, update, "confirmed", IMPLICIT),
    "implicit, not asked for": Scenario((*GIVES, "-grant_implicitconf"), update, "confirmed"),
    "implicit, after polling": Scenario(
        (*GIVES, "-grant_implicitconf", "-poll_count", "2"), update, "implicitly confirmed", IMPLICIT
    ),
    "kup says no": Scenario((*GIVES, *NO), update, "refused, proven, decided: systemUnavail"),
    "rp says no": Scenario((*GIVES, *NO), revoke, "refused, proven, decided: systemUnavail"),
    "an error": Scenario((*GIVES, "-send_error"), update, "refused, proven: badRequest"),
    "an error to genm": Scenario((*GIVES, "-send_error"), general, "refused, proven: badRequest"),
    "an unprotected error": Scenario((*GIVES, "-send_error", "-send_unprot_err"), update, "refused: badRequest"),
    "an unprotected no": Scenario((*GIVES, *NO, "-send_unprot_err"), update, "distrusted: unprotected"),
    "unprotected": Scenario((*GIVES, "-send_unprotected"), update, "distrusted: unprotected"),
    "another customer answers": Scenario(
        ("-srv_cert", "customer.pem", "-srv_key", "customer.key", *ISSUING), update, "distrusted: signer-purpose"
    ),
    "nobody is pinned": Scenario(GIVES, update, "distrusted: signer-purpose", trust={"signer_rule": SignerRule.PINNED}),
    "an algorithm we do not want": Scenario(
        GIVES, update, "distrusted: algorithm", replace(KIOSK, protections=frozenset({Family.RSA_PSS}))
    ),
    "another key's certificate": Scenario(
        (*SIGNED, "-rsp_cert", "customer.pem"), update_and_reject, "rejected: certificate-key"
    ),
}


async def outcome_of(scenario: Scenario, bank: Bank) -> str:
    with bank.serving(*scenario.options):
        async with bank.client(scenario.peer, **scenario.trust) as client:
            try:
                return await scenario.act(client, bank)
            except AnswerWaits as waits:
                return f"waits: {waits.check_after}"
            except Refused as refused:
                words = ["refused", *(["proven"] if refused.proven else []), *(["decided"] if refused.decided else [])]
                return f"{', '.join(words)}: {', '.join(sorted(refused.fail_info))}"
            except UntrustedAnswer as error:
                return f"distrusted: {error.reason.value}"
            except CmpError as error:
                return repr(error)


def main() -> None:
    """Every scenario, one after the other."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        raise SystemExit("to be run in a network namespace of its own")
    bring_up_loopback()
    bank = Bank(Path(sys.argv[1]))
    found = {name: asyncio.run(outcome_of(scenario, bank)) for name, scenario in SCENARIOS.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
