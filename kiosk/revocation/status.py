"""What can come of asking, each with its own type. None of it carries a name or a secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from kiosk.cmp.errors import Fault

SUPERSEDED = "superseded"
"""The reason of a certificate whose successor has taken its place (RFC 5280 §5.3.1)."""


class CertStatus(Enum):
    """What the CA says of a certificate (RFC 6960 §2.2)."""

    GOOD = "good"
    """Not revoked."""
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    """The CA does not know that it has issued it."""


@dataclass(frozen=True, slots=True)
class Status:
    """A proven answer that is in date."""

    cert_status: CertStatus
    source: str
    """Who told it: `ocsp` or `crl`."""
    reason: str = ""
    """Why it was revoked, as RFC 5280 §5.3.1 names reasons; empty where the CA does not say."""
    since: datetime | None = None
    """From when on it has been."""

    def __str__(self) -> str:
        """For the journal, in one line."""
        since = "" if self.since is None else f"since {self.since.isoformat(timespec='seconds')}"
        return " ".join(each for each in (f"{self.source}:", self.cert_status.value, self.reason, since) if each)


class StatusFault(Enum):
    """The check that an answer failed."""

    UNREADABLE = "unreadable"
    CRITICAL = "critical-extension"
    """It has an extension that must be understood, and is not."""
    CERTIFICATE = "certificate"
    """It is about another one."""
    SIGNER_MISSING = "signer-missing"
    SIGNER_PATH = "signer-path"
    """Its signer was not authorised by the CA that has issued the certificate."""
    SIGNER_PURPOSE = "signer-purpose"
    SIGNER_KEY_USAGE = "signer-key-usage"
    SIGNER_VALIDITY = "signer-validity"
    SIGNATURE = "signature"
    NOT_YET = "not-yet"
    """It is of a time to come."""
    STALE = "stale"
    """There should be a newer one."""
    NONCE = "nonce"
    """It answers another question."""
    PARTIAL = "partial"
    """A CRL that does not list all that is revoked."""


class StatusError(Fault):
    """Nothing is known of the certificate."""


class StatusNotTold(StatusError):
    """Nobody who could be reached told anything; `detail` is how each way failed, in an engineer's words."""

    def __init__(self, detail: str, *, is_passing: bool = False, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.is_passing = is_passing
        self.retry_after = retry_after


class StatusNotTrusted(StatusError):
    """An answer came that does not count: damaged, forged, out of date, or of somebody else."""

    def __init__(self, source: str, fault: StatusFault) -> None:
        super().__init__(f"{source}: {fault.value}")
        self.source = source
        self.fault = fault
