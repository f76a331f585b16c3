"""The rules of a CA as settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kiosk.certificates import PublicKey

KNOWN_KEY_KINDS = frozenset({"rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"})
"""What a policy may allow: kinds that both sides sign with and that a request template can name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the CA takes, and for how long it waits."""

    window_days: int = 30
    """A certificate is renewed when no more calendar days than this are left."""
    expiry_grace: timedelta = timedelta(minutes=15)
    """How long after its end a certificate is still taken, so that a renewal begun in the last second can end."""
    confirmation: timedelta = timedelta(days=14)
    """How long a successor waits for its confirmation; at most to the old certificate's end."""
    shortest_confirmation: timedelta = timedelta(hours=1)
    """How long it waits even where the old certificate ends sooner."""
    resume_days: int = 30
    """How long after its end an old certificate may finish a renewal that it began in time."""
    most_new_keys: int = 20
    """With how many different new keys one certificate may ask for a successor, over its whole life."""
    key_kinds: frozenset[str] = frozenset({"rsa-2048", "rsa-3072", "rsa-4096", "ec-p256"})
    """Which keys are certified; at least one, each of `KNOWN_KEY_KINDS`."""
    time_window: timedelta = timedelta(minutes=5)
    """How far the clock of a request may be from ours."""
    largest_request: int = 32 * 1024
    """Bytes, checked before anything is parsed."""
    back_dating: timedelta = timedelta(minutes=5)
    """How long before its issue a certificate begins to be valid, for clocks that are slow."""

    def __post_init__(self) -> None:
        """Raise ValueError for a rule that no request could meet, or that no template could tell."""
        if not self.key_kinds or not self.key_kinds <= KNOWN_KEY_KINDS:
            raise ValueError(f"key kinds must be some of {', '.join(sorted(KNOWN_KEY_KINDS))}")


_CURVES = {"secp256r1": "ec-p256", "secp384r1": "ec-p384", "secp521r1": "ec-p521"}


def key_kind(key: PublicKey) -> str:
    """The kind of a key by the names that policies use: `rsa-2048`, `ec-p256`, `ed25519`."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, f"ec-{key.curve.name}")
    return "ed25519"
