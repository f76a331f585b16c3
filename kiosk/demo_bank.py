"""`kiosk demo`: a bank of its own in one directory, with a CA, a customer and a token, and the kiosk beside it.

Nothing in it is pretended: the keys are made in a real PKCS#11 token, the CA is a process on a socket, and whatever
is renewed here, other programs can check.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

import msgspec
import platformdirs
from cryptography import x509
from cryptography.x509.oid import NameOID

from kiosk.ca import office
from kiosk.ca.authority import create_authority
from kiosk.ca.enrolment import enrol
from kiosk.ca.ledger import LedgerInUse, discard_outdated
from kiosk.ca.passphrase import PASSPHRASE_FILE
from kiosk.ca.paths import CRL_PATH, OCSP_PATH, WELL_KNOWN
from kiosk.clock import JAPAN, one_year_before, system_clock
from kiosk.credentials import HolderKind, HolderRule
from kiosk.pin import Pin
from kiosk.settings import DEMO_PIN, BranchSettings, CaSettings, Settings, save_settings
from kiosk.tokens.errors import TokenError, TokenHangs, TokenProcessDied
from kiosk.tokens.pc import PcSettings
from kiosk.tokens.process import ModuleSettings, TokenProcess
from kiosk.tokens.token import Token, find_blank_tokens, find_tokens, initialise
from kiosk.tokens.wire import KeyKind

TOKEN_LABEL = "SHINKIN-USB"  # noqa: S105 - a label, not a secret
COMMON_NAME = "TKYM1408054 1403"

_SO_PIN = "12345678"

_SOFTHSM_MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
)

_LOCK = "kiosk-demo.lock"
_CA_END_SECONDS = 10.0
_RETRY_SECONDS = 10.0
"""The demo's CA is a process of this machine: what keeps it from answering does not pass by itself."""
_MOST_DEMOS = 20


RunCa = Callable[[Path, Path], AbstractContextManager[str]]
"""Runs the CA of a directory, its complaints in a log, and gives its address."""


class DemoError(Exception):
    """The demo cannot be set up; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DemoBank:
    """A demo directory that is ready: settings for the kiosk, and the address of the running CA."""

    directory: Path
    settings: Settings

    @property
    def settings_file(self) -> Path:
        """Where the settings lie, for the kiosk's own process."""
        return self.directory / "kiosk.toml"


@dataclass(frozen=True, slots=True)
class Customer:
    """What the demo's customer brings along."""

    days_left: int = 20
    """Until the certificate's last second; 0 is today, negative numbers are expired."""
    key_kind: KeyKind = KeyKind.RSA_2048
    common_name: str = COMMON_NAME
    """The ID, and a number."""
    kind: HolderKind = HolderKind.USER

    @property
    def holder_id(self) -> str:
        """The ID."""
        return self.common_name.partition(" ")[0]

    @property
    def subject(self) -> x509.Name:
        """The subject of the manual's completion screen, with this common name."""
        unit = "ADMIN/PE - 2" if self.kind is HolderKind.ADMINISTRATOR else "USER/PE - 2"
        lines = (
            (NameOID.COUNTRY_NAME, "JP"),
            (NameOID.ORGANIZATION_NAME, "The Shinkin Banks Information System Center Co.,Ltd"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "Shinkin Internet Banking Intermediate CA"),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "CERT/SUEDNUM - 3"),
            (NameOID.COMMON_NAME, self.common_name),
        )
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in lines])

    def validity(self, now: datetime) -> tuple[datetime, datetime]:
        """First and last second: a year that ends in the last second, in Japan, of the wanted day."""
        last_day = now.astimezone(JAPAN).date() + timedelta(days=self.days_left)
        last_second = datetime.combine(last_day, time(23, 59, 59), JAPAN)
        return one_year_before(last_second), last_second


def manual_subject() -> x509.Name:
    """The subject of the manual's completion screen."""
    return Customer().subject


def default_directory() -> Path:
    """Where a demo lives unless told otherwise: under the XDG state folder."""
    return platformdirs.user_state_path("renewal-kiosk") / "demo"


