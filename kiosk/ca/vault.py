"""The key under which one-time codes lie in the ledger; it is in a file of its own, never in the database.

A code must be had again in clear to check a MAC by it, so it cannot be hashed. The file is encrypted under the
passphrase as the private keys are: whoever changes the passphrase seals one file anew, and no code is lost.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kiosk.ca.files import replace, write_new
from kiosk.ca.passphrase import Passphrase
from kiosk.cmp.randomness import RandomBytes

VAULT_FILE = "codes.key"
_KEY_LENGTH = 32
_NONCE_LENGTH = 12
_PURPOSE = b"renewal-kiosk codes.key"


class VaultDamaged(Exception):
    """The key file cannot be used, or what lies in the ledger was not sealed under it."""


class Vault:
    """Seals and opens what only the CA may read (AES-256-GCM)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def of(cls, directory: Path, passphrase: Passphrase, random: RandomBytes) -> Self:
        """The vault of the authority in a directory; its key is made where there is none.

        Raises:
            VaultDamaged: the key file is not what it must be, or is under another passphrase.
            OSError: it cannot be written.
        """
        path = directory / VAULT_FILE
        # Another process may make it at the same time; then its one counts.
        with contextlib.suppress(FileExistsError):
            if not path.exists():
                write_new(path, _wrapped(random(_KEY_LENGTH), passphrase, random), mode=0o600)
        content = path.read_bytes()
        if is_bare(content):
            raise VaultDamaged(f"{path} is not encrypted; kiosk ca init --directory {directory} brings it up to date")
        try:
            key = _around(passphrase).open(content, VAULT_FILE)
        except VaultDamaged as error:
            raise VaultDamaged(f"{path} cannot be decrypted with the passphrase in {passphrase.path}") from error
        return cls(key)

    def seal(self, secret: bytes, owner: str, random: RandomBytes) -> bytes:
        """Encrypt, bound to whose it is."""
        nonce = random(_NONCE_LENGTH)
        return nonce + self._cipher.encrypt(nonce, secret, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        """Decrypt.

        Raises:
            VaultDamaged: it was sealed under another key, for somebody else, or changed.
        """
        nonce, content = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
        try:
            return self._cipher.decrypt(nonce, content, owner.encode())
        except (InvalidTag, ValueError) as error:
            raise VaultDamaged("a one-time code in the ledger cannot be decrypted") from error


def is_bare(content: bytes) -> bool:
    """Whether this is the key itself, as earlier versions had it in the file."""
    return len(content) == _KEY_LENGTH


def encrypt_bare(directory: Path, passphrase: Passphrase, random: RandomBytes) -> None:
    """Encrypt the key of an earlier version; every code that is sealed under it stays good.

    Raises:
        OSError: the file cannot be read or written.
    """
    path = directory / VAULT_FILE
    if path.exists() and is_bare(content := path.read_bytes()):
        replace(path, _wrapped(content, passphrase, random), mode=0o600)


def _wrapped(key: bytes, passphrase: Passphrase, random: RandomBytes) -> bytes:
    return _around(passphrase).seal(key, VAULT_FILE, random)


def _around(passphrase: Passphrase) -> Vault:
    return Vault(passphrase.derive(_PURPOSE))
