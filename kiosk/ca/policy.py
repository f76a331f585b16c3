"""The rules of a CA as settings: what differs between banks is here, not in the code.

In `policy.toml` times are durations by ISO 8601: "P14D" is 14 days, "PT15M" 15 minutes.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from msgspec import Meta

from kiosk.ca.profile import HolderProfile, Purpose
from kiosk.ca.schema import PromiseKind
from kiosk.certificates import PublicKey
from kiosk.cmp.algorithms import Family
from kiosk.cmp.mac import FEWEST_ITERATIONS, MOST_ITERATIONS
from kiosk.toml_files import NOT_UNDERSTOOD

POLICY_FILE = "policy.toml"
"""Its name in the CA's directory; where there is none the rules are those below."""

KNOWN_KEY_KINDS = frozenset({"rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"})
"""What a policy may allow: kinds that both sides sign with and that a request template can name."""

_Count = Annotated[int, Meta(ge=1)]
_Label = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]{1,64}$")]
_Oid = Annotated[str, Meta(pattern=r"^[0-9.]{3,100}\Z")]
_Uri = Annotated[str, Meta(pattern=r"^(https?://[!-~]+)?\Z", max_length=200)]
_Unit = Annotated[str, Meta(min_length=1, max_length=64)]


_COMMON_NAME = re.compile(r"\{id\}( [^{}]*(\{name\}[^{}]*)?)?")
"""Kiosks read the ID up to the first space, and MACs are told from others by it."""


class OldCertificate(StrEnum):
    """What becomes of a certificate whose successor has been confirmed."""

    SUPERSEDED = "superseded"
    """It is revoked as superseded."""
    KEPT = "kept"
    """It stays valid until its end; it is not renewed again."""


