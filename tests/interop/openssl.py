"""A CA as its own process, set up by the teller's commands, with `openssl cmp` as whoever asks it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kiosk.ca.commands import ca
from kiosk.cmp.signing import PrivateKey

AT_MOST = 30
"""Seconds that one command may take on a busy machine."""
HARD_MAC = ("-mac", "hmacWithSHA256")
"""What OpenSSL has to be told, since its default is HMAC-SHA1."""


@dataclass(frozen=True)
class Outcome:
    """What came of one `openssl cmp`."""

    code: int
    said: str

    @property
    def exchanged(self) -> list[str]:
        """The messages, by their names: `sending IR`, `received IP`."""
        told = (line.partition("CMP info: ")[2] for line in self.said.splitlines())
        return [
            each.split(" from ")[0] for each in told if each.startswith(("sending ", "received ")) and each.isascii()
        ]


@dataclass
class Counter:
    """A CA's directory, and everybody's files beside it."""

    files: Path
    url: str = ""
    status: str = ""
    """Where OCSP and CRL are told."""
    _names: set[str] = field(default_factory=set)

    @property
    def directory(self) -> Path:
        return self.files / "ca"

    def rules(self, text: str) -> None:
        """The policy; for a server that is not yet running."""
        (self.directory / "policy.toml").write_text(text, encoding="utf-8")

    def teller(self, *arguments: str) -> str:
        """`kiosk ca …` with these arguments."""
        done = CliRunner().invoke(ca, [*arguments, "--directory", str(self.directory)])
        assert done.exit_code == 0, done.output
        return done.output

    def code(self, holder: str) -> str:
        """A new one-time code, for a holder who may be new as well."""
        if holder not in self._names:
            self.teller("holder", "add", holder, "--kind", "user")
            self._names.add(holder)
        return self.teller("code", holder).splitlines()[-1]

    def certificates(self) -> dict[str, dict[str, str]]:
        """What the ledger has, by serial number."""
        records = json.loads(self.teller("list", "certificates", "--json"))
        return {each["serial"]: each for each in records}

    def state(self, name: str) -> str:
        """Of the certificate in this file."""
        return self.certificates()[self.serial(name)]["state"]

    def serial(self, name: str) -> str:
        number = self.read(name).serial_number
        return number.to_bytes((number.bit_length() + 7) // 8, "big").hex()

    def read(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.files / f"{name}.pem").read_bytes())

    def key(self, name: str, key: PrivateKey | None = None) -> str:
        """A new key file of this name."""
        made = key or ec.generate_private_key(ec.SECP256R1())
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.files / f"{name}.key").write_bytes(pem)
        return f"{name}.key"

    def openssl(self, *arguments: str) -> Outcome:
        # Relative paths: OpenSSL splits lists of files at spaces.
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.files, capture_output=True, text=True, timeout=AT_MOST, check=False
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    def cmp(self, *arguments: str) -> Outcome:
        return self.openssl(*self.command(arguments))

    def command(self, arguments: Sequence[str]) -> list[str]:
        trusted = ["-trusted", "ca/root.pem", "-untrusted", "ca/issuing.pem"]
        if self.url.startswith("https"):
            trusted += ["-tls_used", "-tls_trusted", "ca/tls-root.pem"]
        return ["cmp", "-config", "", "-server", self.url, *trusted, *arguments]

    def by(self, name: str) -> list[str]:
        """Signed by this certificate."""
        return ["-cert", f"{name}.pem", "-key", f"{name}.key"]

    def enrolled(self, name: str) -> str:
        """A holder of this name, with a certificate got by a code and a key of the same name."""
        code = self.code(name)
        asked = ["-cmd", "ir", *by_code(name, code), "-newkey", self.key(name), "-certout", f"{name}.pem"]
        outcome = self.cmp(*asked)
        assert outcome.code == 0, outcome.said
        return name

    def verifies(self, name: str, *options: str) -> bool:
        """Whether `openssl verify` takes the certificate."""
        chain = ["-CAfile", "ca/root.pem", "-untrusted", "ca/issuing.pem"]
        return self.openssl("verify", "-x509_strict", *chain, *options, f"{name}.pem").code == 0


def by_code(reference: str, code: str, *mac: str) -> list[str]:
    """Protected by a code, and with a MAC that is accepted unless another is named."""
    return ["-ref", reference, "-secret", f"pass:{code}", "-subject", f"/CN={reference}", *(mac or HARD_MAC)]


@contextmanager
def open_counter(files: Path, policy: str = "", *options: str) -> Iterator[Counter]:
    """A new CA under this policy, which is running."""
    counter = Counter(files)
    made = subprocess.run(
        [sys.executable, "-P", "-m", "kiosk", "ca", "init", "--directory", str(counter.directory)],
        capture_output=True,
        text=True,
        timeout=AT_MOST,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    counter.rules(policy)
    with running(counter, *options):
        yield counter


@contextmanager
def running(counter: Counter, *options: str) -> Iterator[None]:
    """`kiosk ca serve` on the directory of a counter."""
    serve = ["ca", "serve", "--directory", str(counter.directory), "--until-stdin-closes", *options]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "kiosk", *serve], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            counter.url, counter.status = told["url"], told["status"]
            yield
        finally:
            process.stdin.close()
            process.wait(timeout=AT_MOST)
