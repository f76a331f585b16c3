"""One TOML file: the kiosk, the branch, the CA and the bank's policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from kiosk.credentials import ADMINISTRATOR_PATTERN, HOLDER_ID_PATTERN, HolderRule
from kiosk.tokens.process import ModuleSettings
from kiosk.tokens.wire import KeyKind

DEMO_PIN = "123456"
"""The PIN of the demo's token. The standby screen of a demo shows it; no other kiosk knows it."""


class SettingsError(ValueError):
    """The settings file is missing, damaged or says something that is not understood; the message is for staff."""


class BranchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the header shows, and how the kiosk greets."""

    bank: str = "みほん信用金庫"
    branch: str = ""
    kiosk: str = "1"
    """Which of the branch's kiosks this is, for whoever is called to it."""
    language: str = "ja"
    help_page: Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z", max_length=200)] = "https://www.example.jp/usb/"
    """Where the bank tells about its USB tokens and offers the management software."""
    help_url: Annotated[str, Meta(pattern=r"^(https?://[!-~]+)?\Z")] = ""
    """Where a call for staff is posted to, as JSON; empty for nowhere."""
    help_tls_roots: str = ""
    """PEM file: whom to trust at `help_url`; nobody where it is empty, so that only http can be spoken."""
    demo: bool = False
    """Whether this is `kiosk demo`: its standby screen tells the PIN and how to leave."""


class CaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The issuing CA the kiosk talks to."""

    url: str
    """CMP over HTTP (RFC 9811), such as https://ca.example.jp/.well-known/cmp."""
    roots: str
    """PEM file: whom to trust for customers' certificates and for CMP answers. Roots and intermediates in one."""
    tls_roots: str
    """PEM file: whom to trust for HTTPS; nothing else is."""
    time_limit: Annotated[float, Meta(gt=0)] = 30.0
    """Seconds to wait for an answer."""


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bank's rules."""

    window_days: Annotated[int, Meta(ge=0)] = 30
    """A certificate can be renewed from this many days before its end."""
    idle_seconds: Annotated[float, Meta(gt=0)] = 90.0
    idle_warning_seconds: Annotated[int, Meta(ge=20)] = 30
    """20 at least, so that everybody has the time to answer (EN 301 549, ADA 707)."""
    self_press_seconds: Annotated[int, Meta(gt=0)] = 30
    """After so long a dialog with a lone OK presses itself."""
    pin_shortest: Annotated[int, Meta(ge=1)] = 4
    pin_longest: Annotated[int, Meta(le=64)] = 16
    pin_tries: Annotated[int, Meta(ge=1)] = 3
    """Wrong PINs in one visit, after which a teller is asked."""
    key_kinds: tuple[KeyKind, ...] = (KeyKind.RSA_2048, KeyKind.EC_P256)
    """In the order in which they are preferred."""
    holder_id: str = HOLDER_ID_PATTERN
    administrator: str = ADMINISTRATOR_PATTERN
    zone: str = "Asia/Tokyo"

    def __post_init__(self) -> None:
        """Refuse what would only fail in front of a customer."""
        if self.pin_shortest > self.pin_longest:
            raise ValueError("pin_shortest is larger than pin_longest")
        for name, pattern in (("holder_id", self.holder_id), ("administrator", self.administrator)):
            try:
                compiled = re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{name} is no regular expression: {error}") from error
            if name == "holder_id" and "id" not in compiled.groupindex:
                raise ValueError("holder_id has no group (?P<id>…)")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"zone {self.zone} is unknown") from error

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone in which days are counted and times shown."""
        return ZoneInfo(self.zone)

    @property
    def holder_rule(self) -> HolderRule:
        """How the bank writes its IDs into subjects."""
        return HolderRule(self.holder_id, self.administrator)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a kiosk is told."""

    token: ModuleSettings
    ca: CaSettings
    journal: str
    """Path of the journal."""
    branch: BranchSettings = BranchSettings()
    policy: Policy = Policy()


def load_settings(path: Path) -> Settings:
    """Read the settings at `path`.

    Raises:
        SettingsError: with what is wrong and where.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Settings)
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise SettingsError(f"the settings file {path} is not understood: {error}") from error


def save_settings(settings: Settings, path: Path) -> None:
    """Write `settings` to `path`, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_bytes(msgspec.toml.encode(settings))
