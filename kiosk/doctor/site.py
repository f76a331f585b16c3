"""What is examined: a kiosk's settings, as far as they can be read, and the machine around it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

import msgspec

from kiosk.clock import Clock, system_clock
from kiosk.doctor.tty import Tty
from kiosk.settings import BranchSettings, CaSettings, Policy, SettingsError, load_settings
from kiosk.texts import catalogue, languages
from kiosk.tokens.pc import PcSettings
from kiosk.tokens.process import ModuleSettings
from kiosk.toml_files import NOT_UNDERSTOOD

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known:
    """What the settings tell; of broken ones the parts that can be read, and else what holds by default."""

    file: Path | None = None
    fault: str = ""
    """What is wrong with them."""
    token: ModuleSettings | None = None
    ca: CaSettings | None = None
    journal: Path | None = None
    branch: BranchSettings = field(default_factory=BranchSettings)
    policy: Policy = field(default_factory=Policy)
    pc: PcSettings = field(default_factory=PcSettings)


def known_from(file: Path | None) -> Known:
    """Read the settings in `file`; whatever is wrong with them is told in the answer, never raised."""
    if file is None:
        return Known()
    try:
        settings = load_settings(file)
    except SettingsError as error:
        return _salvaged(file, str(error))
    return Known(
        file=file,
        token=settings.token,
        ca=settings.ca,
        journal=Path(settings.journal),
        branch=settings.branch,
        policy=settings.policy,
        pc=settings.pc,
    )


def _salvaged(file: Path, fault: str) -> Known:
    try:
        raw = msgspec.toml.decode(file.read_bytes())
    except (OSError, *NOT_UNDERSTOOD):
        return Known(file=file, fault=fault)
    journal = _part(raw, "journal", str)
    return Known(
        file=file,
        fault=fault,
        token=_part(raw, "token", ModuleSettings),
        ca=_part(raw, "ca", CaSettings),
        journal=Path(journal) if journal else None,
        branch=_part(raw, "branch", BranchSettings) or BranchSettings(),
        policy=_part(raw, "policy", Policy) or Policy(),
        pc=_part(raw, "pc", PcSettings) or PcSettings(),
    )


def _part(raw: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(raw[name], kind)
    except (KeyError, msgspec.MsgspecError):
        return None


def free_bytes(folder: Path) -> int:
    """What may still be written there.

    Raises:
        OSError: it cannot be told.
    """
    return shutil.disk_usage(folder).free


def write_something(folder: Path) -> None:
    """Write into a file in `folder`, to the disk, and leave nothing.

    Raises:
        OSError: it cannot be done.
    """
    with TemporaryFile(dir=folder) as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())


def all_catalogues() -> dict[str, dict[str, str]]:
    """Every text, by language and key."""
    return {language: catalogue(language) for language in languages()}


def _own_terminal() -> Tty | None:
    if sys.stdin.isatty() and sys.stdout.isatty():
        return Tty(sys.stdin.fileno(), sys.stdout.fileno())
    return None


@dataclass(slots=True)
class Site:
    """One kiosk on one machine."""

    known: Known
    folder: Path
    """For what a module wants to find on the disk; gone with the examination."""
    clock: Clock = system_clock
    user: int = field(default_factory=os.geteuid)
    """The user ID the kiosk runs as."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    terminal: Tty | None = field(default_factory=_own_terminal)
    software_modules: tuple[Path, ...] = (
        Path("/usr/lib/softhsm/libsofthsm2.so"),
        Path("/usr/lib64/softhsm/libsofthsm2.so"),
        Path("/usr/local/lib/softhsm/libsofthsm2.so"),
    )
    """Where the module of the demo's software token may lie."""
    pcscd: Path = Path("/run/pcscd/pcscd.comm")
    """The socket of PC/SC (pcscd(8))."""
    pc_libraries: tuple[str, ...] | None = None
    """Folders with NSS and p11-kit; None for the usual ones."""
    free: Callable[[Path], int] = free_bytes
    zone: Callable[[str], ZoneInfo] = ZoneInfo
    catalogues: Callable[[], Mapping[str, Mapping[str, str]]] = all_catalogues
    write: Callable[[Path], None] = write_something
    told: dict[object, object] = field(default_factory=dict)
    """What was looked at already, by who looked."""

    async def once(self, look: Callable[[Site], Awaitable[T]]) -> T:
        """What `look` finds, looked at for all checks together."""
        if look not in self.told:
            self.told[look] = await look(self)
        return cast("T", self.told[look])


def site_folder() -> TemporaryDirectory[str]:
    """For `Site.folder`."""
    return TemporaryDirectory(prefix="kiosk-doctor-")
