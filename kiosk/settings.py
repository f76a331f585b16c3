"""One TOML file: the kiosk, the branch, the CA and the bank's policy."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cryptography import x509
from msgspec import Meta

from kiosk.cmp.algorithms import Family
from kiosk.cmp.mac import MacKind
from kiosk.cmp.peer import PRESETS, Confirming, Peer, Resume, SignerRule
from kiosk.credentials import ADMINISTRATOR_PATTERN, HOLDER_ID_PATTERN, HolderRule, IdShape
from kiosk.revocation.check import RevocationRule
from kiosk.tokens.pc import PcSettings
from kiosk.tokens.process import ModuleSettings
from kiosk.tokens.wire import KeyKind, KeyOrigin, StoreKind
from kiosk.toml_files import NOT_UNDERSTOOD

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
    demo_code: str = ""
    """The one-time code that a demo has at hand, in groups; shown like the PIN."""


class Preset(StrEnum):
    """CAs that are known beforehand."""

    KIOSK = "kiosk"
    EJBCA = "ejbca"
    RFC9483 = "rfc9483"


class RequestProtection(StrEnum):
    """The two ways in which an RSA key signs (RFC 9481 §3.1)."""

    RSA_PKCS1 = Family.RSA_PKCS1.value
    RSA_PSS = Family.RSA_PSS.value


class CaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The issuing CA the kiosk talks to; what is left out of the last part is as the preset has it."""

    url: Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z", max_length=500)]
    """CMP over HTTP (RFC 9811), such as https://ca.example.jp/.well-known/cmp."""
    roots: str
    """PEM file: whom to trust for customers' certificates and for CMP answers. Roots and intermediates in one."""
    tls_roots: str
    """PEM file: whom to trust for HTTPS; nothing else is."""
    time_limit: Annotated[float, Meta(gt=0)] = 30.0
    """Seconds to wait for an answer."""
    retry_seconds: Annotated[float, Meta(ge=0, le=600)] = 60.0
    """How long a CA that cannot be reached, or is too busy, is asked again; 0 for never."""
    retry_longest_wait: Annotated[float, Meta(ge=1, le=120)] = 15.0
    """Seconds between two such tries at most, unless the CA asks for more."""
    ocsp_url: Annotated[str, Meta(pattern=r"^(https?://[!-~]+)?\Z", max_length=500)] = ""
    """Where OCSP tells whether a customer's certificate is revoked; empty for the certificate's own address, if any."""
    crl_url: Annotated[str, Meta(pattern=r"^(https?://[!-~]+)?\Z", max_length=500)] = ""
    """Where the CRL is, for when OCSP cannot be had; empty for the certificate's own address, if any."""
    revocation: RevocationRule = RevocationRule.REQUIRED
    """What is done where neither tells anything: `required`, `if-reachable`, or `off` to ask nobody."""
    preset: Preset = Preset.KIOSK
    """What CA it is: `kiosk` (the one that ships with it), `ejbca`, or `rfc9483` for any other."""
    pinned_signers: str = ""
    """PEM file: certificates whose answers count whatever `signer_rule` says."""

    profile: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]*\Z", max_length=100)] | None = None
    """The profile label, which becomes `…/p/<label>` in the address (RFC 9811 §3.6)."""
    operation_labels: bool | None = None
    """Whether the address ends with what is asked, such as `…/keyupdate` (RFC 9483 §6.1)."""
    recipient: str | None = None
    """The CA's name for the header, as RFC 4514 writes it: `CN=Issuing CA,O=Bank,C=JP`."""
    signer_rule: SignerRule | None = None
    """Whose signature counts: `purpose` (an extended key usage), `issuer` (a CA of `roots` itself), `pinned` only."""
    signer_purpose: Annotated[str, Meta(pattern=r"^[0-2](\.[0-9]+)+\Z", max_length=100)] | None = None
    """The extended key usage of `purpose`, as a dotted OID; id-kp-cmcCA by default."""
    protections: Annotated[tuple[Family, ...], Meta(min_length=1)] | None = None
    """What answers may be protected by: rsa-pkcs1, rsa-pss, ecdsa, ed25519, pbm, pbmac1."""
    request_protection: RequestProtection | None = None
    """How RSA keys sign requests: `rsa-pkcs1` or `rsa-pss`."""
    code_protection: MacKind | None = None
    """How a one-time code protects a request: `pbm` or `pbmac1`."""
    newest_version: Literal[2, 3] | None = None
    """The newest pvno the CA understands."""
    confirming: Confirming | None = None
    """How the CA learns that a certificate has arrived: `explicit`, `implicit`, `none`."""
    unconfirmed_ends: bool | None = None
    """Whether the CA revokes a certificate that nobody confirms."""
    polls: bool | None = None
    """Whether the CA knows pollReq."""
    poll_seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None
    """How long a request that waits for approval is polled before the customer is told to come back."""
    poll_longest_wait: Annotated[float, Meta(ge=1, le=600)] | None = None
    """Seconds between two polls at most, whatever the CA says."""
    answers_general: bool | None = None
    """Whether the CA answers genm; where not, it is only knocked at before a key is made."""
    subject_in_update: bool | None = None
    """Whether a renewal names the subject."""
    old_certificate_in_update: bool | None = None
    """Whether a renewal names the certificate it replaces (oldCertId)."""
    ca_pubs_ignored: bool | None = None
    """Whether caPubs are overlooked where RFC 9483 has none, rather than refused. They are never trusted."""
    key_kinds: tuple[KeyKind, ...] | None = None
    """What kinds of key the CA certifies, where it does not say so itself; of these the policy prefers its first."""
    time_window: Annotated[float, Meta(ge=1, le=3600)] | None = None
    """Seconds by which the time of an answer may differ from the kiosk's."""
    resume: Resume | None = None
    """Of a renewal that was cut: `same-key` where the CA promises the same key the same certificate, else `new-key`."""

    def __post_init__(self) -> None:
        """Refuse what would only fail in front of a customer."""
        if self.recipient is not None:
            _name(self.recipient)
        if self.signer_rule is SignerRule.PINNED and not self.pinned_signers:
            raise ValueError("signer_rule is pinned, but pinned_signers names no file")

    @property
    def peer(self) -> Peer:
        """The preset, with what the settings say otherwise."""
        preset = PRESETS[self.preset]
        told: dict[str, Any] = {name: getattr(self, name) for name in _AS_THEY_ARE}
        told["recipient"] = None if self.recipient is None else _name(self.recipient)
        told["protections"] = None if self.protections is None else frozenset(self.protections)
        told["key_kinds"] = None if self.key_kinds is None else frozenset(self.key_kinds)
        told["time_window"] = None if self.time_window is None else timedelta(seconds=self.time_window)
        told["request_protection"] = None if self.request_protection is None else Family(self.request_protection)
        told["polling"] = replace(
            preset.polling,
            total=self.poll_seconds or preset.polling.total,
            longest_wait=self.poll_longest_wait or preset.polling.longest_wait,
        )
        return replace(preset, **{name: value for name, value in told.items() if value is not None})


