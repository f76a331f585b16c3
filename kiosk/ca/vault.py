"""The key under which one-time codes lie in the ledger; it is in a file of its own, never in the database.

A code must be had again in clear to check a MAC by it, so it cannot be hashed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kiosk.cmp.randomness import RandomBytes

_FILE = "codes.key"
_KEY_LENGTH = 32
_NONCE_LENGTH = 12


class VaultDamaged(Exception):
    """The key file cannot be used, or what lies in the ledger was not sealed under it."""


class Vault:
    """Seals and opens what only the CA may read (AES-256-GCM)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def of(cls, directory: Path, random: RandomBytes) -> Self:
        """The vault of the authority in a directory; its key is made where there is none.

        Raises:
            VaultDamaged: the key file is not what it must be.
            OSError: it cannot be written.
        """
        path = directory / _FILE
        if not path.exists():
            _make_key(path, random(_KEY_LENGTH))
        key = path.read_bytes()
        if len(key) != _KEY_LENGTH:
            raise VaultDamaged(f"{path} holds no key")
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


def _make_key(path: Path, key: bytes) -> None:
    """Make the file whole or not at all; where another process makes it at the same time, one of the two counts."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    finally:
        aside.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