@contextmanager
def claimed(wanted: Path) -> Iterator[Path]:
    """Have `wanted` to oneself, or the next directory that nobody uses (`demo-2`, `demo-3`, …).

    Raises:
        DemoError: none can be had.
    """
    for number in range(1, _MOST_DEMOS + 1):
        directory = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _refuse_what_is_no_demo(directory)
            lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DemoError(f"the demo directory {directory} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"kiosk demo: {directory} is in use by another demo; taking the next one\n")
            os.close(lock)
            continue
        try:
            yield directory
        finally:
            os.close(lock)
        return
    raise DemoError(f"{_MOST_DEMOS} demos are running already")


def _refuse_what_is_no_demo(directory: Path) -> None:
    """A demo makes its token anew at every start, and must not do so among somebody's files."""
    if not (directory / _LOCK).exists() and any(directory.iterdir()):
        raise DemoError(f"{directory} is not empty and no demo has made it; please name another directory")
    if "#" in str(directory):
        raise DemoError(f"SoftHSM cannot work in a path with #: {directory}")


async def prepare(directory: Path, customers: Sequence[Customer], *, keep: bool) -> None:
    """Make what `directory` lacks: a CA (once), and a fresh token with the credentials of `customers` unless `keep`.

    Raises:
        DemoError: something is missing on this machine.
    """
    create_authority(directory / "ca")
    shutil.copyfile(directory / "ca" / "chain.pem", directory / "chain.pem")
    module = softhsm(directory)
    if keep and _whole_mark(directory).exists():
        return
    _whole_mark(directory).unlink(missing_ok=True)
    await make_software_token(directory, module)
    shutil.rmtree(_pc_home(directory), ignore_errors=True)
    try:
        discard_outdated(directory / "ca")
        await issue_onto_token(directory / "ca", module, customers, Pin(bytearray(DEMO_PIN, "ascii")))
    except LedgerInUse as error:
        raise DemoError(f"the CA of an earlier demo in {directory} is still ending; please try again") from error
    _whole_mark(directory).touch()


@contextmanager
def opened(directory: Path, language: str, run_ca: RunCa | None = None, code: str = "") -> Iterator[DemoBank]:
    """Run the CA of a prepared `directory`, and write the settings of a kiosk in front of it.

    `run_ca` is `running_ca` unless a test has a quicker one; `code` is the one-time code that the standby screen tells.

    Raises:
        DemoError: the CA does not start.
    """
    ca_directory = directory / "ca"
    with (run_ca or running_ca)(ca_directory, directory / "ca.log") as url:
        settings = Settings(
            token=softhsm(directory),
            ca=CaSettings(
                url=url,
                roots=str(directory / "chain.pem"),
                tls_roots=str(ca_directory / "tls-root.pem"),
                retry_seconds=_RETRY_SECONDS,
                ocsp_url=url.removesuffix(WELL_KNOWN) + OCSP_PATH,
                crl_url=url.removesuffix(WELL_KNOWN) + CRL_PATH,
            ),
            journal=str(directory / "journal.sqlite"),
            branch=BranchSettings(branch="本店", language=language, demo=True, demo_code=code),
            pc=PcSettings(offered=True, database=str(_pc_database(directory)), create=True, user_is_holder=True),
        )
        bank = DemoBank(directory, settings)
        save_settings(settings, bank.settings_file)
        yield bank


def code_for(directory: Path, customer: Customer) -> str:
    """A one-time code for `customer` of a prepared `directory`, as a teller would hand it out; in groups."""
    with office.opened(directory / "ca") as counter:
        code, _ = office.make_code(counter, customer.holder_id)
    return code.grouped


def softhsm(directory: Path) -> ModuleSettings:
    """The software token's module, with its tokens in `directory`; its settings file is written there.

    Raises:
        DemoError: SoftHSM is not installed.
    """
    module = next((path for path in _SOFTHSM_MODULES if path.exists()), None)
    if module is None:
        raise DemoError("SoftHSM is not installed; on Debian: apt-get install softhsm2")
    configuration = directory / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {_token_directory(directory)}\nobjectstore.backend = file\nlog.level = ERROR\n",
        encoding="utf-8",
    )
    return ModuleSettings(module=str(module), environment={"SOFTHSM2_CONF": str(configuration)})


