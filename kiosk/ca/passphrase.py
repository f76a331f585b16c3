"""The one secret under which every key in the CA's directory is encrypted; its file can lie outside of that directory.

It is 256 bits at random, so nothing is won by guessing, and deriving a key from it need not be made slow.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kiosk.ca.files import write_new
from kiosk.cmp.randomness import RandomBytes

PASSPHRASE_FILE = "passphrase"  # noqa: S105 - a name
"""Its name in the CA's directory, where nothing says that it lies elsewhere."""
_LENGTH = 32
_SHORTEST = 32
_LARGEST = 4096


class PassphraseUnusable(Exception):
    """There is no passphrase where it should be; the message says where that is, and what to do."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What the keys are encrypted under."""

    path: Path
    """Where it was read."""
    secret: bytes = field(repr=False)

    def derive(self, purpose: bytes) -> bytes:
        """A key of 256 bits for one purpose (RFC 5869)."""
        return HKDF(hashes.SHA256(), _LENGTH, salt=None, info=purpose).derive(self.secret)


def read_passphrase(path: Path) -> Passphrase:
    """Read it; white space around it does not count.

    Raises:
        PassphraseUnusable: the file is missing, cannot be read, or holds too little to be one.
    """
    try:
        with path.open("rb") as file:
            secret = file.read(_LARGEST).strip()
    except FileNotFoundError as error:
        raise PassphraseUnusable(
            f"the passphrase file {path} is missing; if it lies elsewhere, say so with --passphrase-file"
        ) from error
    except OSError as error:
        raise PassphraseUnusable(f"the passphrase file {path} cannot be read: {error.strerror}") from error
    if len(secret) < _SHORTEST:
        raise PassphraseUnusable(
            f"the passphrase in {path} has fewer than {_SHORTEST} characters; make one with: openssl rand -hex 32"
        )
    return Passphrase(path, secret)


def ensure_passphrase(path: Path, random: RandomBytes) -> Passphrase:
    """Read it, or make it where there is none.

    Raises:
        PassphraseUnusable: what is there is none.
        OSError: it cannot be written.
    """
    # Another process may make it at the same time; then its one counts.
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            write_new(path, random(_LENGTH).hex().encode() + b"\n", mode=0o600)
    return read_passphrase(path)
