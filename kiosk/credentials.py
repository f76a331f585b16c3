"""A certificate with its key: whose, which ID, until when."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum

from kiosk.certificates import Certificate

HOLDER_ID_PATTERN = r"^(?P<id>\S+)"
"""Searched in the common name; the group `id` is the ID."""

ADMINISTRATOR_PATTERN = r"^ADMIN/"
"""Searched in each organizational unit; a match makes the ID an administrator's."""


class HolderKind(Enum):
    """What an ID is: 管理者ID or 利用者ID."""

    ADMINISTRATOR = "administrator"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Holder:
    """An ID of the bank's internet banking."""

    id: str
    kind: HolderKind


@dataclass(frozen=True, slots=True)
class HolderRule:
    """How a bank writes its IDs into subjects (settings: `policy.holder_id`, `policy.administrator`)."""

    id_pattern: str = HOLDER_ID_PATTERN
    administrator_pattern: str = ADMINISTRATOR_PATTERN

    def holder_of(self, certificate: Certificate) -> Holder:
        """Tell the ID a certificate was issued for; the whole common name where the pattern does not match."""
        found = re.search(self.id_pattern, certificate.common_name)
        units = (line.value for line in certificate.subject if line.name == "Organizational Unit")
        administrator = any(re.search(self.administrator_pattern, unit) for unit in units)
        return Holder(
            id=found["id"] if found else certificate.common_name,
            kind=HolderKind.ADMINISTRATOR if administrator else HolderKind.USER,
        )


@dataclass(frozen=True, slots=True)
class IdShape:
    """What a bank's IDs look like, for those who type one: so many letters, then so many digits."""

    letters: int
    digits: int
    prefix: str = ""
    """What all of them begin with; part of the letters, and not typed."""

    def matches(self, text: str) -> bool:
        """Whether `text` is an ID of this shape."""
        wanted = rf"{re.escape(self.prefix)}[A-Z]{{{self.letters - len(self.prefix)}}}[0-9]{{{self.digits}}}"
        return re.fullmatch(wanted, text) is not None


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate whose private key lies beside it in a store."""

    certificate: Certificate
    key_id: bytes
    """CKA_ID of certificate and key pair."""
    holder: Holder


def successor_key_id(certificate: Certificate) -> bytes:
    """The CKA_ID of the key pair that succeeds `certificate`: 16 bytes (design decision 7).

    So a key whose ID is the hash of a certificate on the same token is that certificate's successor, whatever the
    labels say, and a cut renewal can be finished at any kiosk.
    """
    return certificate.fingerprint[:16]


def enrolment_key_id(holder_id: str, before: Certificate | None) -> bytes:
    """The CKA_ID of the key pair that 電子証明書取得 makes for an ID: 16 bytes.

    It follows from the ID, so that one that was cut is found at any kiosk as soon as the ID is typed; and from the
    newest certificate `before` it that the token holds for the same ID, so that next year's key is another one.
    """
    digest = hashlib.sha256(b"enrolment\0" + holder_id.encode() + b"\0")
    if before is not None:
        digest.update(before.fingerprint)
    return digest.digest()[:16]