async def issue_onto_token(
    ca_directory: Path, module: ModuleSettings, customers: Sequence[Customer], pin: Pin, label: str = TOKEN_LABEL
) -> None:
    """Make a key pair for each customer in the token `label` that `module` shows, and have the CA certify it."""
    process = TokenProcess.start(module)
    facts = next(each for each in await find_tokens(process) if each.label == label)
    async with Token(module, process, facts, HolderRule()) as token:
        await token.log_in(pin)
        for number, customer in enumerate(customers, start=1):
            await _issue(ca_directory, token, customer, bytes([number]))


async def _issue(ca_directory: Path, token: Token, customer: Customer, key_id: bytes) -> None:
    key = await token.make_key_pair(customer.key_kind, key_id, customer.common_name)
    not_before, not_after = customer.validity(system_clock())
    certificate = enrol(
        ca_directory,
        subject=customer.subject,
        public_key=key.public_key,
        not_before=not_before,
        not_after=not_after,
        holder_id=customer.holder_id,
        kind=customer.kind.value,
    )
    await token.write_certificate(certificate, key_id, customer.common_name)


async def make_software_token(directory: Path, module: ModuleSettings) -> None:
    """A fresh, empty software token; whatever tokens lay in `directory` are gone.

    Raises:
        DemoError: SoftHSM would not make one.
    """
    shutil.rmtree(_token_directory(directory), ignore_errors=True)
    _token_directory(directory).mkdir(mode=0o700)
    await add_software_token(module, TOKEN_LABEL)


async def add_software_token(module: ModuleSettings, label: str) -> None:
    """One more empty software token, beside those that are there.

    In a token process, since softhsm2-util takes both PINs as arguments, which every user of the machine can read.

    Raises:
        DemoError: SoftHSM would not make one.
    """
    process = TokenProcess.start(module)
    try:
        blank = await find_blank_tokens(process)
        if not blank:  # SoftHSM always has one more
            raise DemoError("no blank token is shown")
        await initialise(process, blank[0], label, *(Pin(bytearray(each, "ascii")) for each in (_SO_PIN, DEMO_PIN)))
    except (TokenError, TokenHangs, TokenProcessDied) as error:
        raise DemoError(f"SoftHSM could not make a token: {error}") from error
    finally:
        await process.end()


def _whole_mark(directory: Path) -> Path:
    """Made last, so that a token that was cut while it was made is not kept."""
    return directory / "token.ready"


def _pc_home(directory: Path) -> Path:
    """The home of the demo's PC: a browser started with this HOME finds the database."""
    return directory / "home"


def _pc_database(directory: Path) -> Path:
    return _pc_home(directory) / ".pki" / "nssdb"


def _token_directory(directory: Path) -> Path:
    return directory / "tokens"


@contextmanager
def running_ca(directory: Path, log: Path) -> Iterator[str]:
    """Run `kiosk ca serve` on the CA in `directory`, and give its address. It ends with the block, or with us.

    Raises:
        DemoError: it does not start.
    """
    # Its own, whatever the environment says of a CA that somebody runs in earnest.
    own = ["--directory", str(directory), "--passphrase-file", str(directory / PASSPHRASE_FILE)]
    serve = ["ca", "serve", *own, "--until-stdin-closes"]
    with log.open("wb") as complaints:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "kiosk", *serve],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
    with process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise DemoError(f"the CA did not start: {log.read_text(errors='replace').strip()}")
            yield msgspec.json.decode(line, type=_Serving).url
        finally:
            _end(process)


class _Serving(msgspec.Struct):
    """The line with which `kiosk ca serve` says that it serves."""

    url: str


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(_CA_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