_AS_THEY_ARE = (
    "profile",
    "operation_labels",
    "signer_rule",
    "signer_purpose",
    "code_protection",
    "newest_version",
    "confirming",
    "unconfirmed_ends",
    "polls",
    "answers_general",
    "subject_in_update",
    "old_certificate_in_update",
    "ca_pubs_ignored",
    "resume",
)
"""The settings that a `Peer` has under the same name and in the same form."""


def _name(text: str) -> bytes:
    try:
        return x509.Name.from_rfc4514_string(text).public_bytes()
    except ValueError as error:
        raise ValueError(f"recipient is no name: {error}") from error


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bank's rules."""

    window_days: Annotated[int, Meta(ge=0)] = 30
    """A certificate can be renewed from this many days before its end."""
    idle_seconds: Annotated[float, Meta(gt=0)] = 90.0
    idle_warning_seconds: Annotated[int, Meta(ge=20)] = 30
    """20 at least, so that everybody has the time to answer (EN 301 549, ADA 707)."""
    self_press_seconds: Annotated[int, Meta(gt=0)] = 30
    """After so long a dialog with a lone OK presses itself."""
    forgotten_seconds: Annotated[float, Meta(gt=0)] = 20.0
    """A USB that stays in so long after the visit has been forgotten: it rings, and staff are called."""
    forgotten_ring_seconds: Annotated[float, Meta(ge=1)] = 5.0
    """From one ring to the next."""
    forgotten_rings: Annotated[int, Meta(ge=1, le=1000)] = 24
    """After so many it is quiet; the screen and the call stay."""
    pin_shortest: Annotated[int, Meta(ge=1)] = 4
    pin_longest: Annotated[int, Meta(le=64)] = 16
    pin_tries: Annotated[int, Meta(ge=1)] = 3
    """Wrong PINs in one visit, after which a teller is asked; the last of them only after an explicit yes."""
    last_try: Literal["ask", "never"] = "ask"
    """Of the try that may lock the token: `ask` whether the customer wants to risk it, or `never` take it here."""
    staff_unblock: bool = False
    """Whether staff may set a new PIN with the security officer's (`kiosk token unblock`)."""
    key_kinds: tuple[KeyKind, ...] = (KeyKind.RSA_2048, KeyKind.EC_P256)
    """In the order in which they are preferred."""
    key_origin: KeyOrigin = KeyOrigin.INSIDE
    """Where keys for a USB are made: `token`, inside it, or `export`, by the kiosk, for tokens that cannot make any."""
    id_letters: Annotated[int, Meta(ge=0, le=8)] = 4
    """How many letters an ID begins with, for those who type one (電子証明書取得)."""
    id_digits: Annotated[int, Meta(ge=1, le=12)] = 7
    """How many digits follow."""
    id_prefix: Annotated[str, Meta(pattern=r"^[A-Z]*\Z")] = ""
    """Letters with which every ID of the bank begins; they need not be typed."""
    code_tries: Annotated[int, Meta(ge=1)] = 3
    """One-time codes the CA refuses in one visit, after which a teller is asked; the CA has a count of its own."""
    expired_credential: Literal["delete", "keep"] = "delete"
    """What becomes of an ID's expired credentials on the token once 電子証明書取得 has brought a new one."""
    holder_id: str = HOLDER_ID_PATTERN
    administrator: str = ADMINISTRATOR_PATTERN
    zone: str = "Asia/Tokyo"
    journal_days: Annotated[int, Meta(ge=30, le=36_600)] = 3660
    """So many whole days before today stay in the journal; older ones are removed while nobody is being served."""

    def __post_init__(self) -> None:
        """Refuse what would only fail in front of a customer."""
        if self.pin_shortest > self.pin_longest:
            raise ValueError("pin_shortest is larger than pin_longest")
        if len(self.id_prefix) > self.id_letters:
            raise ValueError("id_prefix is longer than id_letters")
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

    def origin_in(self, store: StoreKind) -> KeyOrigin:
        """Where a key that is to live in `store` is made; a certificate database makes its own."""
        return self.key_origin if store is StoreKind.USB else KeyOrigin.INSIDE

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone in which days are counted and times shown."""
        return ZoneInfo(self.zone)

    @property
    def id_shape(self) -> IdShape:
        """What the bank's IDs look like."""
        return IdShape(self.id_letters, self.id_digits, self.id_prefix)

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
    hang_seconds: Annotated[float, Meta(ge=15, le=600)] = 30.0
    """A kiosk that would have answered no key for so long is ended and started again."""
    branch: BranchSettings = BranchSettings()
    policy: Policy = Policy()
    pc: PcSettings = PcSettings()
    """「パソコンに保存する」."""


def load_settings(path: Path) -> Settings:
    """Read the settings at `path`.

    Raises:
        SettingsError: with what is wrong and where.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Settings)
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from error
    except NOT_UNDERSTOOD as error:
        raise SettingsError(f"the settings file {path} is not understood: {error}") from error


def save_settings(settings: Settings, path: Path) -> None:
    """Write `settings` to `path`, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_bytes(msgspec.toml.encode(settings))