class PolicyError(ValueError):
    """The policy file cannot be read, or says what is not understood; the message tells where."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the CA takes, and for how long it waits."""

    window_days: int = 30
    """A certificate is renewed when no more calendar days than this are left."""
    expiry_grace: timedelta = timedelta(minutes=15)
    """How long after its end a certificate is still taken, so that a renewal begun in the last second can end."""
    confirmation: timedelta = timedelta(days=14)
    """How long a certificate waits for its confirmation; that of a renewal at most to the old certificate's end."""
    shortest_confirmation: timedelta = timedelta(hours=1)
    """How long it waits even where the old certificate ends sooner."""
    implicit_confirm: bool = True
    """Whether a certificate counts as confirmed at once where the client asks for that (RFC 9810 §5.1.1.1)."""
    resume_days: int = 30
    """How long after its end an old certificate may finish a renewal that it began in time."""
    most_new_keys: _Count = 20
    """With how many different new keys one certificate may ask, over its whole life."""
    most_certificates: _Count = 100
    """How many certificates one holder is issued that have not ended, whatever became of them: each stays in the
    ledger, and each that was rejected or revoked on the CRL."""
    key_kinds: frozenset[str] = frozenset({"rsa-2048", "rsa-3072", "rsa-4096", "ec-p256"})
    """Which keys are certified; at least one, each of `KNOWN_KEY_KINDS`."""
    protections: frozenset[Family] = frozenset(Family)
    """How messages may be protected; SHA-1 and a bare HMAC cannot be named."""
    old_certificate: OldCertificate = OldCertificate.SUPERSEDED
    """What becomes of the certificate that a renewal has replaced."""
    superseded_after: timedelta = timedelta()
    """How long after its successor was confirmed it is superseded, where it is."""
    additional_certificates: bool = True
    """Whether a holder's certificate can get another one for the same holder (`ir`, `cr`, `p10cr`)."""
    approval: frozenset[PromiseKind] = frozenset()
    """Which requests wait for a teller."""
    approval_time: timedelta = timedelta(days=14)
    """How long they wait before they come to nothing."""
    check_after: timedelta = timedelta(minutes=1)
    """After how long a client is told to ask again (RFC 9483 §4.4)."""
    code_life: timedelta = timedelta(days=30)
    """For how long a one-time code is good."""
    most_tries: _Count = 10
    """After so many MACs that do not verify an ID pauses."""
    pause: timedelta = timedelta(minutes=15)
    """For so long."""
    most_iterations: Annotated[int, Meta(ge=FEWEST_ITERATIONS, le=MOST_ITERATIONS)] = 10_000
    """Of its hash that a MAC may ask for; also whoever knows no code can make the CA do them, message after message."""
    tries_kept: timedelta = timedelta(days=1)
    """How long after the last of them failed tries are remembered."""
    most_references: _Count = 100_000
    """Of how many references tries are remembered, besides those that pause: anybody can name new ones."""
    crl_life: timedelta = timedelta(days=7)
    """From one CRL's making to the moment when the next must be there; a new one is made after half of it."""
    status_life: timedelta = timedelta(minutes=10)
    """How long an OCSP answer counts, and for how long a cache may keep one, or the CRL."""
    status_url: Annotated[str, Meta(pattern=r"^(http://[!-~]+[^/])?\Z", max_length=200)] = ""
    """Where `/ocsp`, `/crl` and `/issuing.cer` can be had by everybody, for the certificates to say; empty for nowhere.

    By http: whoever must ask whether the certificate of an https server is revoked would have to trust it to be told
    (RFC 5280 §8). What is answered is signed.
    """
    validity_months: Annotated[int, Meta(ge=1, le=120)] = 12
    """How many calendar months after its issue a certificate ends, in the same second."""
    purposes: frozenset[Purpose] = frozenset({Purpose.CLIENT_AUTH})
    """What certificates are for; logging in always is."""
    content_commitment: bool = False
    """Whether they also sign what their holders stand by (nonRepudiation)."""
    email_in_certificate: bool = False
    """Whether the holder's address, where one is known, is the alternative name of his certificates."""
    certificate_policies: tuple[_Oid, ...] = ()
    """OIDs of the policies that certificates are issued under (RFC 5280 §4.2.1.4)."""
    practice_statement: _Uri = ""
    """The URI of the certification practice statement that goes with them."""
    common_name: str = "{id} {name}"
    """A new holder's: the ID, and after a space what else is to stand there; a name that is not known is left out."""
    user_units: tuple[_Unit, ...] = ("USER/PE - 2", "CERT/SUEDNUM - 3")
    """Organizational units that a new user's subject has after the CA's own."""
    administrator_units: tuple[_Unit, ...] = ("ADMIN/PE - 2", "CERT/SUEDNUM - 3")
    """Those of an administrator's."""
    time_window: timedelta = timedelta(minutes=5)
    """How far the clock of a request may be from ours."""
    profiles: frozenset[_Label] = frozenset({"renewals"})
    """The names after `/p/` in its paths that the CA goes by (RFC 9811 §3.6)."""
    largest_request: _Count = 32 * 1024
    """Bytes, checked before anything is parsed."""
    back_dating: timedelta = timedelta(minutes=5)
    """How long before its issue a certificate begins to be valid, for clocks that are slow."""

    @property
    def supersedes_at_once(self) -> bool:
        """Whether confirming a successor supersedes the old certificate in the same transaction."""
        return self.old_certificate is OldCertificate.SUPERSEDED and not self.superseded_after

    def profile(self, email: str | None = None) -> HolderProfile:
        """What certificates look like; `email` is the holder's, if one is known."""
        return HolderProfile(
            purposes=self.purposes,
            content_commitment=self.content_commitment,
            policies=self.certificate_policies,
            statement=self.practice_statement,
            email=email if self.email_in_certificate else None,
        )

    def needs_approval(self, kind: PromiseKind) -> bool:
        """Whether such a request waits for a teller: an additional certificate too where a renewal does.

        Otherwise whoever has to wait for a renewal would ask for an additional certificate.
        """
        return kind in self.approval or (kind is PromiseKind.ADDITIONAL and PromiseKind.UPDATE in self.approval)

    def __post_init__(self) -> None:
        """Raise ValueError for a rule that no request could meet, or that no template could tell."""
        if not self.key_kinds or not self.key_kinds <= KNOWN_KEY_KINDS:
            raise ValueError(f"key_kinds must be some of {', '.join(sorted(KNOWN_KEY_KINDS))}")
        if not _COMMON_NAME.fullmatch(self.common_name):
            raise ValueError(
                "common_name must be {id}, or begin with it and a space, with at most one {name} after that"
            )
        if Purpose.CLIENT_AUTH not in self.purposes:
            raise ValueError(f"purposes must have {Purpose.CLIENT_AUTH} among them")
        for each in self.certificate_policies:
            _check_oid(each)
        if self.practice_statement and not self.certificate_policies:
            raise ValueError("practice_statement goes with certificate_policies")
        if not self.protections:
            raise ValueError(f"protections must be some of {', '.join(sorted(Family))}")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, timedelta) and value < timedelta():
                raise ValueError(f"{name} must not be negative")
        for name in ("crl_life", "status_life"):
            if getattr(self, name) < timedelta(minutes=1):
                raise ValueError(f"{name} must be a minute at least")


def _check_oid(text: str) -> None:
    try:
        x509.ObjectIdentifier(text)
    except ValueError as error:
        raise ValueError(f"certificate_policies: {text} is no OID") from error


def load_policy(directory: Path) -> Policy:
    """The policy file in a CA's directory, or the rules that hold without one.

    Raises:
        PolicyError: with what is wrong and where.
    """
    path = directory / POLICY_FILE
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Policy)
    except FileNotFoundError:
        return Policy()
    except OSError as error:
        raise PolicyError(f"{path} cannot be read: {error.strerror}") from error
    except NOT_UNDERSTOOD as error:
        raise PolicyError(f"{path} is not understood: {error}") from error


_CURVES = {"secp256r1": "ec-p256", "secp384r1": "ec-p384", "secp521r1": "ec-p521"}


def key_kind(key: PublicKey) -> str:
    """The kind of a key by the names that policies use: `rsa-2048`, `ec-p256`, `ed25519`."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, f"ec-{key.curve.name}")
    return "ed25519"
