"""What differs between CAs, as data: how one is addressed, what it knows, and what it promises.

Nothing here decides whose answers count but by naming the rule; the certificates for it are in `answers.Trust`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from kiosk.cmp.algorithms import Family
from kiosk.cmp.mac import MacKind, SharedSecret
from kiosk.cmp.vocabulary import CMC_CA, PVNO_2021, BodyType


class SignerRule(StrEnum):
    """Whose signature counts as the CA's; signers that are pinned always do."""

    PURPOSE = "purpose"
    """A certificate under the trusted roots with an extended key usage that says so (RFC 9810 §4.5)."""
    ISSUER = "issuer"
    """A CA certificate that is itself among the trusted ones: the CA signs with the key it issues with."""
    PINNED = "pinned"
    """Pinned signers and nobody else."""


class Confirming(StrEnum):
    """How the CA learns that a certificate has arrived (RFC 9483 §4.1.1)."""

    EXPLICIT = "explicit"
    """By certConf."""
    IMPLICIT = "implicit"
    """Not at all, where it grants that; by certConf where it does not."""
    NONE = "none"
    """Not at all: it does not know certConf."""


class Resume(StrEnum):
    """What becomes of the key of a renewal that was cut (design decision 7)."""

    SAME_KEY = "same-key"
    """It is asked for again: the CA answers the same key with the same certificate."""
    NEW_KEY = "new-key"
    """It is given up, and another is made: the CA does not promise that."""


class Operation(StrEnum):
    """What a transaction is about, by its label in the address (RFC 9483 §6.1)."""

    INITIALIZATION = "initialization"
    CERTIFICATION = "certification"
    PKCS10 = "pkcs10"
    KEY_UPDATE = "keyupdate"
    REVOCATION = "revocation"
    CA_CERTIFICATES = "getcacerts"
    REQUEST_TEMPLATE = "getcertreqtemplate"
    CRLS = "getcrls"


OPERATIONS = {
    BodyType.IR: Operation.INITIALIZATION,
    BodyType.CR: Operation.CERTIFICATION,
    BodyType.P10CR: Operation.PKCS10,
    BodyType.KUR: Operation.KEY_UPDATE,
    BodyType.RR: Operation.REVOCATION,
}
"""By the first message of a transaction; `genm` has one for each kind of question."""


class MayBeConfirmed(Protocol):
    """A certificate as it was issued."""

    @property
    def implicitly_confirmed(self) -> bool:
        """Whether the CA has said that it waits for no confirmation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How long an answer that waits is asked for (RFC 9483 §4.4). All in seconds."""

    total: float = 60.0
    """From the first answer that waits; then the caller is told that it still does."""
    shortest_wait: float = 1.0
    longest_wait: float = 15.0
    """Between two questions, whatever the CA's checkAfter says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One CA, as far as it differs from others. The defaults are those of the CA that ships with the kiosk."""

    profile: str = ""
    """The profile label in the address, `…/p/<label>` (RFC 9811 §3.6); empty for none."""
    operation_labels: bool = False
    """Whether the operation is a part of the address (RFC 9483 §6.1)."""
    recipient: bytes | None = None
    """DER of the CA's name, for the header; None for the issuer of the asker's certificate, or no name."""
    signer_rule: SignerRule = SignerRule.PURPOSE
    signer_purpose: str = CMC_CA
    """The extended key usage of `SignerRule.PURPOSE`."""
    protections: frozenset[Family] = field(default=frozenset(Family))
    """What an answer may be protected by."""
    request_protection: Family = Family.RSA_PKCS1
    """How an RSA key signs requests: `RSA_PKCS1` or `RSA_PSS`; keys of other kinds have one way only."""
    code_protection: MacKind = MacKind.PBM
    """How a request is protected by a one-time code."""
    newest_version: int = PVNO_2021
    """The newest pvno it understands; 3 is used only where the message needs it (RFC 9810 §7)."""
    confirming: Confirming = Confirming.EXPLICIT
    unconfirmed_ends: bool = True
    """Whether a certificate that is never confirmed is revoked; where not, it counts from its issue on."""
    polls: bool = True
    """Whether it knows pollReq; where not, an answer that waits is one for another day."""
    answers_general: bool = True
    """Whether it answers genm; where not, only HTTP can tell that it is there."""
    subject_in_update: bool = True
    old_certificate_in_update: bool = True
    """Whether a `kur` names the subject, and the certificate to be replaced (RFC 9483 §4.1.3)."""
    ca_pubs_ignored: bool = False
    """Whether caPubs are overlooked in every answer, rather than refused where RFC 9483 has none."""
    key_kinds: frozenset[str] = frozenset()
    """The kinds of key it certifies, where it does not say so itself; empty for all."""
    time_window: timedelta = timedelta(minutes=5)
    """How far the time of an answer may be from ours."""
    polling: Polling = Polling()
    resume: Resume = Resume.SAME_KEY

    def address(self, url: str, operation: Operation) -> str:
        """Where a transaction of this kind goes, from its first message to its last (RFC 9483 §6.1)."""
        base, mark, query = url.partition("?")
        labels = [base.rstrip("/") if self.profile or self.operation_labels else base]
        if self.profile:
            labels += ["p", self.profile]
        if self.operation_labels:
            labels.append(operation.value)
        return "/".join(labels) + mark + query

    def waits_for(self, certificate: MayBeConfirmed) -> bool:
        """Whether the CA waits to be told that this certificate has arrived."""
        match self.confirming:
            case Confirming.EXPLICIT:
                return True
            case Confirming.IMPLICIT:
                return not certificate.implicitly_confirmed
            case Confirming.NONE:
                return False

    @property
    def counts_from_issue(self) -> bool:
        """Whether a certificate counts though nobody has confirmed it."""
        return self.confirming is Confirming.NONE or not self.unconfirmed_ends

    def secret(self, reference: bytes, secret: bytes) -> SharedSecret:
        """Whoever asks this CA with a one-time code."""
        return SharedSecret(reference=reference, secret=secret, kind=self.code_protection)


KIOSK = Peer()
"""The CA that ships with the kiosk: it keeps every promise of design decision 7."""

EJBCA = Peer(
    signer_rule=SignerRule.ISSUER,
    newest_version=2,
    unconfirmed_ends=False,
    polls=False,
    answers_general=False,
    ca_pubs_ignored=True,
    resume=Resume.NEW_KEY,
)
"""EJBCA, with its response protection set to `signature`.

It signs with the CA's own key, knows neither genm nor polling, sends caPubs with whatever it issues, acknowledges every
certConf without acting on it, and keeps no transaction: so the same key again is another certificate, or none.
"""

RFC9483 = Peer(operation_labels=True, resume=Resume.NEW_KEY)
"""Any CA that keeps RFC 9483 to the letter, which promises nothing about a renewal that was cut."""

PRESETS = {"kiosk": KIOSK, "ejbca": EJBCA, "rfc9483": RFC9483}
"""By the name that settings use."""
