"""The CA's private keys as files: PKCS#8, encrypted under the passphrase (PBES2, RFC 8018 §6.2)."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from kiosk.ca.passphrase import Passphrase

_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


class KeyUnusable(Exception):
    """A key file cannot be used; the message names it, and says what to do."""


def encrypted(key: ec.EllipticCurvePrivateKey, passphrase: Passphrase) -> bytes:
    """The content of a key file."""
    # AES-256-CBC, and 2048 rounds of PBKDF2 with HMAC-SHA256: half a millisecond.
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.secret))


def is_encrypted(content: bytes) -> bool:
    """Whether a key file is; those of earlier versions were not."""
    return _ENCRYPTED in content


def read_key(path: Path, content: bytes, passphrase: Passphrase | None) -> ec.EllipticCurvePrivateKey:
    """The key in the content of the file at `path`; without a passphrase, one that is not encrypted.

    Raises:
        KeyUnusable: it holds none, or one under another passphrase.
    """
    if passphrase is not None and not is_encrypted(content) and _is_plain(content):
        directory = path.parent
        raise KeyUnusable(f"{path} is not encrypted; kiosk ca init --directory {directory} brings it up to date")
    try:
        key = load_pem_private_key(content, None if passphrase is None else passphrase.secret)
    except (ValueError, TypeError) as error:
        if passphrase is None or not is_encrypted(content):
            raise KeyUnusable(f"{path} holds no key") from error
        raise KeyUnusable(
            f"{path} cannot be decrypted with the passphrase in {passphrase.path}: "
            "that is another CA's, or the key file is damaged; --passphrase-file names another"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyUnusable(f"{path} holds no key of the CA's kind")
    return key


def _is_plain(content: bytes) -> bool:
    return b"-----BEGIN PRIVATE KEY-----" in content
