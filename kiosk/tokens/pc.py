"""This PC's certificate database (パソコンに保存する): the NSS database that the browsers of one user share.

It is opened like any token, in a process of its own: p11-kit-proxy loads NSS's softoken and tells it the database
(`x-init-reserved` in pkcs11.conf(5)), because softoken wants to be told when it is initialised. What can be told
without loading it is told before, because softoken takes a database that is missing or busy for an empty one.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from enum import Enum
from pathlib import Path
from shutil import which

import msgspec

from kiosk.credentials import HolderRule
from kiosk.tokens.errors import StoreFault
from kiosk.tokens.process import Limits, ModuleSettings, TokenProcess
from kiosk.tokens.token import Token, find_tokens
from kiosk.tokens.wire import StoreKind

_LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
_PROXY = "p11-kit-proxy.so"
_SOFTOKEN = "libsoftokn3.so"
_CERTUTIL = "certutil"

_LABEL = "NSS Certificate DB"
"""Softoken's slot with the database; the other one, for cryptography alone, keeps nothing."""
_FILES = ("cert9.db", "key4.db")

_BUSY_SECONDS = 1.0
_CREATE_SECONDS = 30.0


class PcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether certificates may be saved on this PC, and where.

    Only for a terminal that is one person's PC: a database without a password is open to whoever uses it next.
    """

    offered: bool = False
    database: str = ""
    """The database's folder; empty for the one that Chromium and others share, ~/.pki/nssdb."""
    create: bool = False
    """Whether a database without a password is made where there is none."""
    user_is_holder: bool = False
    """Whether a database without a password lets its user log in: whoever the computer has let in is the holder."""
    limits: Limits = Limits(make_key_pair=60.0, sign=15.0, write=30.0)

    @property
    def folder(self) -> Path:
        """Where the database lies."""
        return Path(self.database) if self.database else Path.home() / ".pki" / "nssdb"


class PcFault(Enum):
    """Why nothing can be saved on this PC."""

    ROOT = "root"
    """The kiosk runs as root, whose browser is nobody's."""
    SOFTWARE_MISSING = "software-missing"
    """p11-kit, NSS or certutil is not installed."""
    NO_DATABASE = "no-database"
    LOCKED = "locked"
    """The database has a password."""
    IN_USE = "in-use"
    """Another program is writing to it, and does not end."""
    READ_ONLY = "read-only"
    """Its files or their folder cannot be written to."""
    UNUSABLE = "unusable"
    """It is damaged, or the module fails."""


class PcUnusable(Exception):
    """Nothing can be saved on this PC now."""

    def __init__(self, fault: PcFault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault
        self.detail = detail


class PcStore:
    """The certificate database of the user this process runs as."""

    def __init__(
        self, settings: PcSettings, configuration: Path, user: int, libraries: Iterable[str] = _LIBRARY_FOLDERS
    ) -> None:
        """Use the database that `settings` names.

        Args:
            settings: Where it is, and whether it may be made.
            configuration: A folder of the kiosk's own; what p11-kit has to know is written there.
            user: The user ID this process runs as.
            libraries: Folders in which p11-kit and NSS are looked for.
        """
        self._settings = settings
        self._configuration = configuration
        self._user = user
        self._libraries = tuple(libraries)

    @property
    def offers_login(self) -> bool:
        """Whether anybody can be let in at all: root's database is nobody's."""
        return self._user != 0

    async def open(self, rule: HolderRule) -> Token:
        """The database, ready to be saved into, with a process of its own; `rule` tells IDs from subjects.

        Raises:
            PcUnusable: with what stands against it.
        """
        return await self._found(rule, _opened, create=self._settings.create)

    async def find(self, rule: HolderRule) -> Token:
        """The database, not opened yet, for a holder who logs in with what is in it; as `open`, but never made here.

        Raises:
            PcUnusable: with what stands against it.
        """
        return await self._found(rule, _left_closed, create=False)

    async def look_again(self) -> PcFault | None:
        """What can be seen to stand against the database without loading a module: it says little when it fails."""
        try:
            await asyncio.to_thread(self._look_at_files, create=False)
        except PcUnusable as reason:
            return reason.fault
        return None

    def may_let_in(self, database: Token) -> bool:
        """Whether somebody may log in with what is in it: not where anybody could use it, unless policy says so."""
        return database.facts.needs_pin or self._settings.user_is_holder

    async def _found(self, rule: HolderRule, use: Callable[[Token], Awaitable[None]], *, create: bool) -> Token:
        if self._user == 0:
            raise PcUnusable(PcFault.ROOT)
        module = self._module()
        await asyncio.to_thread(self._look_at_files, create=create)
        process = TokenProcess.start(module, StoreKind.PC)
        try:
            facts = next(iter(await find_tokens(process)), None)
            if facts is None:
                raise PcUnusable(PcFault.NO_DATABASE, "not set up")
            token = Token(module, process, facts, rule)
            await use(token)
            return token
        except StoreFault as fault:
            await process.end()
            raise PcUnusable(PcFault.UNUSABLE, str(fault)) from fault
        except BaseException:
            await process.end()
            raise

    def _module(self) -> ModuleSettings:
        """The module as p11-kit is to load it: this one alone, whatever the user or the system have configured."""
        folder = self._configuration / "pkcs11"
        try:
            (folder / "modules").mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / "pkcs11.conf").write_text("user-config: only\n", encoding="utf-8")
            (folder / "modules" / "nss.module").write_text(
                f"module: {self._library(_SOFTOKEN)}\nx-init-reserved: {_parameters(self._folder)}\n", encoding="utf-8"
            )
        except OSError as error:
            raise PcUnusable(PcFault.UNUSABLE, f"p11-kit's configuration: {error.strerror}") from error
        return ModuleSettings(
            module=str(self._library(_PROXY)),
            environment={"XDG_CONFIG_HOME": str(self._configuration)},
            limits=self._settings.limits,
            token_label=_LABEL,
        )

    @property
    def _folder(self) -> Path:
        folder = self._settings.folder.absolute()
        if not str(folder).isprintable():
            raise PcUnusable(PcFault.UNUSABLE, "the database's path cannot be written down")
        return folder

    def _library(self, name: str) -> Path:
        found = next((path for folder in self._libraries if (path := Path(folder) / name).exists()), None)
        if found is None:
            raise PcUnusable(PcFault.SOFTWARE_MISSING, name)
        return found

    def _look_at_files(self, *, create: bool) -> None:
        missing = [name for name in _FILES if not (self._folder / name).is_file()]
        if missing and create:
            _create(self._folder)
        elif missing:
            raise PcUnusable(PcFault.NO_DATABASE, ", ".join(missing))
        for name in _FILES:
            _look_whether_free(self._folder / name)


async def _left_closed(_: Token) -> None:
    """It is opened by whoever logs in."""


async def _opened(token: Token) -> None:
    if token.facts.needs_pin:
        raise PcUnusable(PcFault.LOCKED)
    await token.open_without_pin()


def _parameters(folder: Path) -> str:
    """What softoken is told when it is initialised, in NSS's own notation."""
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return f"configdir='sql:{quoted}' certPrefix='' keyPrefix='' secmod='secmod.db' flags="


def _create(folder: Path) -> None:
    """Make a database without a password, as `certutil` does."""
    certutil = which(_CERTUTIL)
    if certutil is None:
        raise PcUnusable(PcFault.SOFTWARE_MISSING, _CERTUTIL)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = subprocess.run(  # noqa: S603 - a fixed command
            [certutil, "-N", "-d", f"sql:{folder}", "--empty-password"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CREATE_SECONDS,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PcUnusable(PcFault.NO_DATABASE, type(error).__name__) from error
    if made.returncode:
        raise PcUnusable(PcFault.NO_DATABASE, f"certutil: {made.returncode}")


def _look_whether_free(file: Path) -> None:
    """Take the file's write lock and give it back at once; softoken would wait half a minute, and then not say why."""
    if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        raise PcUnusable(PcFault.READ_ONLY, file.name)  # SQLite writes a journal beside the file
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)) as database:
            database.isolation_level = None
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        busy = error.sqlite_errorname in ("SQLITE_BUSY", "SQLITE_LOCKED")
        raise PcUnusable(
            PcFault.IN_USE if busy else PcFault.UNUSABLE, f"{file.name}: {type(error).__name__}"
        ) from error
